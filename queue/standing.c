/*
 * standing - may a destination's mail go out now?
 */
#include "queue/standing.h"

#include "queue/active.h"
#include "queue/slot.h"
#include "queue/turn.h"

#include <stdlib.h>

enum { UNDECIDED_MS = 1000 }; /* rest after a probe that said nothing */

static const int64_t hour_ms = 3600000;
/* Rows older than that tell nothing any more, but of who is seldom there. */
static const int64_t memory_hours = 24, long_memory_hours = 1440;

static void enter(struct queue *q, struct destination *d,
                  enum queue_destination_state state, int64_t due_ms)
{
    q->in_state[d->state]--;
    q->in_state[state]++;
    d->state = state;
    d->due_ms = due_ms;
    d->probe = NULL;
    timers_set(&q->timers, &d->timer,
               state == DESTINATION_UP ? TIMER_NEVER : due_ms);
    reader_poke(&q->reader);
}

static void set_text(char **text, struct span s)
{
    free(*text);
    *text = s.len ? span_dup(s) : NULL;
}

/* When an OFFLINE destination is tried by itself. */
static int64_t next_probe(const struct queue *q, const struct destination *d)
{
    return d->probe_ms > 0 ? queue_now_ms(q) + d->probe_ms : TIMER_NEVER;
}

void standing_wait(struct queue *q, struct destination *d)
{
    enter(q, d, DESTINATION_OFFLINE, next_probe(q, d));
    active_drop_destination(q, d);
}

bool standing_is_drained(const struct queue *q,
                         const struct destination *d)
{
    return d->count == 0 && TAILQ_EMPTY(&d->todo) && TAILQ_EMPTY(&d->skipped) &&
           (d->home ? d->home : d)->hastening == 0 && q->are_lanes_read &&
           !q->is_over;
}

void standing_look(struct queue *q, struct destination *d)
{
    if (d->home && turn_is_over(q, d))
        slot_end_parked(d);
    if (d->state != DESTINATION_UP || !d->is_on_demand || d->turned ||
        !standing_is_drained(q, d))
        return;
    standing_wait(q, d);
    writer_save_destination(q, d);
}

void standing_up(struct queue *q, struct destination *d)
{
    enter(q, d, DESTINATION_UP, 0);
    d->downs = 0;
    feedback_start(&d->feedback, d->connections);
    set_text(&d->last_error, SPAN(""));
    set_text(&d->suspend_why, SPAN(""));
    if (!d->home)
        writer_save_destination(q, d);
    destination_unskip(q, d);
}

void standing_down(struct queue *q, struct destination *d, int64_t rest_ms)
{
    d->downs++;
    if (d->is_on_demand)
        standing_wait(q, d);
    else
        enter(q, d, DESTINATION_RESTING,
              queue_now_ms(q) + (rest_ms > 0 ? rest_ms : 1));
    writer_save_destination(q, d);
}

void standing_undecided(struct queue *q, struct destination *d)
{
    if (d->state == DESTINATION_RESTING)
        enter(q, d, DESTINATION_RESTING, queue_now_ms(q) + UNDECIDED_MS);
    else if (d->state == DESTINATION_OFFLINE)
        enter(q, d, DESTINATION_OFFLINE, next_probe(q, d));
}

void standing_demand(struct queue *q, struct destination *d, bool is_on_demand,
                     int64_t probe_ms)
{
    bool begins = is_on_demand && !d->is_on_demand &&
                  d->state != DESTINATION_SUSPENDED;
    bool is_other_probe =
        d->probe_ms != probe_ms && d->state == DESTINATION_OFFLINE;

    d->is_on_demand = is_on_demand;
    d->probe_ms = probe_ms;
    if (!is_on_demand && d->state == DESTINATION_OFFLINE)
        standing_up(q, d);
    else if (begins || is_other_probe)
        enter(q, d, DESTINATION_OFFLINE, next_probe(q, d));
}

void standing_rerouted(struct queue *q, struct destination *d)
{
    if (destination_waits(d))
        active_drop_destination(q, d);
    standing_look(q, d);
    slot_run(q, d);
}

/* A suspension is over: as before, with what is known of it. */
static void stand_again(struct queue *q, struct destination *d)
{
    if (d->is_on_demand) {
        enter(q, d, DESTINATION_OFFLINE, next_probe(q, d));
    } else if (d->downs > 0) {
        enter(q, d, DESTINATION_RESTING, queue_now_ms(q));
    } else {
        standing_up(q, d);
        return;
    }
    set_text(&d->suspend_why, SPAN(""));
    writer_save_destination(q, d);
    destination_unskip(q, d);
}

