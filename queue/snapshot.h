/*
 * snapshot - the queue's database as it is at one moment, copied while mail flows.
 *
 * The writer's thread does it, since only its connection can copy without beginning anew at
 * each commit: a slice between two batches, and then a rest of several times as long as the
 * slice took, longer when jobs wait. Readers and checkpoints are not held up.
 */
#ifndef WAYPOST_SNAPSHOT_H
#define WAYPOST_SNAPSHOT_H

#include "queue/store_copy.h"

#include <pthread.h>
#include <stdatomic.h>

struct queue;
struct writer;

enum snapshot_state { SNAPSHOT_NONE, SNAPSHOT_WANTED, SNAPSHOT_DONE };

struct snapshot {
    pthread_mutex_t lock;
    pthread_cond_t done;
    _Atomic int state;         /* enum snapshot_state */
    const char *path;          /* of the copy; under lock, as is the next */
    int rc;                    /* once it is done */
    _Atomic bool is_cancelled; /* it ends at its next slice */
    _Atomic uint64_t pages, left;
    struct store_copy *copy; /* the writer's, as is the next */
    int64_t next_us;         /* monotonic: the next slice */
};

void snapshot_init(struct snapshot *s);
void snapshot_fini(struct snapshot *s);

/* Any thread but the writer's; one at a time. path: of an empty file. */
void snapshot_begin(struct queue *q, const char *path);
/* Waits that long at most; 1: it is still being made. */
MUST int snapshot_wait(struct queue *q, int64_t wait_ms);
/* It ends soon, with ERROR_CLOSING if it was not done; snapshot_wait must still be called
 * until it has. */
void snapshot_cancel(struct queue *q);

/* The writer's thread, between batches. How long until the next slice: 0: now; INT64_MAX:
 * none is wanted. */
int64_t snapshot_wait_ms(const struct writer *w);
void snapshot_step(struct writer *w, bool is_busy);

#endif
