/*
 * dest_listing - a destination as text, from what GET /api/v1/destinations says of it.
 */
#ifndef WAYPOST_DEST_LISTING_H
#define WAYPOST_DEST_LISTING_H

#include "policy/vocabulary/buffer.h"

#include <jansson.h>

/* The columns' names. */
void dest_listing_put_head(struct buffer *b);
/* One line, with its end. */
void dest_listing_put_line(struct buffer *b, const json_t *destination);
/* All about it, on many lines. */
void dest_listing_put_story(struct buffer *b, const json_t *destination);

#endif
