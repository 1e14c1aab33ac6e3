/*
 * roll_sum - what people ask of the roll: how many, whose, where to, and which.
 */
#include "queue/roll_private.h"

#include "queue/core.h"
#include "queue/view.h"

#include <stdlib.h>

enum { AMONG_MOST = 20 * 1000 };

/* Locked and begun; an exact answer is wanted. */
static bool ask(struct queue *q, const struct queue_filter *f,
                struct roll_pass *p)
{
    if (!roll_lock(&q->roll))
        return false;
    if (roll_pass_begin(p, q, f) && p->is_exact)
        return true;
    roll_pass_end(p);
    pthread_mutex_unlock(&q->roll.lock);
    return false;
}

static void end(struct roll_pass *p)
{
    roll_pass_end(p);
    pthread_mutex_unlock(&p->queue->roll.lock);
}

/* -------------------------------------------------------------- count ---- */

static bool hit_count(void *user, const struct roll_row *row, uint32_t lane,
                      uint32_t count, bool is_first)
{
    struct queue_count *to = user;

    (void)lane;
    to->recipients += count;
    to->messages += is_first;
    to->bytes += is_first ? roll_size(row) : 0;
    return true;
}

bool roll_count(struct queue *q, const struct queue_filter *f,
                struct queue_count *out)
{
    struct queue_count count = { 0 };
    struct roll_pass p;

    if (!ask(q, f, &p))
        return false;
    roll_pass_walk(&p, hit_count, &count);
    end(&p);
    *out = count;
    return true;
}

/* -------------------------------------------------------------- among ---- */

static void put_id(struct store_among *a, uint64_t id)
{
    if (a->count == a->room) {
        a->room = a->room ? a->room * 2 : 64;
        a->ids = memory_grow(a->ids, a->room * sizeof *a->ids);
    }
    a->ids[a->count++] = id;
}

/* One more than may be shows that there are too many. */
static bool hit_among(void *user, const struct roll_row *row, uint32_t lane,
                      uint32_t count, bool is_first)
{
    struct store_among *a = user;

    (void)lane;
    (void)count;
    if (is_first)
        put_id(a, row->id);
    return a->count <= AMONG_MOST;
}

/* Under the lock, which ends. */
static bool name_messages(struct queue *q, const struct queue_filter *f,
                          struct store_among *a)
{
    struct roll_pass p;
    bool is_told = roll_pass_begin(&p, q, f) &&
                   (!p.is_any || (p.takes_held && !p.takes_free));

    if (is_told) {
        roll_pass_walk(&p, hit_among, a);
        a->is_over = true;
        a->is_known = a->count <= AMONG_MOST;
        a->first = a->is_known ? 0 : a->ids[0];
    }
    if (is_told && !a->is_known && store_among_has_state(f)) {
        a->count = 0; /* the lanes lead to fewer, maybe */
        a->is_over = is_told = false;
    }
    end(&p);
    return is_told;
}

bool roll_among(struct queue *q, const struct queue_filter *f,
                struct store_among *a)
{
    /* it may be being looked for by lane */
    return !a->lanes && roll_lock(&q->roll) && name_messages(q, f, a);
}

bool roll_among_now(struct queue *q, const struct queue_filter *f,
                    struct store_among *a)
{
    return roll_try_lock(&q->roll) && name_messages(q, f, a);
}

/* -------------------------------------------------------------- ranks ---- */

/* By index of a base; id of the message that counted last, so that each counts once. */
struct cell {
    struct queue_count count;
    uint64_t last;
};

struct ranks {
    enum roll_dimension by;
    const struct roll_names *names;
    struct cell *cells;
    struct queue_rank *top; /* sorted */
    size_t count, limit;
};

static bool hit_rank(void *user, const struct roll_row *row, uint32_t lane,
                     uint32_t count, bool is_first)
{
    struct ranks *s = user;
    uint32_t index = s->by == ROLL_LANE ? lane : row->who[s->by];
    struct cell *c = &s->cells[s->names->at[index]->base];

    (void)is_first;
    c->count.recipients += count;
    if (c->last == row->id)
        return true;
    c->last = row->id;
    c->count.messages++;
    c->count.bytes += roll_size(row);
    return true;
}

/* Most recipients first, then by name. */
static bool is_before(const struct queue_rank *a, const struct queue_rank *b)
{
    size_t len = a->name.len < b->name.len ? a->name.len : b->name.len;
    int order;

    if (a->count.recipients != b->count.recipients)
        return a->count.recipients > b->count.recipients;
    order = len ? memcmp(a->name.at, b->name.at, len) : 0;
    return order ? order < 0 : a->name.len < b->name.len;
}

