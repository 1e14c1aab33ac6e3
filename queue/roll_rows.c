/*
 * roll_rows - the rows of the roll: chunks of them, sorted by message id.
 *
 * Mail comes at the end and goes anywhere. What is gone leaves a dead row, which is passed over;
 * a chunk that is mostly dead is pressed together, and joined with its neighbours when they
 * fit, so that memory follows what waits. A dead row has no names.
 */
#include "queue/roll_private.h"

#include <stdlib.h>

enum {
    SPARSE = 4, /* pressed when fewer than one row in so many lives */
    JOINED = ROLL_ROWS / 4 * 3, /* rows in a chunk that two became */
    CHUNK_BYTES = sizeof(struct roll_chunk) + ROLL_BLOCK + 2 * sizeof(void *),
};

/* ------------------------------------------------------------- chunks ---- */

/* The chunk that the id is in, or would be; there is one. */
static size_t chunk_of(const struct roll *r, uint64_t id)
{
    size_t low = 0, high = r->chunk_count - 1;

    while (low < high) {
        size_t middle = low + (high - low + 1) / 2;
        const struct roll_chunk *c = r->chunks[middle];

        /* only the last one may be empty */
        if (c->used == 0 || c->rows[0].id > id)
            high = middle - 1;
        else
            low = middle;
    }
    return low;
}

