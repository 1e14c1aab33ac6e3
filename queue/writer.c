/*
 * writer - the one thread that writes: group commit.
 */
#include "queue/writer.h"

#include "queue/core.h"
#include "queue/tidy.h"

#include <time.h>

enum {
    BATCH_JOBS = 500,
    BATCH_BYTES = 16 * 1024 * 1024,
    BEHIND_JOBS = 4000,
    BEHIND_BYTES = 64 * 1024 * 1024,
};

static void job_list_init(struct job_list *l)
{
    l->first = NULL;
    l->last = &l->first;
    l->count = 0;
}

static void job_list_append(struct job_list *l, struct job *j)
{
    j->next = NULL;
    *l->last = j;
    l->last = &j->next;
    l->count++;
}

static struct job *job_list_take(struct job_list *l)
{
    struct job *j = l->first;

    l->first = j->next;
    l->count--;
    if (!l->first)
        l->last = &l->first;
    return j;
}

void writer_submit(struct writer *w, struct job *take_j)
{
    pthread_mutex_lock(&w->lock);
    job_list_append(take_j->kind->goes_first ? &w->settles : &w->others,
                    take_j);
    w->waiting_bytes += take_j->bytes;
    if (w->waiting++ == 0)
        pthread_cond_signal(&w->wake);
    if (w->waiting > BEHIND_JOBS || w->waiting_bytes > BEHIND_BYTES)
        atomic_store(&w->is_behind, true);
    pthread_mutex_unlock(&w->lock);
}

bool writer_is_stopping(struct writer *w)
{
    bool is_it;

    pthread_mutex_lock(&w->lock);
    is_it = w->is_stopping;
    pthread_mutex_unlock(&w->lock);
    return is_it;
}

bool queue_is_behind(struct queue *q)
{
    return atomic_load_explicit(&q->writer.is_behind, memory_order_relaxed);
}

static void writer_ease(struct writer *w)
{
    struct queue_port *p;

    queue_lock(w->queue);
    TAILQ_FOREACH(p, &w->queue->ports, all)
    {
        port_ease(p);
    }
    queue_unlock(w->queue);
}

/* Between batches: a picture for a backup, a page of the roll. */
static void step_aside(struct writer *w, bool is_busy)
{
    if (snapshot_wait_ms(w) == 0)
        snapshot_step(w, is_busy);
    if (roll_wait_ms(w) == 0)
        roll_step(w, is_busy);
}

/* The same when nothing else is to be done, with what needs idleness. */
static void step_idle(struct writer *w)
{
    if (tidy_wait_ms(w) == 0)
        tidy_step(w);
    else
        step_aside(w, false);
}

/* Until one of them is to be done. */
static int64_t idle_ms(const struct writer *w)
{
    int64_t ms = tidy_wait_ms(w), copy = snapshot_wait_ms(w),
            page = roll_wait_ms(w);

    ms = copy < ms ? copy : ms;
    return page < ms ? page : ms;
}

/* Waits for work; false when there is none and never will be. */
static bool writer_take(struct writer *w, struct job_list *batch)
{
    uint32_t n = 0;
    size_t bytes = 0;
    bool is_eased;

    job_list_init(batch);
    pthread_mutex_lock(&w->lock);
    while (w->waiting == 0 && !w->is_stopping) {
        int64_t wait_ms = idle_ms(w);

        if (wait_ms == 0) {
            pthread_mutex_unlock(&w->lock);
            step_idle(w);
            pthread_mutex_lock(&w->lock);
            continue;
        }
        queue_condition_wait(&w->wake, &w->lock, wait_ms);
    }
    while (w->waiting && n < BATCH_JOBS && bytes < BATCH_BYTES) {
        struct job *j =
            job_list_take(w->settles.first ? &w->settles : &w->others);

        bytes += j->bytes;
        n++;
        w->waiting--;
        w->waiting_bytes -= j->bytes;
        job_list_append(batch, j);
    }
    is_eased = atomic_load(&w->is_behind) && w->waiting < BEHIND_JOBS / 2 &&
               w->waiting_bytes < BEHIND_BYTES / 2;
    if (is_eased)
        atomic_store(&w->is_behind, false);
    pthread_mutex_unlock(&w->lock);
    if (is_eased)
        writer_ease(w);
    return batch->first != NULL;
}

/* Runs one job in its savepoint. ERROR_FULL: the transaction as a whole is in doubt. */
static int job_run(struct writer *w, struct job *j)
{
    int rc;

    if ((rc = store_job_begin(w->store)) < 0)
        return rc;
    j->rc = j->kind->run(w->queue, j);
    if (j->rc == ERROR_DAMAGED)
        queue_die(w->queue, "the queue is damaged", store_why(w->store));
    if (j->rc < 0 && j->kind->is_vital)
        return j->rc;
    if ((rc = store_job_end(w->store, j->rc >= 0)) < 0 && j->rc >= 0)
        j->rc = rc;
    return rc;
}

