/*
 * top_feed - what happens, as lines of text, while it happens.
 *
 * Server-sent events of the running relay, over its admin socket; the latest are kept. No
 * thread: the feed makes progress while top_feed_wait waits for keys.
 */
#ifndef WAYPOST_TOP_FEED_H
#define WAYPOST_TOP_FEED_H

#include "policy/vocabulary/span.h"

#include <jansson.h>

enum { TOP_FEED_LINES = 300 };

struct top_feed;

struct top_feed *top_feed_new(struct span socket);
void top_feed_free(struct top_feed *f);
/* Begins to listen, or ends that; what was heard stays. */
void top_feed_listen(struct top_feed *f, bool is_on);
/* Until fd can be read, something was heard, or ms are over. True: fd can be read. */
bool top_feed_wait(struct top_feed *f, int fd, int ms);
/* Array of texts, oldest first; borrowed. */
const json_t *top_feed_lines(const struct top_feed *f);

/* One event as a line: its time, what it is, then each member. */
json_t *top_feed_line(const json_t *event);

#endif
