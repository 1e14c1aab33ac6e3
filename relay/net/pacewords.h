/*
 * pacewords - that a destination's mail waits for its rate, for people.
 */
#ifndef WAYPOST_PACEWORDS_H
#define WAYPOST_PACEWORDS_H

#include "queue/queue.h"

/* "limited to 100/min, next at 14:07:31"; nothing when it has no rate, and no time while its
 * mail does not wait for it. Of another day the date is told, too. */
void pacewords_put(struct buffer *b, const struct queue_destination_row *d,
                   int64_t now_ms);

#endif
