/*
 * pace - a destination is given no more messages than its rates allow.
 *
 *   slot_run ----how many?----> pace_limit --none--> timer --> slot_run
 *                                   |   ^
 *              more than the disk has   | committed: slot_run
 *                                   v   |
 *   queue_slot_next --one goes--> lease (a note of kind "pace", by name)
 *
 * What is counted is works that are claimed: one message, for those of its recipients that
 * go in one transaction, counts once, whatever comes of it and on however many hosts of the
 * destination it is tried. What is told to go nowhere (queue_slot_exempt), and what a customer
 * fetches (turn.h), does not count. Mail over the rate stays where it is: no slot is opened
 * for it, and one that asks is parked, as if there were none.
 *
 * When the next may go is spacing.h's. Before a work is handed out the disk has it: a lease,
 * of a hundredth of the amount and what may go within a second, or as long as its hosts take to
 * greet, is written ahead (goes_first: also when the disk is full); a crash forfeits what is
 * left of it. A clean stop gives it back. As long as the rates have not recovered the
 * destination is not forgotten. A clock that is set while we run changes nothing.
 *
 * A destination whose mail is over its rates is told of in the log once, until that has not
 * happened for a minute. Policy's budgets (budget.h) are not used: they lease sixteenths of a
 * period, which are over before a slow disk has them where a rate is one of seconds. All under the queue's lock but for pace_tell.
 */
#ifndef WAYPOST_PACE_H
#define WAYPOST_PACE_H

#include "queue/destination.h"
#include "queue/spacing.h"
#include "queue/writer.h"

struct pace {
    struct job job; /* first */
    struct destination *destination;
    struct timer timer;
    size_t count; /* 0: no more, since other routes are in force */
    struct spacing each[RATES_MOST];
    struct buffer note; /* what the job writes: */
    int64_t expire_ms;
    int64_t margin_ms;  /* a lease is good for so long, and */
    int64_t reach_ms;   /* twice what it last took from a slot to its first work */
    int64_t written_ms; /* monotonic: the job was handed in */
    int64_t again_ms;   /* the disk was not to be written: not before */
    int64_t seen_ms;    /* the latest time; 0: none */
    int64_t steady_ms;  /* it was then by a clock that nobody sets */
    int64_t held_ms;    /* mail has waited then */
    bool is_writing;    /* the job is with the writer */
    bool is_leaving;    /* the disk shall have no more than what went */
    bool is_to_tell;    /* a line for the log */
};

/* As its routes say now; what went at a rate that it had before counts. */
void pace_set(struct queue *q, struct destination *d, const struct rate *rates,
              size_t count);
/* How many of these may go now? What is left waits for slot_run. */
uint32_t pace_limit(struct queue *q, struct destination *d, uint32_t wanted);
/* One goes, as pace_limit allowed. */
void pace_take(struct destination *d);
/* A slot of it asks for the first time, so long after it was opened. */
void pace_reached(struct destination *d, int64_t took_ms);
/* Back: what waits looks anew when it may go. */
void pace_clock_set(struct queue *q);
/* Its mail waits for its rates alone, until then; 0: it does not. */
int64_t pace_held_ms(const struct queue *q, const struct destination *d);
/* How many recipients of it are worth their memory? */
uint32_t pace_share(const struct destination *d);
/* Would nothing be lost if it were forgotten? */
bool pace_is_over(const struct queue *q, const struct destination *d);
/* Those that are held and were not told of. No lock. */
void pace_tell(struct queue *q);

/* A note of the kind, at the start. */
extern const struct span pace_notes;
void pace_remember(struct queue *q, struct span name, struct span note);
/* No slot is open: leases are given back by the writer's last jobs. */
void pace_flush(struct queue *q);
void pace_free(struct queue *q, struct destination *d);

#endif
