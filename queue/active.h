/*
 * active - the recipients that are in memory.
 *
 * A bounded part of what is due: new mail straight from its commit, and what the
 * reader fetched. What does not fit stays on disk and is found there later. All of
 * this is under the queue's lock.
 */
#ifndef WAYPOST_ACTIVE_H
#define WAYPOST_ACTIVE_H

#include "queue/core.h"

/*
 * A put was committed: its recipients come in by destination, or stay on disk
 * (no room, held, not yet due, their sender has older mail there). bytes: the
 * content of a small message, owned from here on; NULL: in a file.
 */
void active_add_put(struct queue *q, struct bundle *take_b, char *take_bytes);

enum active_refill {
    REFILL_TAKEN,  /* or in memory already */
    REFILL_PASSED, /* its sender holds its share; goes on with others */
    REFILL_FULL,   /* the destination holds its share */
};
/* A work of lane l that the reader found; ownership moves in any case. */
enum active_refill active_add_found(struct queue *q, struct lane *l,
                                    struct bundle *take_b);

/* For an alarm: what waits of the message leaves the lines, what is being sent is
 * taken out of b. NULL (b is freed) when nothing is left. */
struct bundle *active_add_alarm(struct queue *q, struct bundle *take_b);

/* The next in turn, out of its line and claimed, at most `most` recipients. */
struct bundle *active_claim(struct queue *q, struct destination *d,
                            uint32_t most);
/* The first in turn stays where it is. */
struct bundle *active_peek(const struct destination *d);
/* A claimed work goes back to the head of its line. */
void active_unclaim(struct queue *q, struct bundle *b);
/* A claimed or settling work leaves memory. */
void active_remove(struct queue *q, struct bundle *take_b);

/* What waits of a message leaves memory; it is on disk. */
void active_drop_waiting(struct queue *q, uint64_t message);
/* The same for all of a destination; what comes later stays behind them. */
void active_drop_destination(struct queue *q, struct destination *d);
/* An alarm's recipient goes on waiting, on disk: where its destination is down, nothing that
 * came later may wait in memory, in front of it. */
void active_stand_behind(struct queue *q, struct lane *l);
/* The same for all whose lane leads elsewhere than where they wait. */
void active_drop_rerouted(struct queue *q);
void active_fini(struct queue *q);

#endif