/* Where the id is in the chunk, or would be. */
static uint32_t place_of(const struct roll_chunk *c, uint64_t id)
{
    uint32_t low = 0, high = c->used;

    if (high && c->rows[high - 1].id < id)
        return high;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;

        if (c->rows[middle].id < id)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

/* Of pointers they are. NOLINTBEGIN(bugprone-sizeof-expression) */
static struct roll_chunk *chunk_put(struct roll *r, size_t at)
{
    struct roll_chunk *c = memory_take(sizeof *c);

    if (r->chunk_count == r->chunk_room) {
        r->chunk_room = r->chunk_room ? r->chunk_room * 2 : 16;
        r->chunks = memory_grow(r->chunks, r->chunk_room * sizeof *r->chunks);
    }
    memmove(&r->chunks[at + 1], &r->chunks[at],
            (r->chunk_count - at) * sizeof *r->chunks);
    r->chunks[at] = c;
    r->chunk_count++;
    c->used = c->live = 0;
    r->bytes += CHUNK_BYTES;
    return c;
}

static void chunk_remove(struct roll *r, size_t at)
{
    free(r->chunks[at]);
    r->chunk_count--;
    memmove(&r->chunks[at], &r->chunks[at + 1],
            (r->chunk_count - at) * sizeof *r->chunks);
    r->bytes -= CHUNK_BYTES;
}
/* NOLINTEND(bugprone-sizeof-expression) */

static void press(struct roll_chunk *c)
{
    uint32_t n = 0;

    for (uint32_t i = 0; i < c->used; i++)
        if (roll_is_live(&c->rows[i]))
            c->rows[n++] = c->rows[i];
    c->used = n;
}

/* What is in the one behind it goes into this one, if that is few. */
static void join_next(struct roll *r, size_t at)
{
    struct roll_chunk *c = r->chunks[at], *next;

    if (at + 1 == r->chunk_count)
        return;
    next = r->chunks[at + 1];
    if (c->used + next->used > JOINED)
        return;
    memcpy(&c->rows[c->used], next->rows, next->used * sizeof *next->rows);
    c->used += next->used;
    c->live += next->live;
    chunk_remove(r, at + 1);
}

/* A row has died in it. */
static void settle_chunk(struct roll *r, size_t at)
{
    struct roll_chunk *c = r->chunks[at];

    if (c->live == 0 && at + 1 < r->chunk_count) {
        chunk_remove(r, at);
        return;
    }
    if (c->live && (c->used < ROLL_ROWS / SPARSE || c->live * SPARSE > c->used))
        return;
    press(c);
    join_next(r, at);
    if (at)
        join_next(r, at - 1);
}

/* The upper half goes into a chunk of its own. */
static void chunk_split(struct roll *r, size_t at)
{
    struct roll_chunk *next = chunk_put(r, at + 1), *c = r->chunks[at];

    c->used = ROLL_ROWS / 2;
    next->used = ROLL_ROWS - c->used;
    memcpy(next->rows, &c->rows[c->used], next->used * sizeof *c->rows);
    for (uint32_t i = 0; i < next->used; i++)
        next->live += roll_is_live(&next->rows[i]);
    c->live -= next->live;
}

/* Room for one behind all of a full chunk: in the one after it. */
static size_t chunk_after(struct roll *r, size_t at)
{
    if (at + 1 == r->chunk_count || r->chunks[at + 1]->used == ROLL_ROWS)
        (void)chunk_put(r, at + 1);
    return at + 1;
}

/* A dead row of this id, where there was none. */
static struct roll_row *insert(struct roll *r, uint64_t id)
{
    struct roll_chunk *c;
    uint32_t i;
    size_t at;

    if (r->chunk_count == 0)
        (void)chunk_put(r, 0);
    at = chunk_of(r, id);
    if (r->chunks[at]->used == ROLL_ROWS &&
        place_of(r->chunks[at], id) == ROLL_ROWS) {
        at = chunk_after(r, at);
    } else if (r->chunks[at]->used == ROLL_ROWS) {
        chunk_split(r, at);
        at = chunk_of(r, id);
    }
    c = r->chunks[at];
    i = place_of(c, id);
    memmove(&c->rows[i + 1], &c->rows[i], (c->used - i) * sizeof *c->rows);
    c->used++;
    c->rows[i] = (struct roll_row){ .id = id, .lane = ROLL_NOBODY };
    return &c->rows[i];
}

/* NULL: there is none. *out_at: its chunk. */
static struct roll_row *find(const struct roll *r, uint64_t id, size_t *out_at)
{
    struct roll_chunk *c;
    uint32_t i;

    if (r->chunk_count == 0)
        return NULL;
    *out_at = chunk_of(r, id);
    c = r->chunks[*out_at];
    i = place_of(c, id);
    return i < c->used && c->rows[i].id == id ? &c->rows[i] : NULL;
}

static struct roll_row *find_live(const struct roll *r, uint64_t id,
                                  size_t *out_at)
{
    struct roll_row *row = find(r, id, out_at);

    return row && roll_is_live(row) ? row : NULL;
}

/* ------------------------------------------------------------- extras ---- */

static size_t extras_cost(uint32_t room)
{
    return sizeof(struct roll_extras) + room * sizeof(struct roll_extra) +
           ROLL_BLOCK + sizeof(void *);
}

struct roll_extras *roll_extras_find(const struct roll *r, uint64_t id)
{
    struct bucket_link *l = buckets_first(&r->extras, buckets_hash_number(id));

    while (l && OWNER(l, struct roll_extras, by_id)->id != id)
        l = buckets_next(l);
    return l ? OWNER(l, struct roll_extras, by_id) : NULL;
}

/* The first one, or a larger block. */
static struct roll_extras *extras_grow(struct roll *r, struct roll_row *row,
                                       struct roll_extras *e)
{
    uint32_t count = e ? e->count : 0, room = e ? e->room * 2 : 2;

    if (e) {
        buckets_remove(&r->extras, &e->by_id);
        r->bytes -= extras_cost(e->room);
    }
    e = memory_grow(e, sizeof *e + room * sizeof e->at[0]);
    e->id = row->id;
    e->count = count;
    e->room = room;
    buckets_put(&r->extras, &e->by_id, buckets_hash_number(row->id));
    r->bytes += extras_cost(room);
    row->has_extras = true;
    return e;
}

static void extra_add(struct roll *r, struct roll_row *row,
                      struct roll_extra extra)
{
    struct roll_extras *e =
        row->has_extras ? roll_extras_find(r, row->id) : NULL;

    if (!e || e->count == e->room)
        e = extras_grow(r, row, e);
    e->at[e->count++] = extra;
}

/* NULL: it is one of many. */
static struct roll_extra *extra_find(const struct roll *r,
                                     const struct roll_row *row,
                                     uint32_t number)
{
    struct roll_extras *e =
        row->has_extras ? roll_extras_find(r, row->id) : NULL;

    for (uint32_t i = 0; e && i < e->count; i++)
        if (e->at[i].number == number)
            return &e->at[i];
    return NULL;
}

static void extra_remove(struct roll *r, struct roll_row *row,
                         struct roll_extra *extra)
{
    struct roll_extras *e = roll_extras_find(r, row->id);

    roll_name_drop(r, ROLL_LANE, extra->lane);
    *extra = e->at[--e->count];
    if (e->count)
        return;
    row->has_extras = false;
    buckets_remove(&r->extras, &e->by_id);
    r->bytes -= extras_cost(e->room);
    free(e);
}

/* --------------------------------------------------------------- rows ---- */

/* How long before the id was made; ROLL_STRANGE where that does not fit. */
static int32_t before_ms(const struct roll_facts *f)
{
    int64_t ms = (int64_t)((f->id >> 8) / 1000) - f->received_ms;

    return ms > INT32_MIN && ms <= INT32_MAX ? (int32_t)ms : ROLL_STRANGE;
}

/* One of many is so no more. Its reference to the lane stays with the others. */
static void leave_many(struct roll *r, struct roll_row *row)
{
    if (--row->many)
        return;
    roll_name_drop(r, ROLL_LANE, row->lane);
    row->lane = ROLL_NOBODY;
}

void roll_row_add(struct roll *r, const struct roll_facts *f, uint32_t number,
                  uint32_t take_lane, bool is_held)
{
    size_t at;
    struct roll_row *row = find(r, f->id, &at);

    if (!row)
        row = insert(r, f->id);
    if (!roll_is_live(row)) {
        r->chunks[chunk_of(r, f->id)]->live++;
        r->live++;
        row->size_low = (uint32_t)f->size_bytes;
        row->size_high = f->size_bytes >> 32 & 0x3ff;
        row->before_ms = before_ms(f);
        r->strange += row->before_ms == ROLL_STRANGE;
        for (int d = 0; d < ROLL_LANE; d++)
            row->who[d] = roll_name_take(r, (enum roll_dimension)d, f->who[d]);
    }
    if (row->many == 0) {
        row->many = 1;
        row->lane = take_lane;
        row->is_held = is_held;
    } else if (row->lane == take_lane && row->is_held == is_held &&
               row->many < ROLL_MANY) {
        row->many++;
        roll_name_drop(r, ROLL_LANE, take_lane);
    } else {
        extra_add(r, row,
                  (struct roll_extra){ .number = number & INT32_MAX,
                                       .is_held = is_held,
                                       .lane = take_lane });
    }
}

static void die(struct roll *r, struct roll_row *row, size_t at)
{
    for (int d = 0; d < ROLL_LANE; d++)
        roll_name_drop(r, (enum roll_dimension)d, row->who[d]);
    r->strange -= row->before_ms == ROLL_STRANGE;
    r->chunks[at]->live--;
    r->live--;
    settle_chunk(r, at);
}

void roll_row_remove(struct roll *r, uint64_t id, uint32_t number)
{
    size_t at;
    struct roll_row *row = find_live(r, id, &at);
    struct roll_extra *extra = row ? extra_find(r, row, number) : NULL;

    if (!row || (!extra && row->many == 0))
        return;
    if (extra)
        extra_remove(r, row, extra);
    else
        leave_many(r, row);
    if (!roll_is_live(row))
        die(r, row, at);
}

void roll_row_hold(struct roll *r, uint64_t id, uint32_t number, bool is_held)
{
    size_t at;
    struct roll_row *row = find_live(r, id, &at);
    struct roll_extra *extra = row ? extra_find(r, row, number) : NULL;
    uint32_t lane;

    if (extra) {
        extra->is_held = is_held;
        return;
    }
    if (!row || row->many == 0 || row->is_held == is_held)
        return;
    if (row->many == 1) {
        row->is_held = is_held;
        return;
    }
    lane = row->lane;
    roll_name_refer(r, ROLL_LANE, lane);
    leave_many(r, row);
    extra_add(r, row,
              (struct roll_extra){ .number = number & INT32_MAX,
                                   .is_held = is_held,
                                   .lane = lane });
}

/* An address that was odd is so in the other lane. */
static void hand_over(struct roll *r, uint32_t from, uint32_t to)
{
    if (r->names[ROLL_LANE].at[from]->is_odd)
        roll_name_odd(r, to);
}

void roll_row_move(struct roll *r, uint64_t id, uint32_t number,
                   uint32_t take_lane)
{
    size_t at;
    struct roll_row *row = find_live(r, id, &at);
    struct roll_extra *extra = row ? extra_find(r, row, number) : NULL;
    uint32_t *lane = extra                   ? &extra->lane
                     : row && row->many == 1 ? &row->lane
                                             : NULL;

    if (!row || (!extra && row->many == 0)) {
        roll_name_drop(r, ROLL_LANE, take_lane);
        return;
    }
    hand_over(r, lane ? *lane : row->lane, take_lane);
    if (lane) {
        roll_name_drop(r, ROLL_LANE, *lane);
        *lane = take_lane;
        return;
    }
    leave_many(r, row);
    extra_add(r, row,
              (struct roll_extra){ .number = number & INT32_MAX,
                                   .is_held = row->is_held,
                                   .lane = take_lane });
}

void roll_row_clear(struct roll *r, uint64_t id)
{
    size_t at;
    struct roll_row *row = find_live(r, id, &at);
    struct roll_extras *e =
        row && row->has_extras ? roll_extras_find(r, id) : NULL;

    if (!row)
        return;
    while (e && row->has_extras)
        extra_remove(r, row, &e->at[e->count - 1]);
    if (row->many)
        roll_name_drop(r, ROLL_LANE, row->lane);
    row->many = 0;
    row->lane = ROLL_NOBODY;
    die(r, row, at);
}

void roll_rows_free(struct roll *r)
{
    struct bucket_link **all = buckets_all(&r->extras);

    for (size_t i = 0; i < r->extras.count; i++)
        free(OWNER(all[i], struct roll_extras, by_id));
    free(all);
    buckets_fini(&r->extras);
    for (size_t i = 0; i < r->chunk_count; i++)
        free(r->chunks[i]);
    free(r->chunks);
    r->chunks = NULL;
    r->chunk_count = r->chunk_room = 0;
}