/* Into its place, if it has one. */
static void put_rank(struct ranks *s, struct queue_rank rank)
{
    size_t at = s->count;

    if (at == s->limit && (at == 0 || !is_before(&rank, &s->top[at - 1])))
        return;
    if (at == s->limit)
        at--;
    else
        s->count++;
    for (; at && is_before(&rank, &s->top[at - 1]); at--)
        s->top[at] = s->top[at - 1];
    s->top[at] = rank;
}

static void choose(struct ranks *s, struct arena *texts)
{
    for (uint32_t i = 0; i < s->names->size; i++) {
        const struct cell *c = &s->cells[i];
        struct span name;

        if (!c->count.recipients)
            continue;
        name = roll_text(s->names->at[i]);
        if (s->by == ROLL_SENDER && name.len == 0)
            name = SPAN("<>");
        put_rank(s, (struct queue_rank){
                        .is_named = true, .name = name, .count = c->count });
    }
    for (size_t i = 0; i < s->count; i++)
        s->top[i].name = arena_copy(texts, s->top[i].name);
}

static bool rank_dimension(const struct queue *q, enum queue_rank_key by,
                           enum roll_dimension *out)
{
    static const enum roll_dimension of[RANK_KEYS] = {
        [RANK_FROM] = ROLL_SENDER,
        [RANK_CLIENT] = ROLL_CLIENT,
        [RANK_LOGIN] = ROLL_LOGIN,
        [RANK_DOMAIN] = ROLL_LANE,
    };

    *out = of[by];
    return by != RANK_DOMAIN || q->roll.names[ROLL_LANE].odd == 0;
}

bool roll_ranks(struct queue *q, const struct queue_filter *f,
                enum queue_rank_key by, size_t limit, struct arena *texts,
                struct queue_rank **out_ranks, size_t *out_count)
{
    struct ranks s = { .limit = limit };
    struct roll_pass p;
    bool is_told;

    if (!ask(q, f, &p))
        return false;
    is_told = rank_dimension(q, by, &s.by);
    if (is_told) {
        s.names = &q->roll.names[s.by];
        s.cells = NEW_ARRAY(struct cell, s.names->size + 1);
        s.top = NEW_ARRAY(struct queue_rank, limit + 1);
        roll_pass_walk(&p, hit_rank, &s);
        choose(&s, texts);
        free(s.cells);
        *out_ranks = s.top;
        *out_count = s.count;
    }
    end(&p);
    return is_told;
}

/* ------------------------------------------------------- destinations ---- */

struct places {
    struct queue *queue;
    struct store_view view;
    struct columns *columns;
    struct columns_row **rows; /* by index of a lane; NULL: not met yet */
    struct queue_count count;
    struct store_among *first; /* or NULL */
};

static struct columns_row *meet(struct places *s, uint32_t lane)
{
    struct buffer name = { 0 };

    if (!s->rows[lane]) {
        s->view.destination(s->view.user,
                            roll_text(s->queue->roll.names[ROLL_LANE].at[lane]),
                            &name);
        s->rows[lane] = columns_name(s->columns, buffer_span(&name));
        buffer_fini(&name);
    }
    return s->rows[lane];
}

static bool hit_place(void *user, const struct roll_row *row, uint32_t lane,
                      uint32_t count, bool is_first)
{
    struct places *s = user;

    columns_count(meet(s, lane), row->id, count, roll_size(row));
    (void)hit_count(&s->count, row, lane, count, is_first);
    if (is_first && s->first && s->first->count < PREVIEW_ROWS)
        put_id(s->first, row->id);
    return true;
}

bool roll_places(struct queue *q, const struct queue_filter *f,
                 struct queue_count *out, struct columns *destinations,
                 struct store_among *first)
{
    struct places s = { .queue = q, .columns = destinations, .first = first };
    struct roll_pass p;

    if (!ask(q, f, &p))
        return false;
    s.view = view_of(q);
    s.rows = NEW_ARRAY(struct columns_row *, q->roll.names[ROLL_LANE].size + 1);
    roll_pass_walk(&p, hit_place, &s);
    free(s.rows);
    end(&p);
    if (first)
        first->is_over = first->is_known = true;
    if (out)
        *out = s.count;
    return true;
}
