/*
 * queue_print - waiting mail on paper: one message in full, what an order would meet, and where
 * mail waits.
 *
 * Made from the objects of /api/v1/queue; p->o is the object. What strangers wrote is escaped.
 */
#ifndef WAYPOST_QUEUE_PRINT_H
#define WAYPOST_QUEUE_PRINT_H

#include "relay/main/paper.h"

/* GET /api/v1/queue/ID */
void queue_print_story(struct paper *p, int64_t now_s);
/* The preview of an order: the first few messages, and counts by destination. */
void queue_print_preview(struct paper *p, int64_t now_s, size_t width);
/* GET /api/v1/queue/heat, as qshape's table. */
enum { SHAPE_FRESH_S = 3 };     /* an older one says so */
void queue_print_shape(struct paper *p, int64_t now_s);
/* A row of GET /api/v1/queue/top; by: whose names they are. */
void queue_print_rank(struct buffer *b, const json_t *rank, const char *by,
                      bool has_head);

#endif
