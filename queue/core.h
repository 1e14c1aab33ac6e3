/*
 * core - what the parts of the queue share.
 *
 * Locks, in the order in which they are taken: the queue's (lanes, destinations,
 * senders, works, slots, content in memory) or the budgets', then one of a port, the writer,
 * the reader, the notes or a body thread. None of them is held across SQLite, a file or a callback,
 * but for wake, route and backoff.
 */
#ifndef WAYPOST_CORE_H
#define WAYPOST_CORE_H

#include "queue/backup.h"
#include "queue/body.h"
#include "queue/budget.h"
#include "queue/destination.h"
#include "queue/disk.h"
#include "queue/heat.h"
#include "queue/historian.h"
#include "queue/note.h"
#include "queue/port.h"
#include "queue/reader.h"
#include "queue/recounting.h"
#include "queue/roll.h"
#include "queue/snapshot.h"
#include "queue/writer.h"

#include "policy/vocabulary/histogram.h"

#include <stdatomic.h>

enum {
    ACTIVE_MOST = 20000, /* recipients in memory */
    CACHE_BYTES = 32 * 1024 * 1024,
    SLOTS_MOST = 2000,   /* of all destinations */
    SENDERS_MOST = 4096, /* told apart in one destination */
    ALARMS_MOST = 256,   /* works that came by alarm, at once */
    WORKS_TRACES = 64 * 1024, /* a power of two */
};

#define HISTORY_MS ((int64_t)30 * 24 * 3600 * 1000)

struct queue {
    /* Constant once open. */
    char *path;
    bool read_only;
    uint32_t active_most;
    uint64_t cache_most;
    int64_t history_ms;
    uint64_t history_bytes; /* 0: no cap */
    int64_t (*clock)(void);  /* NULL: the real one */
    int64_t (*steady)(void); /* NULL: clock, or the monotonic one */
    queue_notice_fn *notice;
    void *notice_user;
    uint64_t first_id; /* ids from here on are of this process */

    pthread_mutex_t lock; /* from here to the next group */
    queue_route_fn *route;
    void *route_user;
    struct buckets lanes, destinations, senders, works;
    TAILQ_HEAD(, destination) all_destinations;
    TAILQ_HEAD(, destination) hungry;   /* the reader shall fetch more */
    TAILQ_HEAD(, destination) loading;  /* the reader shall load content */
    TAILQ_HEAD(, destination) slotless; /* want a slot over SLOTS_MOST */
    struct timers timers;
    TAILQ_HEAD(, queue_port) ports;
    uint32_t ports_open;
    uint32_t active; /* recipients in memory */
    uint32_t alarms; /* works that came by alarm */
    uint32_t slots, parked;
    uint32_t in_state[QUEUE_DESTINATION_STATES]; /* destinations */
    uint64_t cached_bytes;
    int64_t evicted_ms; /* when memory was last taken from the resting */
    bool is_stopping;   /* no claims any more */
    bool is_over;       /* nor threads */
    bool has_dirty;     /* destinations to be written */
    bool has_to_tell;   /* or to be told of in the log: pace.h */
    bool are_lanes_read;
    bool is_counted; /* lane.waiting is exact */
    struct store_cursor counted; /* of what was there at the start */
    bool is_reading; /* the reader holds rows of a moment ago */
    struct bundle *ghosts;
    uint64_t change_epoch; /* rows were changed by other than a settle */
    uint32_t changing;     /* slices of orders that are not committed yet: rows that
                              are read meanwhile may be about to change */
    uint64_t changes;      /* people's orders so far: their numbers */
    struct queue_survey surveys[QUEUE_SURVEYS]; /* see tally.c */

    uint64_t begun_event; /* the last one that there was at the start */
    _Atomic uint64_t last_id;
    _Atomic uint64_t puts, settles, commits, commit_us_last, commit_us_max;
    _Atomic uint64_t events, wal_bytes;
    _Atomic uint32_t traces[WORKS_TRACES]; /* how many of `works` have that hash */
    struct histogram commit_us, commit_jobs; /* the writer's */
    _Atomic uint64_t ready, deferred, held; /* recipients: surveys' */

    struct disk disk;
    struct notes notes;
    struct budgets budgets;
    struct writer writer;
    struct reader reader;
    struct historian historian;
    struct recounting recounting, streaming;
    struct roll roll;
    struct heat heat;
    struct bodies bodies;
    struct snapshot snapshot;
    struct backup backup;
};

static inline uint32_t queue_down(const struct queue *q)
{
    uint32_t down = 0;

    for (int i = DESTINATION_UP + 1; i < QUEUE_DESTINATION_STATES; i++)
        down += q->in_state[i];
    return down;
}

static inline void queue_lock(struct queue *q)
{
    pthread_mutex_lock(&q->lock);
}

static inline void queue_unlock(struct queue *q)
{
    pthread_mutex_unlock(&q->lock);
}

/* Wall clock. */
int64_t queue_now_ms(const struct queue *q);
/* CLOCK_MONOTONIC, for waits. */
int64_t queue_monotonic_ms(void);
/* What tells whether the wall clock was set. */
int64_t queue_steady_ms(const struct queue *q);
void queue_say(const struct queue *q, enum queue_notice kind,
               const char *format, ...) __attribute__((format(printf, 3, 4)));
/* Nothing more may be acknowledged: says why and ends the process (75). */
_Noreturn void queue_die(const struct queue *q, const char *what,
                         const char *why);
/* A thread with a name that `top -H` shows (15 bytes at most). */
bool queue_thread_start(pthread_t *out_thread, const char *name,
                        void *(*run)(void *user), void *user);
/* A condition that waits on the monotonic clock. */
void queue_condition_init(pthread_cond_t *c);
/* At most wait_ms; negative: until signalled. */
void queue_condition_wait(pthread_cond_t *c, pthread_mutex_t *m,
                          int64_t wait_ms);

#endif
