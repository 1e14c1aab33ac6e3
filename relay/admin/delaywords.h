/*
 * delaywords - why does it wait, and until when? One plain sentence.
 */
#ifndef WAYPOST_DELAYWORDS_H
#define WAYPOST_DELAYWORDS_H

#include "policy/settings.h"
#include "policy/vocabulary/buffer.h"
#include "queue/queue.h"

struct delaywords {
    const struct settings
        *settings; /* today's; NULL: nothing is known of routes and rules */
    const struct envelope *envelope;
    const struct queue_story_recipient *to;
    const struct queue_destination_row
        *destination; /* NULL: nothing is known of it */
    int64_t now_ms;
};

/* Text of strangers in it is escaped. */
void delaywords_put(struct buffer *b, const struct delaywords *d);

#endif
