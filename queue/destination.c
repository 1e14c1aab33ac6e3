/*
 * destination - next hops and the lanes that lead to them; senders are in sender.c.
 *
 * A lane with more on disk stands in its destination's `todo`, or in `skipped` when
 * what is on disk belongs to senders that hold their share of memory. A destination
 * with something to do and less than half of its share in memory is hungry: the
 * reader fetches a page for each hungry one in turn.
 */
#include "queue/destination.h"

#include "policy/vocabulary/memory.h"
#include "queue/core.h"
#include "queue/pace.h"
#include "queue/quota.h"
#include "queue/sender.h"
#include "queue/slot.h"
#include "queue/standing.h"
#include "queue/turn.h"

#include <stdlib.h>

enum {
    SHARE_LEAST = 32,   /* of a destination, whatever the cap */
    SHARE_RESTING = 16, /* enough for a probe */
};

/* Of a destination that was down, or is on demand, and has no mail. */
static const int64_t memory_ms = 3600000;
static const int64_t long_memory_ms = (int64_t)60 * 24 * 3600000;

uint32_t destination_share(const struct queue *q, const struct destination *d)
{
    uint32_t share = q->active_most / 4;

    if (d->state == DESTINATION_SUSPENDED || d->turned ||
        (d->state == DESTINATION_OFFLINE && d->due_ms == TIMER_NEVER))
        return 0;
    if (destination_is_down(d))
        return SHARE_RESTING;
    if (share < SHARE_LEAST)
        share = SHARE_LEAST;
    return d->pace && pace_share(d) < share ? pace_share(d) : share;
}

struct lane *lane_find(struct queue *q, struct span key)
{
    struct bucket_link *l = buckets_first(&q->lanes, buckets_hash(key));

    for (; l; l = buckets_next(l)) {
        struct lane *lane = OWNER(l, struct lane, by_key);

        if (span_is(lane_span(lane), key))
            return lane;
    }
    return NULL;
}

static void lane_resolve(struct queue *q, struct lane *l)
{
    struct queue_destination to = { 0 };
    struct destination *d;

    q->route(q->route_user, lane_span(l), &to);
    d = destination_get(q, buffer_span(&to.name));
    d->connections = to.connections ? to.connections : 1;
    if (d->feedback.window == 0)
        feedback_start(&d->feedback, d->connections);
    else
        feedback_limit(&d->feedback, d->connections);
    d->lanes++;
    d->is_abandoned = false;
    d->change_ms = to.change_ms;
    l->destination = turn_way(d, lane_span(l));
    quota_join(d, l);
    pace_set(q, d, to.rates, to.rate_count);
    standing_demand(q, d, to.is_on_demand, to.probe_ms);
    buffer_fini(&to.name);
}

struct lane *lane_get(struct queue *q, struct span key, int64_t id)
{
    struct lane *l = lane_find(q, key);

    if (!l) {
        l = NEW(struct lane);
        l->key = span_dup(key);
        l->key_len = key.len;
        l->timer.kind = TIMER_LANE;
        l->due_meanwhile = TIMER_NEVER;
        l->id = id;
        buckets_put(&q->lanes, &l->by_key, buckets_hash(key));
        lane_resolve(q, l);
        /* What an earlier process left there has not been seen yet. */
        if (!q->are_lanes_read) {
            l->is_unread = true;
            lane_has_more(q, l);
        }
    }
    if (!l->id && id)
        l->id = id;
    return l;
}

static void lane_unlist(struct lane *l)
{
    struct destination *d = l->destination;

    if (!l->has_more)
        return;
    if (l->is_skipped)
        TAILQ_REMOVE(&d->skipped, l, todo_link);
    else
        TAILQ_REMOVE(&d->todo, l, todo_link);
    l->has_more = l->is_skipped = false;
}

void lane_has_more(struct queue *q, struct lane *l)
{
    l->has_news = true;
    if (l->has_more)
        return;
    l->has_more = true;
    TAILQ_INSERT_TAIL(&l->destination->todo, l, todo_link);
    destination_consider(q, l->destination);
}

void lane_restart(struct queue *q, struct lane *l)
{
    lane_unlist(l);
    l->cursor = l->resume = (struct store_cursor){ 0 };
    l->passed = 0;
    l->pass++;
    lane_has_more(q, l);
}

