/*
 * history_listing - what became of mail as people read it: a line for each thing that
 * happened, or the story of one message.
 *
 * Both are made from the objects of /api/v1/history; what strangers wrote is escaped.
 */
#ifndef WAYPOST_HISTORY_LISTING_H
#define WAYPOST_HISTORY_LISTING_H

#include "policy/vocabulary/buffer.h"

#include <jansson.h>

void history_listing_put_head(struct buffer *b, size_t width);
/* One line of at most `width` characters (0: uncut); colour: by what happened. */
void history_listing_put_line(struct buffer *b, const json_t *row, size_t width,
                              bool in_colour);
/* "2026-11-17 08:30:02", by the local clock. */
void history_listing_put_time(struct buffer *b, int64_t s);

/*
 * history_story.c: rows: all of one message, in any order. waiting: as the queue shows it, or
 * NULL: nothing of it waits.
 */
void history_story_put(struct buffer *b, const json_t *rows,
                       const json_t *waiting, int64_t now_s, bool in_colour);

#endif
