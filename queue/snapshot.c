/*
 * snapshot - the queue's database as it is at one moment, copied while mail flows.
 */
#include "queue/snapshot.h"

#include "queue/core.h"

#include <time.h>

enum {
    SLICE_PAGES = 256, /* half a MB: about a millisecond */
    REST_IDLE = 3,     /* times as long as the slice took */
    REST_BUSY = 12,
};

void snapshot_init(struct snapshot *s)
{
    pthread_mutex_init(&s->lock, NULL);
    queue_condition_init(&s->done);
}

void snapshot_fini(struct snapshot *s)
{
    pthread_cond_destroy(&s->done);
    pthread_mutex_destroy(&s->lock);
}

static int64_t now_us(void)
{
    struct timespec t;

    (void)clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * (int64_t)1000000 + t.tv_nsec / 1000;
}

/* ------------------------------------------------------ who wants one ---- */

void snapshot_begin(struct queue *q, const char *path)
{
    struct snapshot *s = &q->snapshot;

    pthread_mutex_lock(&s->lock);
    ASSERT(s->state == SNAPSHOT_NONE);
    s->path = path;
    s->rc = 0;
    atomic_store(&s->is_cancelled, false);
    atomic_store(&s->pages, 0);
    atomic_store(&s->left, 0);
    atomic_store(&s->state, SNAPSHOT_WANTED);
    pthread_mutex_unlock(&s->lock);
    pthread_mutex_lock(&q->writer.lock);
    pthread_cond_signal(&q->writer.wake);
    pthread_mutex_unlock(&q->writer.lock);
}

int snapshot_wait(struct queue *q, int64_t wait_ms)
{
    struct snapshot *s = &q->snapshot;
    int rc = 1;

    pthread_mutex_lock(&s->lock);
    if (s->state != SNAPSHOT_DONE)
        queue_condition_wait(&s->done, &s->lock, wait_ms);
    if (s->state == SNAPSHOT_DONE) {
        rc = s->rc;
        atomic_store(&s->state, SNAPSHOT_NONE);
    }
    pthread_mutex_unlock(&s->lock);
    return rc;
}

void snapshot_cancel(struct queue *q)
{
    atomic_store(&q->snapshot.is_cancelled, true);
}

/* ----------------------------------------------------- the writer's side -- */

int64_t snapshot_wait_ms(const struct writer *w)
{
    const struct snapshot *s = &w->queue->snapshot;
    int64_t left;

    if (atomic_load_explicit(&s->state, memory_order_acquire) !=
        SNAPSHOT_WANTED)
        return INT64_MAX;
    left = s->next_us - now_us();
    return left <= 0 ? 0 : left / 1000 + 1;
}

static void end(struct snapshot *s, int rc)
{
    store_copy_end(s->copy);
    s->copy = NULL;
    s->next_us = 0;
    pthread_mutex_lock(&s->lock);
    s->rc = rc;
    atomic_store(&s->state, SNAPSHOT_DONE);
    pthread_cond_signal(&s->done);
    pthread_mutex_unlock(&s->lock);
}

void snapshot_step(struct writer *w, bool is_busy)
{
    struct snapshot *s = &w->queue->snapshot;
    int64_t begun = now_us(), ended;
    uint64_t left = 1, pages = 0;
    int rc = atomic_load(&s->is_cancelled) ? ERROR_CLOSING : 0;

    if (rc == 0 && !s->copy)
        rc = store_copy_of(w->store, s->path, &s->copy);
    if (rc == 0)
        rc = store_copy_step(s->copy, SLICE_PAGES, &left, &pages);
    if (rc < 0 || left == 0) {
        end(s, rc);
        return;
    }
    atomic_store(&s->pages, pages);
    atomic_store(&s->left, left);
    ended = now_us();
    s->next_us = ended + (ended - begun) * (is_busy ? REST_BUSY : REST_IDLE);
}