void lane_move(struct queue *q, struct lane *l, struct destination *to)
{
    bool had_more = l->has_more;

    lane_unlist(l);
    l->destination = to;
    if (!had_more)
        return;
    /* What arrives stays behind what is on disk. */
    l->is_unread = true;
    lane_restart(q, l);
}

static void lane_resume(struct lane *l)
{
    l->cursor = l->resume;
    l->passed = 0;
    l->pass++;
}

void lane_skip(struct queue *q, struct lane *l)
{
    if (!l->has_more || l->is_skipped)
        return;
    /* Those that were passed over may have gone under their share meanwhile. */
    if (!sender_any_waited_for(q, l->destination)) {
        lane_resume(l);
        return;
    }
    TAILQ_REMOVE(&l->destination->todo, l, todo_link);
    TAILQ_INSERT_TAIL(&l->destination->skipped, l, todo_link);
    l->is_skipped = true;
}

void lane_is_read(struct queue *q, struct lane *l)
{
    struct destination *d = l->destination;

    lane_unlist(l);
    l->is_unread = false;
    l->cursor = l->resume = (struct store_cursor){ 0 };
    l->passed = 0;
    l->pass++;
    if (TAILQ_EMPTY(&d->todo) && TAILQ_EMPTY(&d->skipped))
        sender_all_read(q, d);
    standing_look(q, d);
}

bool lane_has_mail(const struct queue *q, const struct lane *l)
{
    if (q->is_counted)
        return l->waiting > 0;
    return l->count || l->has_more || timer_due(&l->timer) != TIMER_NEVER;
}

void lane_due_at(struct queue *q, struct lane *l, int64_t due_ms)
{
    int64_t before = timers_next(&q->timers);

    if (due_ms < l->due_meanwhile)
        l->due_meanwhile = due_ms;
    timers_advance(&q->timers, &l->timer, due_ms);
    if (due_ms < before)
        reader_poke(&q->reader);
}

const struct destination *lane_standing(const struct lane *l)
{
    return destination_is_down(l->destination)
               ? destination_home(l->destination)
               : l->destination;
}

struct destination *destination_find(struct queue *q, struct span name)
{
    struct bucket_link *l = buckets_first(&q->destinations, buckets_hash(name));

    for (; l; l = buckets_next(l)) {
        struct destination *d = OWNER(l, struct destination, by_name);

        if (span_is(destination_span(d), name))
            return d;
    }
    return NULL;
}

struct destination *destination_new(struct queue *q)
{
    struct destination *d = NEW(struct destination);

    d->timer.kind = TIMER_DESTINATION;
    TAILQ_INIT(&d->senders);
    TAILQ_INIT(&d->turns);
    TAILQ_INIT(&d->parked);
    TAILQ_INIT(&d->todo);
    TAILQ_INIT(&d->skipped);
    TAILQ_INSERT_TAIL(&q->all_destinations, d, all);
    q->in_state[d->state]++;
    return d;
}

struct destination *destination_get(struct queue *q, struct span name)
{
    struct destination *d = destination_find(q, name);

    if (d)
        return d;
    d = destination_new(q);
    d->name = span_dup(name);
    d->name_len = name.len;
    buckets_put(&q->destinations, &d->by_name, buckets_hash(name));
    return d;
}

void destination_consider(struct queue *q, struct destination *d)
{
    uint32_t share = destination_share(q, d);

    if (d->is_hungry || TAILQ_EMPTY(&d->todo) || share == 0 ||
        d->count > share / 2)
        return;
    d->is_hungry = true;
    TAILQ_INSERT_TAIL(&q->hungry, d, hungry_link);
    reader_poke(&q->reader);
}

void destination_unskip(struct queue *q, struct destination *d)
{
    struct lane *l;

    while ((l = TAILQ_FIRST(&d->skipped))) {
        TAILQ_REMOVE(&d->skipped, l, todo_link);
        TAILQ_INSERT_TAIL(&d->todo, l, todo_link);
        l->is_skipped = false;
        lane_resume(l);
    }
    destination_consider(q, d);
}

