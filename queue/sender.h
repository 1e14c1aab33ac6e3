/*
 * sender - whose turn is it at a destination? All under the queue's lock.
 *
 * A sender is in the turns while the first work in its line can go out at once; one
 * whose first work waits for its content is blocked, so that order holds.
 */
#ifndef WAYPOST_SENDER_H
#define WAYPOST_SENDER_H

#include "queue/destination.h"

/* Found or made. */
struct sender *sender_get(struct queue *q, struct destination *d,
                          const struct envelope *e);
/* Whose turn it is: of those with most priority, but now and then of those with least.
 * NULL: nobody has work that can go out. */
struct sender *sender_next(const struct destination *d);
/* How many recipients of one sender may be in memory for one destination. */
uint32_t sender_share(const struct queue *q, const struct destination *d);
/* Holds so much that what it has on disk waits; when it has less, and only then, its
 * destination's lanes are looked at again (destination_unskip). */
bool sender_is_waited_for(const struct queue *q, const struct sender *s);
bool sender_any_waited_for(const struct queue *q, const struct destination *d);
/* Its line or counts have changed: in or out of the turns, freed when empty. */
void sender_update(struct queue *q, struct sender *s);
/* Nothing of the destination is on disk only any more. */
void sender_all_read(struct queue *q, struct destination *d);

/* In and out of the line, with the destination's counts of warm and cold. */
void sender_append(struct sender *s, struct bundle *b);
/* In front of all that arrived later. */
void sender_insert(struct sender *s, struct bundle *b);
void sender_take_out(struct sender *s, struct bundle *b);
/* Is all of it at hand that a slot needs? */
bool sender_is_warm(const struct bundle *b);

#endif
