/*
 * writer - the one thread that writes: group commit.
 *
 * Takes all jobs that wait, settles first, up to a cap in count and bytes, and runs them
 * in one transaction; should one fail, again with a savepoint for each. When COMMIT has
 * returned they come into effect in memory, under the queue's lock, and their letters go
 * out. While it commits the next batch gathers; there is no timer.
 *
 * Disk full: a put under the reserve fails alone (ERROR_FULL). When the transaction itself
 * meets it, it is rolled back and the settles run alone, with the ballast given back.
 * Any other failure of COMMIT is the end of the process.
 */
#ifndef WAYPOST_WRITER_H
#define WAYPOST_WRITER_H

#include "queue/port.h"
#include "queue/store.h"

#include <stdatomic.h>

struct job;
struct destination;

/* One row for each kind of job; see writer.c. */
struct job_kind {
    const char *name;
    bool
        goes_first; /* a settle: ahead of the others, and when the disk is full */
    bool is_vital; /* its failure is fatal */
    /* Before anything is written; negative: it is not to run. May be NULL. */
    int (*admit)(struct queue *q, struct job *j);
    /* In the transaction; negative: it did not happen. May be called again after a
     * rollback. */
    int (*run)(struct queue *q, struct job *j);
    /* After COMMIT, under the queue's lock, for jobs whose run said 0. */
    void (*committed)(struct queue *q, struct job *j);
    /* Thereafter, without the lock, whatever came of it: j is a letter from here on.
     * False: it has more to do and was handed in again. */
    bool (*finish)(struct queue *q, struct job *j);
};

struct job {
    struct letter letter; /* first */
    struct job *next;
    const struct job_kind *kind;
    size_t bytes;
    int rc;
};

struct job_list {
    struct job *first, **last;
    uint32_t count;
};

struct writer {
    struct queue *queue;
    struct store *store; /* the writer's thread only */
    pthread_t thread;
    bool is_running;
    pthread_mutex_t lock;
    pthread_cond_t wake;
    struct job_list settles, others; /* under lock */
    uint32_t waiting;                /* jobs */
    uint64_t waiting_bytes;
    bool is_stopping;
    _Atomic bool is_behind;
    int64_t tidied_ms; /* monotonic: idle work, the thread's own */
    bool has_more;     /* of that, soon; the thread's too */
};

/* store moves into it. */
void writer_start(struct writer *w, struct queue *q, struct store *take_store);
/* Everything handed in is done first. */
void writer_stop(struct writer *w);
/* Any thread, the queue's lock held or not. */
void writer_submit(struct writer *w, struct job *take_j);

/* Then what is only for later need not be done. */
bool writer_is_stopping(struct writer *w);

/* Internal jobs, unconfirmed. */
void writer_save_destination(struct queue *q, struct destination *d);
void writer_events_done(struct queue *q, int64_t last_event);
/* A message whose content does not match its checksum is kept, but not tried. */
void writer_hold_damaged(struct queue *q, uint64_t message);

#endif