void destination_free(struct queue *q, struct destination *d)
{
    ASSERT(!d->turned && !d->home);
    if (d->is_hungry)
        TAILQ_REMOVE(&q->hungry, d, hungry_link);
    if (d->is_loading)
        TAILQ_REMOVE(&q->loading, d, load_link);
    if (d->is_queued)
        TAILQ_REMOVE(&q->slotless, d, slot_link);
    q->in_state[d->state]--;
    timers_set(&q->timers, &d->timer, TIMER_NEVER);
    pace_free(q, d);
    if (d->name)
        buckets_remove(&q->destinations, &d->by_name);
    TAILQ_REMOVE(&q->all_destinations, d, all);
    free(d->name);
    free(d->last_error);
    free(d->suspend_why);
    for (size_t i = 0; i < d->chosen_count; i++)
        free((char *)d->chosen[i].at);
    free(d->chosen);
    free(d);
}

static void lane_free(struct queue *q, struct lane *l)
{
    struct destination *d = destination_home(l->destination);

    lane_unlist(l);
    timers_set(&q->timers, &l->timer, TIMER_NEVER);
    buckets_remove(&q->lanes, &l->by_key);
    d->lanes--;
    quota_part(d, l);
    free(l->key);
    free(l);
}

void destination_reroute(struct queue *q)
{
    struct bucket_link **all = buckets_all(&q->lanes);
    struct destination *d;

    for (size_t i = 0; i < q->lanes.count; i++) {
        struct lane *l = OWNER(all[i], struct lane, by_key);
        struct destination *was = l->destination;
        bool had_more = l->has_more;

        lane_unlist(l);
        destination_home(was)->lanes--;
        quota_part(destination_home(was), l);
        lane_resolve(q, l);
        if (had_more || l->destination != was)
            lane_restart(q, l);
    }
    free(all);
    TAILQ_FOREACH(d, &q->all_destinations, all)
    {
        if (d->lanes > 0 || d->home)
            continue;
        d->is_abandoned = true;
        slot_end_parked(d);
    }
}

static bool is_forgettable(const struct queue *q, const struct destination *d,
                           int64_t now_ms)
{
    if (!pace_is_over(q, d))
        return false;
    switch (d->state) {
    case DESTINATION_RESTING:
        return d->due_ms + memory_ms < now_ms;
    case DESTINATION_SUSPENDED:
        return false;
    case DESTINATION_UP:
    case DESTINATION_OFFLINE:
        break;
    }
    return !d->is_on_demand || d->last_good_ms + long_memory_ms < now_ms;
}

static bool destination_is_idle(const struct queue *q,
                                const struct destination *d, int64_t now_ms)
{
    return d->lanes == 0 && d->slots == 0 && d->count == 0 && !d->turned &&
           d->hastening == 0 && TAILQ_EMPTY(&d->senders) && !d->is_dirty &&
           is_forgettable(q, d, now_ms);
}

void destination_sweep(struct queue *q, int64_t now_ms)
{
    struct bucket_link **all = buckets_all(&q->lanes);
    size_t n = q->lanes.count;
    struct destination *d, *next;

    for (size_t i = 0; i < n; i++) {
        struct lane *l = OWNER(all[i], struct lane, by_key);

        if (l->count == 0 && !l->has_more && l->waiting == 0 &&
            timer_due(&l->timer) == TIMER_NEVER)
            lane_free(q, l);
    }
    free(all);
    /* Lanes that lead there may not have been read yet. */
    for (d = TAILQ_FIRST(&q->all_destinations); d && q->are_lanes_read;
         d = next) {
        next = TAILQ_NEXT(d, all);
        if (destination_is_idle(q, d, now_ms))
            destination_free(q, d);
    }
}

void destination_fini(struct queue *q)
{
    struct bucket_link **all = buckets_all(&q->lanes);
    size_t n = q->lanes.count;
    struct destination *d;

    for (size_t i = 0; i < n; i++)
        lane_free(q, OWNER(all[i], struct lane, by_key));
    free(all);
    while ((d = TAILQ_FIRST(&q->all_destinations))) {
        sender_all_read(q, d);
        destination_free(q, d);
    }
    buckets_fini(&q->lanes);
    buckets_fini(&q->destinations);
    buckets_fini(&q->senders);
    timers_fini(&q->timers);
}
