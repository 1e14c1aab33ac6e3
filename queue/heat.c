/*
 * heat - where does mail wait, and since when?
 *
 * The first picture after a start is shown while it is drawn, so that there is an answer at
 * once. Domains are those of lane keys, which are folded.
 */
#include "queue/heat.h"

#include "policy/vocabulary/memory.h"
#include "queue/core.h"

#include <stdlib.h>

enum {
    PAUSE_MS = 10000, /* between two pictures, at least */
    SHARE = 50,       /* times as long as it took; who asks waits no longer */
    LONG_PAUSE_MS = 60000, /* the same when nobody looks */
    LONG_SHARE = 300,
    LOOKED_MS = 600000, /* so long after the last look */
    PAGE = 2000,
};

struct drawing {
    struct heat *heat;
    struct store_reader *db;
    int64_t now_ms;
    int rc;
};

void heat_init(struct heat *h)
{
    pthread_mutex_init(&h->lock, NULL);
}

void heat_fini(struct heat *h)
{
    columns_fini(&h->shown);
    columns_fini(&h->drawn);
    pthread_mutex_destroy(&h->lock);
}

static size_t column_of(int64_t age_ms)
{
    int64_t bound_ms = HEAT_FIRST_MIN * 60000LL;
    size_t column = 0;

    for (; column < HEAT_COLUMNS - 1 && age_ms >= bound_ms; bound_ms *= 2)
        column++;
    return column;
}

static struct columns_row *meet_lane(struct drawing *d, int64_t lane)
{
    struct buffer key = { 0 };
    struct columns_row *row = NULL;
    struct span domain;

    if ((d->rc = store_read_lane_key(d->db, lane, &key)) == 0) {
        domain = buffer_span(&key);
        domain = span_first(domain, span_find(domain, '\t'));
        row = columns_join(&d->heat->drawn, lane, domain);
    }
    buffer_fini(&key);
    return row;
}

static void each_found(void *user, const struct store_found *f)
{
    struct drawing *d = user;
    struct columns_row *row = columns_find(&d->heat->drawn, f->lane);

    if (!row && d->rc == 0)
        row = meet_lane(d, f->lane);
    if (!row)
        return;
    row->total++;
    row->cells[column_of(d->now_ms - f->received_ms)]++;
}

static void begin(struct heat *h, int64_t now_ms)
{
    pthread_mutex_lock(&h->lock); /* a first one that failed is shown still */
    columns_fini(&h->drawn);
    h->drawing_at_ms = now_ms;
    pthread_mutex_unlock(&h->lock);
    h->is_drawing = true;
    h->after_id = 0;
    h->began_ms = queue_monotonic_ms();
}

static void end(struct heat *h, int rc)
{
    int64_t now_ms = queue_monotonic_ms();
    int64_t took_ms = now_ms - h->began_ms;
    struct columns old = { 0 };
    bool is_looked_at;

    h->is_drawing = false;
    pthread_mutex_lock(&h->lock);
    is_looked_at = h->looked_ms && now_ms < h->looked_ms + LOOKED_MS;
    if (rc >= 0) {
        old = h->shown;
        h->shown = h->drawn;
        h->drawn = (struct columns){ 0 };
        h->at_ms = h->drawing_at_ms;
        h->is_complete = true;
    }
    pthread_mutex_unlock(&h->lock);
    columns_fini(&old);
    h->took_ms = took_ms;
    h->next_ms = now_ms + (is_looked_at ? PAUSE_MS + took_ms * SHARE
                                        : LONG_PAUSE_MS + took_ms * LONG_SHARE);
}

/* Somebody looks: it is drawn anew, unless that is much work and was just done. */
static bool is_wanted(struct heat *h, int64_t now_ms)
{
    bool is_it;

    if (now_ms >= h->next_ms)
        return true;
    pthread_mutex_lock(&h->lock);
    is_it = h->looked_ms > h->began_ms &&
            now_ms >= h->began_ms + h->took_ms * SHARE;
    pthread_mutex_unlock(&h->lock);
    return is_it;
}

bool heat_step(struct reader *r)
{
    struct queue_filter all = { 0 };
    struct heat *h = &r->queue->heat;
    struct drawing d = { .heat = h,
                         .db = r->db,
                         .now_ms = queue_now_ms(r->queue) };
    uint64_t next = 0;
    bool is_first;
    int rc;

    if (!h->is_drawing) {
        if (!is_wanted(h, queue_monotonic_ms()))
            return false;
        begin(h, d.now_ms);
    }
    is_first = h->at_ms == 0; /* nobody else sets it */
    if (is_first)
        pthread_mutex_lock(&h->lock);
    rc = store_find(r->db, &all, d.now_ms, NULL, h->after_id, PAGE, each_found,
                    &d, &next);
    if (is_first)
        pthread_mutex_unlock(&h->lock);
    rc = rc < 0 ? rc : d.rc;
    h->after_id = next;
    if (rc < 0 || next == 0)
        end(h, rc);
    return true;
}

/* ------------------------------------------------------------- looking ---- */

static void add_up(struct queue_heat *heat, const struct columns *c)
{
    struct bucket_link **all = buckets_all(&c->rows);

    for (size_t i = 0; i <= c->rows.count; i++) {
        const struct columns_row *row =
            i < c->rows.count ? OWNER(all[i], struct columns_row, by_name)
                              : c->others;

        if (!row)
            continue;
        heat->total += row->total;
        for (size_t k = 0; k < HEAT_COLUMNS; k++)
            heat->cells[k] += row->cells[k];
    }
    free(all);
}

static void put_row(struct queue_heat_row *to, const struct columns_row *row)
{
    to->domain = span_make(row->name, row->len);
    to->total = row->total;
    memcpy(to->cells, row->cells, sizeof to->cells);
}

void queue_heat(struct queue *q, size_t limit, queue_heat_fn *each, void *user)
{
    struct heat *h = &q->heat;
    struct queue_heat out = { 0 };
    struct queue_heat_row *rows;
    struct columns_row **top;
    const struct columns *c;

    pthread_mutex_lock(&h->lock);
    h->looked_ms = queue_monotonic_ms();
    c = h->is_complete ? &h->shown : &h->drawn;
    out.at_ms = h->is_complete ? h->at_ms : h->drawing_at_ms;
    out.is_complete = h->is_complete;
    top = columns_top(c, limit, &out.count);
    rows = NEW_ARRAY(struct queue_heat_row, out.count + 1);
    for (size_t i = 0; i < out.count; i++)
        put_row(&rows[i], top[i]);
    if (c->others && out.count < limit)
        put_row(&rows[out.count++], c->others);
    add_up(&out, c);
    out.rows = rows;
    each(user, &out);
    pthread_mutex_unlock(&h->lock);
    reader_poke(&q->reader); /* an old picture is drawn anew at once */
    free(top);
    free(rows);
}
