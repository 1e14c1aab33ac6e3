/*
 * turn - a customer fetches mail over a connection of his own (ATRN, RFC 2645).
 *
 *   lane a --+                 lane a --> part (one slot: his)
 *   lane b --+--> home   ==>   lane b --> home (nothing goes out)
 *
 * While he does, the lanes that he fetches lead to a destination without a name, the part,
 * with lines, a share of memory and a slot of its own; so what they hold and what arrives
 * for them goes to him and nothing else does. Of the one they were taken from, their home,
 * nothing is loaded or claimed meanwhile (destination_waits). What waits is counted at home,
 * and home is what anybody is told of.
 *
 *           queue_turn            first queue_slot_next         all that was due is gone
 *   home ------------> RESERVED -----------------------> BEGUN ---------------> OVER
 *    ^                    |  (OFFLINE)                     | (UP)                  |
 *    |                    +--------------+-----------------+                       |
 *    |                                   v  suspended                              |
 *    |                                STOPPED (OFFLINE, abandoned)                 |
 *    +--------------------- queue_slot_close, from any ----------------------------+
 *
 * All under the queue's lock but queue_turn.
 */
#ifndef WAYPOST_TURN_H
#define WAYPOST_TURN_H

#include "queue/core.h"

/* Where a lane that leads to home goes now: there, or to what is fetched of it. */
struct destination *turn_way(struct destination *home, struct span lane);
/* The customer's connection asks for mail for the first time. */
void turn_begin(struct queue *q, struct destination *part);
/* Is there nothing left that he could be given? */
bool turn_is_over(const struct queue *q, const struct destination *part);
/* He is given no more; home need not be turned. */
void turn_stop(struct queue *q, struct destination *home);
/* His slot was closed: the lanes go home. Answers home; part may be gone. */
struct destination *turn_end(struct queue *q, struct destination *part);

#endif