void standing_due(struct queue *q, struct destination *d)
{
    bool is_empty =
        d->count == 0 && TAILQ_EMPTY(&d->todo) && TAILQ_EMPTY(&d->skipped);

    if (d->state == DESTINATION_SUSPENDED)
        stand_again(q, d);
    else if (d->state == DESTINATION_OFFLINE && is_empty)
        enter(q, d, DESTINATION_OFFLINE, next_probe(q, d));
    else
        destination_consider(q, d);
    slot_run(q, d);
}

bool standing_release(struct queue *q, struct destination *d)
{
    switch (d->state) {
    case DESTINATION_SUSPENDED:
        return false;
    case DESTINATION_OFFLINE:
        standing_up(q, d);
        standing_look(q, d);
        break;
    case DESTINATION_RESTING:
        d->due_ms = queue_now_ms(q);
        timers_set(&q->timers, &d->timer, d->due_ms);
        reader_poke(&q->reader);
        break;
    case DESTINATION_UP:
        break;
    }
    slot_run(q, d);
    return true;
}

bool standing_resume(struct queue *q, struct destination *d)
{
    if (d->state == DESTINATION_SUSPENDED)
        stand_again(q, d);
    return standing_release(q, d);
}

bool standing_probe(struct queue *q, struct destination *d)
{
    if (d->state == DESTINATION_SUSPENDED)
        return false;
    if (!destination_is_down(d) || d->probe)
        return true;
    d->due_ms = queue_now_ms(q);
    timers_set(&q->timers, &d->timer, d->due_ms);
    destination_consider(q, d);
    reader_poke(&q->reader);
    slot_run(q, d);
    return true;
}

void standing_suspend(struct queue *q, struct destination *d, int64_t until_ms,
                      struct span reason)
{
    enter(q, d, DESTINATION_SUSPENDED, until_ms);
    set_text(&d->suspend_why, span_first(reason, 1000));
    active_drop_destination(q, d);
    turn_stop(q, d);
    writer_save_destination(q, d);
}

void standing_reason(const struct destination *d, struct buffer *out)
{
    switch (d->state) {
    case DESTINATION_UP:
        return;
    case DESTINATION_RESTING:
        break;
    case DESTINATION_OFFLINE:
        if (!d->last_error)
            buffer_put_string(out, "4.4.1 waits for pick-up");
        break;
    case DESTINATION_SUSPENDED:
        buffer_put_string(out, "4.3.2 suspended by the operator");
        if (d->suspend_why)
            buffer_printf(out, ": %s", d->suspend_why);
        return;
    }
    if (d->last_error)
        buffer_put_string(out, d->last_error);
}

static bool is_forgotten(const struct store_destination *s, int64_t now_ms)
{
    int64_t hours = s->is_on_demand ? long_memory_hours : memory_hours;
    int64_t since_ms = now_ms - hours * hour_ms;

    return s->suspended_ms <= now_ms && s->at_ms < since_ms &&
           (s->due_ms == 0 || s->due_ms < since_ms);
}

void standing_remember(struct queue *q, const struct store_destination *s,
                       int64_t now_ms)
{
    int64_t most_ms = now_ms + 2 * memory_hours * hour_ms;
    struct destination *d;

    if (is_forgotten(s, now_ms))
        return;
    d = destination_get(q, s->name);
    d->is_abandoned = true; /* until a lane leads there */
    feedback_start(&d->feedback, FEEDBACK_START);
    if (s->window)
        d->feedback.window = s->window;
    d->last_good_ms = s->last_good_ms;
    d->downs = s->downs;
    set_text(&d->last_error, s->last_error);
    if (s->is_on_demand)
        standing_demand(q, d, true, 0);
    if (s->suspended_ms > now_ms) {
        set_text(&d->suspend_why, s->suspend_why);
        enter(q, d, DESTINATION_SUSPENDED, s->suspended_ms);
    } else if (s->due_ms && !s->is_on_demand) {
        /* Written by a clock that was wrong? */
        enter(q, d, DESTINATION_RESTING,
              s->due_ms < most_ms ? s->due_ms : now_ms + hour_ms);
    }
}
