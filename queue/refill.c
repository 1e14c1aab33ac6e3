/*
 * refill - what is due comes from disk into memory.
 *
 * A lane is read in order of due time. What is passed over, because its sender holds
 * its share, is read again from there when that sender has less (resume). A pass that
 * passes over too much ends early: then a later sender waits for those in front, or
 * brings new mail, which is no worse than one line for all.
 */
#include "queue/refill.h"

#include "policy/vocabulary/id.h"
#include "policy/vocabulary/memory.h"
#include "queue/active.h"
#include "queue/cache.h"
#include "queue/slot.h"
#include "queue/standing.h"
#include "queue/works.h"

#include <stdlib.h>

enum {
    LANES_PAGE = 1000,
    WORKS_PAGE = 500,
    WORKS_PAGE_LEAST = 16,
    LOAD_PAGE = 64,
    PASSED_MOST = 2000,
    PASSED_MOST_UNREAD = 20000, /* so that order holds across a restart */
};

/* -------------------------------------------------------------- lanes ---- */

struct lane_page {
    struct queue *queue;
    int64_t now_ms;
};

static void each_lane(void *user, int64_t id, struct span key, int64_t due_ms)
{
    struct lane_page *p = user;
    struct queue *q = p->queue;
    struct lane *l;

    queue_lock(q);
    l = lane_get(q, key, id);
    if (due_ms <= p->now_ms)
        lane_restart(q, l);
    else if (due_ms != INT64_MAX)
        lane_due_at(q, l, due_ms);
    queue_unlock(q);
}

bool refill_walk(struct reader *r)
{
    struct lane_page p = { r->queue, queue_now_ms(r->queue) };
    struct destination *d;
    int64_t last = 0;
    int rc;

    if (!r->is_walking) {
        if (!atomic_exchange(&r->wants_walk, false))
            return false;
        r->is_walking = true;
        r->walked_lane = 0;
    }
    rc = store_read_lanes(r->db, r->walked_lane, LANES_PAGE, each_lane, &p,
                          &last);
    if (rc < 0)
        reader_failed(r, "the lanes", rc);
    if (rc >= 0 && last != 0) {
        r->walked_lane = last;
        return true;
    }
    r->is_walking = false;
    queue_lock(r->queue);
    r->queue->are_lanes_read = true;
    TAILQ_FOREACH(d, &r->queue->all_destinations, all)
    {
        standing_look(r->queue, d);
    }
    queue_unlock(r->queue);
    return true;
}

/* ------------------------------------------------------------ content ---- */

static size_t load_take(struct queue *q, struct cold *cold, size_t *out_must)
{
    struct destination *d;
    size_t n = 0;

    queue_lock(q);
    d = TAILQ_FIRST(&q->loading);
    if (d) {
        TAILQ_REMOVE(&q->loading, d, load_link);
        d->is_loading = false;
        n = cache_cold(d, cold, LOAD_PAGE);
        /* One in hand for each that waits, whatever the cache holds. */
        *out_must = TAILQ_EMPTY(&d->turns) ? 1 + d->parked_count : 0;
    }
    queue_unlock(q);
    return n;
}

static void load_failed(struct reader *r, const struct cold *cold, int rc)
{
    struct queue *q = r->queue;

    if (rc == ERROR_CHECKSUM) {
        queue_say(q, QUEUE_WARNING,
                  "%s: content does not match its checksum; message is held",
                  id_print(cold->message).at);
        writer_hold_damaged(q, cold->message);
    } else if (rc != ERROR_GONE) {
        reader_failed(r, "content", rc);
    }
    queue_lock(q);
    active_drop_waiting(q, cold->message);
    queue_unlock(q);
}

/* False: there is no more memory for content. */
static bool load_one(struct reader *r, const struct cold *cold, bool is_must)
{
    struct queue *q = r->queue;
    struct buffer content = { 0 };
    bool has_cache;
    int rc;

    rc = store_read_content(r->db, cold->message, cold->checksum, &content);
    if (rc < 0) {
        buffer_fini(&content);
        load_failed(r, cold, rc);
        return true;
    }
    queue_lock(q);
    has_cache = is_must || cache_has_room(q, content.len);
    if (has_cache)
        cache_warm(q, cold->message, content.at ? content.at : memory_take(1),
                   content.len);
    queue_unlock(q);
    if (!has_cache)
        buffer_fini(&content);
    return has_cache;
}

bool refill_load(struct reader *r)
{
    struct cold cold[LOAD_PAGE];
    size_t must = 0;
    size_t n = load_take(r->queue, cold, &must);

    for (size_t i = 0; i < n; i++)
        if (!load_one(r, &cold[i], i < must))
            break;
    return n > 0;
}

/* -------------------------------------------------------------- works ---- */

struct found {
    struct bundle **at;
    size_t count, size;
};

static void each_work(void *user, struct queue_work *take_work,
                      const struct store_content *c)
{
    struct found *f = user;

    if (f->count == f->size) {
        f->size = f->size ? f->size * 2 : WORKS_PAGE;
        f->at = memory_grow(f->at, f->size * sizeof(void *));
    }
    f->at[f->count++] = bundle_of_work(take_work, c);
}

