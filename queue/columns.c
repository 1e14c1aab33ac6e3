/*
 * columns - a table of names, each with a row of counts.
 */
#include "queue/columns.h"

#include "policy/vocabulary/memory.h"

#include <stdlib.h>
#include <string.h>

enum { NAMES_MOST = 20000, LANES_MOST = 50000 };

struct lane_link {
    struct bucket_link by_lane;
    int64_t lane;
    struct columns_row *row;
};

struct columns_row *columns_find(const struct columns *c, int64_t lane)
{
    struct bucket_link *l =
        buckets_first(&c->lanes, buckets_hash_number((uint64_t)lane));

    for (; l; l = buckets_next(l)) {
        const struct lane_link *link = OWNER(l, struct lane_link, by_lane);

        if (link->lane == lane)
            return link->row;
    }
    return NULL;
}

static struct columns_row *row_new(struct span name)
{
    struct columns_row *row = memory_zero(1, sizeof *row + name.len);

    row->len = name.len;
    if (name.len)
        memcpy(row->name, name.at, name.len);
    return row;
}

struct columns_row *columns_name(struct columns *c, struct span name)
{
    uint64_t hash = buckets_hash(name);
    struct bucket_link *l = buckets_first(&c->rows, hash);
    struct columns_row *row;

    for (; l; l = buckets_next(l)) {
        row = OWNER(l, struct columns_row, by_name);
        if (span_is(span_make(row->name, row->len), name))
            return row;
    }
    if (c->names == NAMES_MOST) {
        if (!c->others)
            c->others = row_new(SPAN(""));
        return c->others;
    }
    row = row_new(name);
    buckets_put(&c->rows, &row->by_name, hash);
    c->names++;
    return row;
}

struct columns_row *columns_join(struct columns *c, int64_t lane,
                                 struct span name)
{
    struct columns_row *row = columns_name(c, name);
    struct lane_link *link;

    if (c->lanes.count < LANES_MOST) {
        link = NEW(struct lane_link);
        link->lane = lane;
        link->row = row;
        buckets_put(&c->lanes, &link->by_lane,
                    buckets_hash_number((uint64_t)lane));
    }
    return row;
}

struct columns_row *columns_meet(struct columns *c, int64_t lane,
                                 struct store_reader *db,
                                 const struct store_view *view, int *io_rc)
{
    struct columns_row *row = columns_find(c, lane);
    struct buffer key = { 0 }, name = { 0 };

    if (!row && *io_rc == 0 &&
        (*io_rc = store_read_lane_key(db, lane, &key)) == 0) {
        view->destination(view->user, buffer_span(&key), &name);
        row = columns_join(c, lane, buffer_span(&name));
    }
    buffer_fini(&key);
    buffer_fini(&name);
    return row;
}

void columns_count(struct columns_row *row, uint64_t message,
                   uint64_t recipients, uint64_t size_bytes)
{
    row->total += recipients;
    if (row->last_message == message)
        return;
    row->last_message = message;
    row->cells[COLUMNS_MESSAGES]++;
    row->cells[COLUMNS_BYTES] += size_bytes;
}

static int by_total(const void *a, const void *b)
{
    const struct columns_row *x = *(struct columns_row *const *)a;
    const struct columns_row *y = *(struct columns_row *const *)b;
    size_t len = x->len < y->len ? x->len : y->len;
    int order;

    if (x->total != y->total)
        return x->total > y->total ? -1 : 1;
    order = memcmp(x->name, y->name, len);
    return order ? order : (x->len > y->len) - (x->len < y->len);
}

struct columns_row **columns_top(const struct columns *c, size_t limit,
                                 size_t *out_count)
{
    size_t count = c->rows.count;
    struct columns_row **rows = NEW_ARRAY(struct columns_row *, count + 1);
    struct bucket_link **all = buckets_all(&c->rows);

    for (size_t i = 0; i < count; i++)
        rows[i] = OWNER(all[i], struct columns_row, by_name);
    free(all);
    qsort(rows, count, sizeof(struct columns_row *), by_total);
    *out_count = count < limit ? count : limit;
    return rows;
}

void columns_fini(struct columns *c)
{
    struct bucket_link **rows = buckets_all(&c->rows);
    struct bucket_link **lanes = buckets_all(&c->lanes);

    for (size_t i = 0; i < c->rows.count; i++)
        free(OWNER(rows[i], struct columns_row, by_name));
    for (size_t i = 0; i < c->lanes.count; i++)
        free(OWNER(lanes[i], struct lane_link, by_lane));
    free(rows);
    free(lanes);
    free(c->others);
    buckets_fini(&c->rows);
    buckets_fini(&c->lanes);
    *c = (struct columns){ 0 };
}
