/*
 * tidy - what the writer does besides.
 */
#include "queue/tidy.h"

#include "queue/body.h"
#include "queue/core.h"

enum {
    STEP_MS = 5000,       /* between steps, when idle */
    BUSY_STEP_MS = 60000, /* when never idle */
    SOON_MS = 100,        /* there is more to be purged; when never idle: */
    BUSY_SOON_MS = 500,
    PURGE_MOST = 200,     /* deleted messages in one step */
    NOTES_MOST = 500,     /* expired */
    DIALOGUES_MOST = 500, /* looked at */
    VACUUM_PAGES = 256,
    WAL_IDLE = 4 * 1024 * 1024,
    WAL_BUSY = 16 * 1024 * 1024,
    WAL_RESET = 128 * 1024 * 1024, /* a reader is in the way: press harder */
};

int64_t tidy_wait_ms(const struct writer *w)
{
    int64_t wait = w->has_more ? SOON_MS : STEP_MS;
    int64_t next = w->tidied_ms + wait - queue_monotonic_ms();

    return next > 0 ? next : 0;
}

/* Files go after the commit that forgets their messages. */
struct purged {
    uint64_t files[PURGE_MOST];
    size_t count;
};

static void on_file(void *user, uint64_t message)
{
    struct purged *p = user;

    if (p->count < PURGE_MOST)
        p->files[p->count++] = message;
}

static int purge(struct writer *w)
{
    struct purged p = { .count = 0 };
    int64_t now_ms = queue_now_ms(w->queue);
    int rc = store_begin(w->store);

    if (rc < 0)
        return rc;
    rc = store_purge(w->store, now_ms, PURGE_MOST, on_file, &p);
    if (rc >= 0)
        rc = store_purge_dialogues(w->store, DIALOGUES_MOST);
    if (rc >= 0)
        rc = store_purge_notes(w->store, now_ms, NOTES_MOST, &w->has_more);
    if (rc < 0) {
        store_rollback(w->store);
        return rc;
    }
    if ((rc = store_commit(w->store)) < 0)
        return rc;
    for (size_t i = 0; i < p.count; i++)
        body_unlink(w->queue, p.files[i]);
    return 0;
}

void tidy_step(struct writer *w)
{
    struct queue *q = w->queue;
    int rc = purge(w);

    w->tidied_ms = queue_monotonic_ms();
    if (rc >= 0)
        rc = store_vacuum(w->store, VACUUM_PAGES);
    if (rc < 0 && rc != ERROR_FULL)
        queue_die(q, "the queue could not be written", store_why(w->store));
    disk_load_ballast(&q->disk);
}

void tidy_after_commit(struct writer *w)
{
    uint64_t bytes = store_wal_bytes(w->store);
    int64_t step = w->has_more ? BUSY_SOON_MS : BUSY_STEP_MS;
    bool is_idle;
    int rc;

    if (queue_monotonic_ms() > w->tidied_ms + step)
        tidy_step(w);
    if (bytes < WAL_IDLE)
        return;
    pthread_mutex_lock(&w->lock);
    is_idle = w->waiting == 0;
    pthread_mutex_unlock(&w->lock);
    if (!is_idle && bytes < WAL_BUSY)
        return;
    rc = store_checkpoint(w->store, bytes > WAL_RESET);
    /* What is in the WAL is safe there; on a full disk it stays until there is room. */
    if (rc < 0 && rc != ERROR_FULL && rc != ERROR_LOCKED)
        queue_die(w->queue, "the queue could not be written",
                  store_why(w->store));
    atomic_store(&w->queue->wal_bytes, store_wal_bytes(w->store));
}