/* What a page is read for. */
struct pass {
    struct lane *lane;
    struct destination *destination;
    int64_t id;
    uint32_t number; /* of the lane's pass */
    uint64_t epoch;
    uint32_t limit;
    struct store_cursor cursor;
    bool has_rest;   /* the store has more rows that are due */
    int64_t next_ms; /* when there is none: what is due next */
};

/* The next lane of the next hungry destination; both go to the end of their lines. */
static bool pass_begin(struct queue *q, struct pass *p)
{
    struct destination *d;
    struct lane *l;
    uint32_t share;

    while ((d = TAILQ_FIRST(&q->hungry))) {
        TAILQ_REMOVE(&q->hungry, d, hungry_link);
        share = destination_share(q, d);
        l = TAILQ_FIRST(&d->todo);
        d->is_hungry = l && d->count < share;
        if (!d->is_hungry)
            continue;
        TAILQ_INSERT_TAIL(&q->hungry, d, hungry_link);
        TAILQ_REMOVE(&d->todo, l, todo_link);
        TAILQ_INSERT_TAIL(&d->todo, l, todo_link);
        l->has_news = false;
        l->due_meanwhile = TIMER_NEVER;
        *p = (struct pass){
            .lane = l,
            .destination = d,
            .id = l->id,
            .number = l->pass,
            .epoch = q->change_epoch,
            .limit = share - d->count,
            .cursor = l->cursor,
            .next_ms = TIMER_NEVER,
        };
        if (p->limit > WORKS_PAGE)
            p->limit = WORKS_PAGE;
        if (p->limit < WORKS_PAGE_LEAST)
            p->limit = WORKS_PAGE_LEAST;
        works_reading_begin(q);
        return true;
    }
    return false;
}

static struct store_cursor in_front_of(const struct bundle *b)
{
    return (struct store_cursor){
        .due_ms = b->work.recipients[0].due_ms,
        .message = b->work.message - 1,
        .number = UINT32_MAX,
    };
}

/* Takes in what fits. True: the page was gone through to its end. */
static bool pass_take(struct queue *q, struct pass *p, struct found *f)
{
    struct lane *l = p->lane;
    size_t i = 0;

    for (bool is_full = false; i < f->count && !is_full; i++) {
        struct store_cursor here = in_front_of(f->at[i]);
        uint32_t n = (uint32_t)f->at[i]->work.count;

        switch (active_add_found(q, l, f->at[i])) {
        case REFILL_TAKEN:
            break;
        case REFILL_PASSED:
            if (l->passed == 0)
                l->resume = here;
            l->passed += n;
            break;
        case REFILL_FULL:
            p->cursor = here;
            is_full = true;
            break;
        }
        if (is_full) {
            for (i++; i < f->count; i++)
                (void)active_add_found(q, l, f->at[i]);
            return false;
        }
    }
    return true;
}

static void pass_end(struct queue *q, struct pass *p, bool is_whole)
{
    struct lane *l = p->lane;
    uint32_t most = l->is_unread ? PASSED_MOST_UNREAD : PASSED_MOST;

    l->cursor = p->cursor;
    if (!is_whole)
        return;
    if (p->has_rest && l->passed < most)
        return;
    l->is_unread = false;
    if (l->passed) {
        lane_skip(q, l);
    } else if (l->has_news) {
        lane_restart(q, l);
    } else {
        lane_is_read(q, l);
    }
    if (!p->has_rest) {
        int64_t next =
            p->next_ms < l->due_meanwhile ? p->next_ms : l->due_meanwhile;

        timers_set(&q->timers, &l->timer, next);
    }
}

static void pass_apply(struct queue *q, struct pass *p, struct found *f)
{
    bool is_void = q->changing > 0 || p->epoch != q->change_epoch ||
                   p->lane->pass != p->number ||
                   !p->lane->has_more || p->lane->destination != p->destination;

    if (is_void) {
        for (size_t i = 0; i < f->count; i++)
            bundle_free(f->at[i]);
        return;
    }
    pass_end(q, p, pass_take(q, p, f));
    slot_run(q, p->destination);
}

bool refill_page(struct reader *r)
{
    struct queue *q = r->queue;
    struct found f = { 0 };
    int64_t now_ms = queue_now_ms(q);
    struct pass p;
    bool has_pass;
    int rc;

    queue_lock(q);
    has_pass = q->changing == 0 && q->active < q->active_most / 2 &&
               pass_begin(q, &p);
    queue_unlock(q);
    if (!has_pass)
        return false;
    rc = store_read_due(r->db, p.id, now_ms, &p.cursor, p.limit, each_work, &f,
                        &p.has_rest);
    if (rc >= 0 && !p.has_rest)
        rc = store_read_next_due(r->db, p.id, now_ms, &p.next_ms);
    queue_lock(q);
    if (rc >= 0)
        pass_apply(q, &p, &f);
    works_reading_end(q);
    queue_unlock(q);
    for (size_t i = 0; rc < 0 && i < f.count; i++)
        bundle_free(f.at[i]);
    free(f.at);
    if (rc < 0)
        reader_failed(r, "what is due", rc);
    return rc >= 0;
}
