/*
 * roster - the destinations by name: what people and clients ask and want of them.
 */
#include "policy/vocabulary/arena.h"
#include "policy/vocabulary/memory.h"
#include "queue/core.h"
#include "queue/hasten.h"
#include "queue/pace.h"
#include "queue/slot.h"
#include "queue/standing.h"

#include <stdlib.h>

typedef bool standing_fn(struct queue *q, struct destination *d);

static bool with(struct queue *q, struct span name, standing_fn *want)
{
    struct destination *d;
    bool is_done;

    queue_lock(q);
    d = destination_find(q, name);
    is_done = d && want(q, d);
    queue_unlock(q);
    return is_done;
}

static bool release(struct queue *q, struct destination *d)
{
    if (d->state != DESTINATION_SUSPENDED)
        hasten(q, d);
    return standing_release(q, d);
}

static bool resume(struct queue *q, struct destination *d)
{
    hasten(q, d);
    return standing_resume(q, d);
}

bool queue_release(struct queue *q, struct span destination)
{
    return with(q, destination, release);
}

bool queue_resume(struct queue *q, struct span destination)
{
    return with(q, destination, resume);
}

bool queue_probe(struct queue *q, struct span destination)
{
    return with(q, destination, standing_probe);
}

bool queue_suspend(struct queue *q, struct span destination, int64_t until_ms,
                   struct span reason)
{
    if (destination.len == 0 || until_ms <= queue_now_ms(q))
        return false;
    queue_lock(q);
    standing_suspend(q, destination_get(q, destination), until_ms, reason);
    queue_unlock(q);
    return true;
}

bool queue_lane_waits(struct queue *q, struct span lane)
{
    const struct lane *l;
    bool waits;

    queue_lock(q);
    l = lane_find(q, lane);
    waits = l ? lane_has_mail(q, l) : !q->are_lanes_read;
    queue_unlock(q);
    return waits;
}

/* ------------------------------------------------------------ the list ---- */

struct page {
    struct arena arena;
    struct queue_destination_row *rows;
    size_t count;
};

static void count_lanes(struct queue *q)
{
    struct bucket_link **all = buckets_all(&q->lanes);
    struct destination *d;

    TAILQ_FOREACH(d, &q->all_destinations, all)
    {
        d->lanes_with_mail = 0;
    }
    for (size_t i = 0; i < q->lanes.count; i++) {
        const struct lane *l = OWNER(all[i], struct lane, by_key);

        destination_home(l->destination)->lanes_with_mail +=
            lane_has_mail(q, l);
    }
    free(all);
}

static bool is_listed(const struct destination *d)
{
    if (!d->name)
        return false;
    if (d->lanes_with_mail > 0 || d->state == DESTINATION_SUSPENDED ||
        d->turned)
        return true;
    return d->state != DESTINATION_UP && !d->is_abandoned;
}

static void copy_rates(struct page *p, const struct destination *d,
                       struct queue_destination_row *row)
{
    size_t count = d->pace ? d->pace->count : 0;
    struct rate *rates = arena_take(&p->arena, count * sizeof *rates);

    for (size_t i = 0; i < count; i++)
        rates[i] = d->pace->each[i].rate;
    row->rates = rates;
    row->rate_count = count;
}

static void copy_row(const struct queue *q, struct page *p,
                     const struct destination *d)
{
    struct queue_destination_row *row = &p->rows[p->count++];
    struct buffer why = { 0 };

    standing_reason(d, &why);
    *row = (struct queue_destination_row){
        .name = arena_copy(&p->arena, destination_span(d)),
        .state = d->state,
        .is_on_demand = d->is_on_demand,
        .due_ms = destination_is_down(d) ? d->due_ms : 0,
        .last_good_ms = d->last_good_ms,
        .connections = d->connections,
        .window = d->feedback.window,
        .slots = d->slots + (d->turned ? d->turned->slots : 0),
        .downs = d->downs,
        .active = d->count + (d->turned ? d->turned->count : 0),
        .is_fetched = d->turned,
        .change_ms = d->change_ms,
        .lanes = d->lanes_with_mail,
        .waiting = d->waiting,
        .waiting_bytes = d->waiting_bytes,
        .since_ms = d->since_ms,
        .error = arena_copy(&p->arena, buffer_span(&why)),
        .held_ms = pace_held_ms(q, d),
    };
    copy_rates(p, d, row);
    buffer_fini(&why);
}

size_t queue_destinations(struct queue *q, size_t first, size_t limit,
                          queue_destination_fn *each, void *user)
{
    struct page p = { .rows = NEW_ARRAY(struct queue_destination_row, limit) };
    const struct destination *d;
    size_t n = 0;

    queue_lock(q);
    count_lanes(q);
    TAILQ_FOREACH(d, &q->all_destinations, all)
    {
        if (!is_listed(d))
            continue;
        if (n >= first && p.count < limit)
            copy_row(q, &p, d);
        n++;
    }
    queue_unlock(q);
    for (size_t i = 0; i < p.count; i++)
        each(user, &p.rows[i]);
    arena_reset(&p.arena);
    free(p.rows);
    return n;
}

bool queue_destination_find(struct queue *q, struct span name,
                            queue_destination_fn *each, void *user)
{
    struct queue_destination_row row;
    struct page p = { .rows = &row };
    const struct destination *d;

    queue_lock(q);
    d = destination_find(q, name);
    if (d)
        copy_row(q, &p, d);
    queue_unlock(q);
    if (p.count)
        each(user, &row);
    arena_reset(&p.arena);
    return p.count > 0;
}