/* Without savepoints, which cost a third of a put: all goes well or is done again. */
static int batch_run_plain(struct writer *w, const struct job_list *batch)
{
    for (struct job *j = batch->first; j; j = j->next) {
        j->rc = j->kind->admit ? j->kind->admit(w->queue, j) : 0;
        if (j->rc >= 0)
            j->rc = j->kind->run(w->queue, j);
        else
            continue;
        if (j->rc < 0)
            return j->rc;
    }
    return 0;
}

/* Each in its savepoint; with settles_only but what goes first. */
static int batch_run_each(struct writer *w, const struct job_list *batch,
                          bool settles_only)
{
    int rc = 0;

    for (struct job *j = batch->first; j && rc >= 0; j = j->next) {
        j->rc = settles_only && !j->kind->goes_first ? ERROR_FULL : 0;
        if (j->rc >= 0 && j->kind->admit)
            j->rc = j->kind->admit(w->queue, j);
        if (j->rc >= 0)
            rc = job_run(w, j);
    }
    return rc;
}

enum batch_mode { BATCH_PLAIN, BATCH_EACH, BATCH_SETTLES };

static int batch_try(struct writer *w, const struct job_list *batch,
                     enum batch_mode mode)
{
    int rc = store_begin(w->store);
    bool is_commit = false;

    if (rc >= 0)
        rc = mode == BATCH_PLAIN
                 ? batch_run_plain(w, batch)
                 : batch_run_each(w, batch, mode == BATCH_SETTLES);
    if (rc >= 0) {
        is_commit = true;
        rc = store_commit(w->store);
    }
    if (rc < 0 && rc != ERROR_FULL && (is_commit || mode != BATCH_PLAIN))
        queue_die(w->queue, "the queue could not be written",
                  store_why(w->store));
    if (rc < 0)
        store_rollback(w->store);
    return rc;
}

static int64_t now_us(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * (int64_t)1000000 + t.tv_nsec / 1000;
}

static void batch_commit(struct writer *w, const struct job_list *batch)
{
    struct queue *q = w->queue;
    int64_t start = now_us();
    uint64_t us;
    int rc = batch_try(w, batch, BATCH_PLAIN);

    if (rc < 0)
        rc = batch_try(w, batch, BATCH_EACH);
    if (rc < 0)
        rc = batch_try(w, batch, BATCH_SETTLES);
    if (rc < 0 && disk_drop_ballast(&q->disk))
        rc = batch_try(w, batch, BATCH_SETTLES);
    if (rc < 0)
        queue_die(q, "the disk is full and what was delivered cannot be noted",
                  store_why(w->store));
    us = (uint64_t)(now_us() - start);
    histogram_add(&q->commit_us, &histogram_moments, us);
    histogram_add(&q->commit_jobs, &histogram_batches, batch->count);
    atomic_fetch_add(&q->commits, 1);
    atomic_store(&q->commit_us_last, us);
    if (us > atomic_load(&q->commit_us_max))
        atomic_store(&q->commit_us_max, us);
    atomic_store(&q->wal_bytes, store_wal_bytes(w->store));
}

static void batch_finish(struct writer *w, struct job *first)
{
    struct letter *letters = NULL, **last = &letters;
    struct job *j, *next;

    queue_lock(w->queue);
    for (j = first; j; j = j->next)
        if (j->rc >= 0 && j->kind->committed)
            j->kind->committed(w->queue, j);
    queue_unlock(w->queue);
    roll_publish(&w->queue->roll);
    for (j = first; j; j = next) {
        next = j->next;
        if (!j->kind->finish || j->kind->finish(w->queue, j)) {
            *last = &j->letter;
            last = &j->letter.next;
        }
    }
    *last = NULL;
    port_post_batch(letters);
}

static void *writer_main(void *user)
{
    struct writer *w = user;
    struct job_list batch;

    while (writer_take(w, &batch)) {
        batch_commit(w, &batch);
        batch_finish(w, batch.first);
        tidy_after_commit(w);
        step_aside(w, true);
    }
    return NULL;
}

void writer_start(struct writer *w, struct queue *q, struct store *take_store)
{
    w->queue = q;
    w->store = take_store;
    pthread_mutex_init(&w->lock, NULL);
    queue_condition_init(&w->wake);
    job_list_init(&w->settles);
    job_list_init(&w->others);
    w->is_running = queue_thread_start(&w->thread, "queue-writer", writer_main, w);
    ASSERT(w->is_running);
}

void writer_stop(struct writer *w)
{
    if (!w->is_running)
        return;
    pthread_mutex_lock(&w->lock);
    w->is_stopping = true;
    pthread_cond_signal(&w->wake);
    pthread_mutex_unlock(&w->lock);
    pthread_join(w->thread, NULL);
    w->is_running = false;
    pthread_cond_destroy(&w->wake);
    pthread_mutex_destroy(&w->lock);
    store_close(w->store);
    w->store = NULL;
}
