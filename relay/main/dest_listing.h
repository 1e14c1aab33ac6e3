/*
 * dest_listing - a destination as text, from what GET /api/v1/destinations says of it.
 */
#ifndef WAYPOST_DEST_LISTING_H
#define WAYPOST_DEST_LISTING_H

#include "policy/vocabulary/buffer.h"

#include <jansson.h>

/* The columns' names: as many as a terminal of `width` columns has room for; 0: all. */
void dest_listing_put_head(struct buffer *b, size_t width);
/* One line, with its end. Nothing is cut where the width is 0. */
void dest_listing_put_line(struct buffer *b, const json_t *destination,
                           size_t width, bool is_coloured);
/* All about it, on many lines. */
void dest_listing_put_story(struct buffer *b, const json_t *destination);

#endif
