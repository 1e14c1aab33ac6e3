/*
 * historian - outcomes go from the queue into the history, about once a second.
 *
 * Copied and committed there first, then removed here by an errand of the writer's; a
 * crash between the two copies again and is ignored by the event's id. Refusals come
 * through a bounded ring that may drop: a stranger must not make us write. Low on disk
 * the history pauses; mail does not.
 */
#ifndef WAYPOST_HISTORIAN_H
#define WAYPOST_HISTORIAN_H

#include "queue/store.h"

#include <pthread.h>
#include <stdatomic.h>

struct historian {
    struct queue *queue;
    struct history *history; /* the thread's */
    struct store_reader *db; /* the thread's */
    pthread_t thread;
    bool is_running;
    pthread_mutex_t lock;
    pthread_cond_t wake;
    bool is_stopping;           /* under lock */
    struct queue_refusal *ring; /* under lock; text of each on one block */
    uint32_t first, count;      /* under lock */
    _Atomic uint64_t dropped;
    _Atomic uint64_t copied_until; /* of q->events */
    int64_t pruned_ms;             /* monotonic */
    _Atomic bool has_warned; /* that it pauses, and does so still */
    bool has_old;                  /* there may be rows that are too old */
    bool is_over_cap;              /* ... or too many */
    bool has_more;                 /* there is more to be forgotten */
    bool has_many;                 /* rows: people are told of what takes long */
};

MUST int historian_start(struct historian *h, struct queue *q);
/* What was refused until now is written. */
void historian_stop(struct historian *h);

#endif
