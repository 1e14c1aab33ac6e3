/*
 * historian - outcomes go from the queue into the history.
 */
#include "queue/historian.h"

#include "policy/vocabulary/memory.h"
#include "queue/core.h"
#include "queue/history_index.h"

#include <stddef.h>
#include <stdlib.h>

enum {
    PERIOD_MS = 1000,
    EVENTS_PAGE = 4000, /* the more, the fewer pages of indexes are written */
    RING = 4096,
    REFUSALS_PAGE = 256,
    REFUSAL_TEXT = 512, /* of each field */
    PRUNE_MS = 60000,
    PRUNE_PAGE = 250, /* of millions: a quarter of a second, with all indexes */
    ROW_BYTES = 800,  /* about, with what the indexes have of it */
    FORGET_MS = 250,  /* at most, of each period */
    BUSY_MS = 20,     /* the wait when there is more to forget */
    VACUUM_PAGES = 512,
    MANY_ROWS = 100 * 1000, /* it takes a while, so people are told */
};

static void historian_failed(struct historian *h, int rc)
{
    if (!h->has_warned)
        queue_say(h->queue, QUEUE_WARNING, "the history pauses: %s",
                  error_text(rc));
    h->has_warned = true;
}

/* ----------------------------------------------------------- refusals ---- */

static const size_t refusal_texts[] = {
    offsetof(struct queue_refusal, client),
    offsetof(struct queue_refusal, helo),
    offsetof(struct queue_refusal, login),
    offsetof(struct queue_refusal, sender),
    offsetof(struct queue_refusal, recipient),
    offsetof(struct queue_refusal, reply),
    offsetof(struct queue_refusal, rule),
    offsetof(struct queue_refusal, place),
    offsetof(struct queue_refusal, stage),
    offsetof(struct queue_refusal, client_name),
    offsetof(struct queue_refusal, listener),
    offsetof(struct queue_refusal, tls),
};

enum { REFUSAL_TEXTS = sizeof refusal_texts / sizeof *refusal_texts };

static struct span *refusal_text(struct queue_refusal *r, size_t i)
{
    return (struct span *)(void *)((char *)r + refusal_texts[i]);
}

/* The block of all text is client.at. */
static struct queue_refusal refusal_copy(const struct queue_refusal *r)
{
    struct queue_refusal copy = *r;
    size_t len = 1;
    char *text;

    for (size_t i = 0; i < REFUSAL_TEXTS; i++) {
        struct span *s = refusal_text(&copy, i);

        *s = span_first(*s, REFUSAL_TEXT);
        len += s->len;
    }
    text = memory_take(len);
    for (size_t i = 0; i < REFUSAL_TEXTS; i++) {
        struct span *s = refusal_text(&copy, i);

        if (s->len)
            memcpy(text, s->at, s->len);
        s->at = text;
        text += s->len;
    }
    return copy;
}

static void refusal_free(struct queue_refusal *r)
{
    free((void *)r->client.at);
}

void queue_refuse(struct queue *q, const struct queue_refusal *r)
{
    struct historian *h = &q->historian;

    if (!h->is_running)
        return;
    pthread_mutex_lock(&h->lock);
    if (h->count < RING)
        h->ring[(h->first + h->count++) % RING] = refusal_copy(r);
    else
        atomic_fetch_add(&h->dropped, 1);
    pthread_mutex_unlock(&h->lock);
}

static uint32_t refusals_take(struct historian *h, struct queue_refusal *out)
{
    uint32_t n = 0;

    pthread_mutex_lock(&h->lock);
    for (; n < REFUSALS_PAGE && h->count > 0; n++) {
        out[n] = h->ring[h->first];
        h->first = (h->first + 1) % RING;
        h->count--;
    }
    pthread_mutex_unlock(&h->lock);
    return n;
}

static void refusals_write(struct historian *h)
{
    struct queue_refusal page[REFUSALS_PAGE];
    uint32_t n;
    int rc = 0;

    while (rc >= 0 && (n = refusals_take(h, page)) > 0) {
        rc = history_refusals(h->history, page, n);
        if (rc < 0) {
            historian_failed(h, rc);
            atomic_fetch_add(&h->dropped, n);
        }
        for (uint32_t i = 0; i < n; i++)
            refusal_free(&page[i]);
    }
}

/* ------------------------------------------------------------- events ---- */

static void events_copy(struct historian *h)
{
    uint64_t until = atomic_load(&h->queue->events);
    int64_t last = 0;
    int rc;

    do {
        rc = history_drain(h->history, h->db, EVENTS_PAGE, &last);
        if (rc < 0)
            historian_failed(h, rc);
        else if (last)
            writer_events_done(h->queue, last);
    } while (rc >= 0 && last);
    if (rc >= 0) {
        atomic_store(&h->copied_until, until);
        h->has_warned = false;
    }
}

/* A fiftieth less than the cap, so that it does not begin again with the next row. */
static int forget_oldest(struct historian *h, uint64_t used_bytes)
{
    uint64_t cap = h->queue->history_bytes, target = cap - cap / 50, rows;

    h->is_over_cap = cap && used_bytes > (h->is_over_cap ? target : cap);
    if (!h->is_over_cap)
        return 0;
    rows = (used_bytes - target) / ROW_BYTES + 1;
    return history_prune_oldest(h->history, rows < PRUNE_PAGE ? (uint32_t)rows
                                                              : PRUNE_PAGE);
}

/* One page of what is too old or too much; *out_more: it was not the last. */
static int forget_page(struct historian *h, bool *out_more)
{
    struct queue *q = h->queue;
    uint64_t cap = q->history_bytes;
    struct history_size size;
    uint32_t count = 0;
    int rc = 0;

    *out_more = false;
    if (h->has_old)
        rc = history_prune(h->history, queue_now_ms(q) - q->history_ms,
                           PRUNE_PAGE, &count);
    h->has_old = count >= PRUNE_PAGE;
    if (rc < 0 || (rc = history_size(h->history, &size)) < 0 ||
        (rc = forget_oldest(h, size.used_bytes)) < 0)
        return rc;
    *out_more = h->has_old || h->is_over_cap;
    /* Free pages are used again; a file that was much larger gives them back. */
    if ((cap && size.file_bytes > cap) ||
        size.used_bytes < size.file_bytes / 2) {
        rc = history_vacuum(h->history, VACUUM_PAGES);
        *out_more = true;
    }
    return rc;
}

static void history_forget(struct historian *h)
{
    int64_t now = queue_monotonic_ms();
    int64_t until = now + FORGET_MS;
    int rc;

    if (now >= h->pruned_ms + PRUNE_MS) {
        h->pruned_ms = now;
        h->has_old = true;
    }
    do {
        rc = forget_page(h, &h->has_more);
        if (rc < 0)
            historian_failed(h, rc);
    } while (rc >= 0 && h->has_more && queue_monotonic_ms() < until);
}

/* ------------------------------------------------------------ indexes ---- */

static void index_begins(void *user, const char *name, int64_t rows)
{
    struct historian *h = user;

    h->has_many = rows >= MANY_ROWS;
    if (h->has_many)
        queue_say(h->queue, QUEUE_INFO,
                  "the history's index %s is brought up to date, for about "
                  "%lld rows; until then questions take longer",
                  name, (long long)rows);
}

static bool index_goes_on(void *user)
{
    struct historian *h = user;
    bool goes_on;

    pthread_mutex_lock(&h->lock);
    goes_on = !h->is_stopping;
    pthread_mutex_unlock(&h->lock);
    return goes_on;
}

/* Once after the start; outcomes are copied between two of them. */
static void indexes_build(struct historian *h)
{
    const char *name = "";
    int rc = 0;

    while (rc >= 0 && name && index_goes_on(h) &&
           disk_has_room(&h->queue->disk, 0)) {
        rc = history_index_step(h->history, index_begins, index_goes_on, h,
                                &name);
        if (rc >= 0 && name) {
            events_copy(h);
            refusals_write(h);
        }
    }
    if (rc >= 0 && !name && h->has_many)
        queue_say(h->queue, QUEUE_INFO, "the history's indexes are ready");
    if (rc < 0 && index_goes_on(h))
        queue_say(h->queue, QUEUE_WARNING,
                  "the history's indexes could not be built: %s; questions to "
                  "it are slower until the next start",
                  error_text(rc));
}

/* What is only old may wait while mail flows; what is over the cap grows meanwhile. */
static int64_t wait_ms(const struct historian *h)
{
    if (!h->has_more)
        return PERIOD_MS;
    return h->is_over_cap ? BUSY_MS : FORGET_MS;
}

static bool historian_wait(struct historian *h)
{
    bool goes_on;

    pthread_mutex_lock(&h->lock);
    if (!h->is_stopping)
        queue_condition_wait(&h->wake, &h->lock, wait_ms(h));
    goes_on = !h->is_stopping;
    pthread_mutex_unlock(&h->lock);
    return goes_on;
}

static void *historian_main(void *user)
{
    struct historian *h = user;
    bool goes_on;

    indexes_build(h);
    do {
        goes_on = historian_wait(h);
        if (!disk_has_room(&h->queue->disk, 0))
            continue;
        events_copy(h);
        refusals_write(h);
        history_forget(h);
    } while (goes_on);
    return NULL;
}

int historian_start(struct historian *h, struct queue *q)
{
    int rc;

    h->queue = q;
    if ((rc = history_open(&h->history, q->path)) < 0 ||
        (rc = store_reader_open(&h->db, q->path)) < 0)
        return rc;
    pthread_mutex_init(&h->lock, NULL);
    queue_condition_init(&h->wake);
    h->ring = NEW_ARRAY(struct queue_refusal, RING);
    h->pruned_ms = queue_monotonic_ms();
    h->is_running =
        queue_thread_start(&h->thread, "queue-history", historian_main, h);
    ASSERT(h->is_running);
    return 0;
}

void historian_stop(struct historian *h)
{
    if (h->is_running) {
        pthread_mutex_lock(&h->lock);
        h->is_stopping = true;
        pthread_cond_signal(&h->wake);
        pthread_mutex_unlock(&h->lock);
        pthread_join(h->thread, NULL);
        h->is_running = false;
        for (; h->count > 0; h->count--, h->first++)
            refusal_free(&h->ring[h->first % RING]);
        pthread_cond_destroy(&h->wake);
        pthread_mutex_destroy(&h->lock);
    }
    free(h->ring);
    h->ring = NULL;
    if (h->db)
        store_reader_close(h->db);
    history_close(h->history);
    h->db = NULL;
    h->history = NULL;
}
