/*
 * pace - a destination is given no more messages than its rates allow.
 */
#include "queue/pace.h"

#include "policy/vocabulary/memory.h"
#include "queue/core.h"
#include "queue/slot.h"

#include <inttypes.h>
#include <stdlib.h>

enum {
    MARGIN_MS = 1000, /* at least; a slow disk gets more */
    MARGIN_MOST_MS = 3600 * 1000,
    AGAIN_MS = 1000,
    JUMP_MS = 1000, /* a clock corrected slowly does not jump */
    WAKE_MS = 50,   /* what may go by then goes together */
    QUIET_MS = 60 * 1000,
    SHARE_LEAST = 32, /* works whose size is not known */
    SHARE_MS = 10 * 1000,
};

const struct span pace_notes = SPAN_INIT("pace");

static bool has_rates(const struct destination *d)
{
    return d->pace && d->pace->count > 0;
}

/* What waits goes neither later nor earlier for a clock that was set. */
static int64_t now_of(const struct queue *q, struct pace *p)
{
    int64_t now_ms = queue_now_ms(q), steady_ms = queue_steady_ms(q);
    int64_t back_ms = p->seen_ms - now_ms;
    int64_t jump_ms = steady_ms - p->steady_ms + back_ms;

    if (p->seen_ms && back_ms <= 0)
        back_ms = jump_ms < -JUMP_MS ? jump_ms : 0;
    for (size_t i = 0; i < p->count && p->seen_ms && back_ms; i++)
        spacing_shift(&p->each[i], back_ms);
    p->seen_ms = now_ms;
    p->steady_ms = steady_ms;
    return now_ms;
}

static struct pace *pace_get(struct destination *d)
{
    if (!d->pace) {
        d->pace = NEW(struct pace);
        d->pace->destination = d;
        d->pace->timer.kind = TIMER_PACE;
        d->pace->margin_ms = MARGIN_MS;
    }
    return d->pace;
}

void pace_set(struct queue *q, struct destination *d, const struct rate *rates,
              size_t count)
{
    struct spacing before[RATES_MOST];
    size_t before_count;
    struct pace *p;

    if (count == 0 && !has_rates(d))
        return;
    ASSERT(count <= RATES_MOST);
    p = pace_get(d);
    before_count = p->count;
    memcpy(before, p->each, sizeof before);
    p->count = count;
    for (size_t i = 0; i < count; i++) {
        spacing_init(&p->each[i], &rates[i]);
        for (size_t k = 0; k < before_count; k++)
            if (rate_is_same(&before[k].rate, 1, &rates[i], 1))
                p->each[i] = before[k];
    }
    (void)now_of(q, p);
}

/* ---------------------------------------------------------------- disk ---- */

static int run_write(struct queue *q, struct job *j)
{
    struct pace *p = (struct pace *)j;

    return store_note_put(q->writer.store, pace_notes,
                          destination_span(p->destination),
                          buffer_span(&p->note), p->expire_ms);
}

static bool finish_write(struct queue *q, struct job *j);

static const struct job_kind write_kind = {
    .name = "pace",
    .goes_first = true,
    .run = run_write,
    .finish = finish_write,
};

/* As it is, or when leased with what may go soon. */
static void write_note(struct queue *q, struct pace *p, bool is_leased)
{
    int64_t now_ms = now_of(q, p), last_us = 0;

    buffer_clear(&p->note);
    for (size_t i = 0; i < p->count; i++) {
        struct spacing *s = &p->each[i];

        s->asked_us =
            is_leased
                ? spacing_lease_us(s, now_ms, p->margin_ms + 2 * p->reach_ms)
                : s->full_us;
        if (s->asked_us > last_us)
            last_us = s->asked_us;
        buffer_printf(&p->note, "%" PRIu64 " %" PRId64 " %" PRId64 "\n",
                      s->rate.amount, s->rate.period_ms, s->asked_us);
    }
    p->expire_ms = last_us / 1000 + 1;
    p->is_writing = true;
    p->written_ms = queue_monotonic_ms();
    p->job.kind = &write_kind;
    writer_submit(&q->writer, &p->job);
}

static bool gives_back(const struct pace *p)
{
    for (size_t i = 0; i < p->count; i++)
        if (p->each[i].kept_us != p->each[i].full_us)
            return p->is_leaving;
    return false;
}

/* p is ours again. Rates that came meanwhile were not in the note: nothing was asked for them. */
static bool finish_write(struct queue *q, struct job *j)
{
    struct pace *p = (struct pace *)j;
    int64_t took_ms = queue_monotonic_ms() - p->written_ms;

    queue_lock(q);
    p->is_writing = false;
    for (size_t i = 0; i < p->count && j->rc >= 0; i++)
        p->each[i].kept_us = p->each[i].asked_us;
    if (j->rc < 0)
        p->again_ms = queue_monotonic_ms() + AGAIN_MS;
    else if (gives_back(p))
        write_note(q, p, false);
    p->margin_ms = took_ms > MARGIN_MOST_MS / 2 ? MARGIN_MOST_MS
                   : took_ms > MARGIN_MS / 2    ? 2 * took_ms
                                                : MARGIN_MS;
    slot_run(q, p->destination);
    queue_unlock(q);
    return false;
}

void pace_flush(struct queue *q)
{
    struct destination *d;

    queue_lock(q);
    TAILQ_FOREACH(d, &q->all_destinations, all)
    {
        if (!d->pace)
            continue;
        d->pace->is_leaving = true;
        if (!d->pace->is_writing && gives_back(d->pace))
            write_note(q, d->pace, false);
    }
    queue_unlock(q);
}

/* "AMOUNT PERIOD KEPT" */
static bool read_line(struct span line, struct rate *out_rate,
                      int64_t *out_kept_us)
{
    struct span period, kept, amount = span_split(line, ' ', &period);
    uint64_t n[3];

    period = span_split(period, ' ', &kept);
    if (!span_number(amount, &n[0]) || !span_number(period, &n[1]) ||
        !span_number(kept, &n[2]) || n[0] == 0 || n[1] == 0 ||
        n[1] > INT64_MAX / 4000 || n[2] > INT64_MAX)
        return false;
    *out_rate = (struct rate){ n[0], (int64_t)n[1] };
    *out_kept_us = (int64_t)n[2];
    return true;
}

void pace_remember(struct queue *q, struct span name, struct span note)
{
    struct destination *d = destination_get(q, name);
    struct pace *p = pace_get(d);
    int64_t kept_us;
    struct rate rate;

    if (d->lanes == 0)
        d->is_abandoned = true; /* until a lane leads there */
    while (note.len && p->count < RATES_MOST) {
        struct span line = span_split(note, '\n', &note);

        if (!read_line(line, &rate, &kept_us))
            continue;
        spacing_init(&p->each[p->count], &rate);
        spacing_remember(&p->each[p->count++], kept_us, queue_now_ms(q));
    }
    (void)now_of(q, p);
}

/* ----------------------------------------------------------------- room ---- */

static int64_t free_ms(const struct pace *p)
{
    int64_t latest_ms = 0;

    for (size_t i = 0; i < p->count; i++) {
        int64_t one_ms = spacing_free_ms(&p->each[i]);

        if (one_ms > latest_ms)
            latest_ms = one_ms;
    }
    return latest_ms;
}

static void wake_at(struct queue *q, struct pace *p, int64_t due_ms)
{
    if (timer_due(&p->timer) == due_ms)
        return;
    timers_set(&q->timers, &p->timer, due_ms);
    reader_poke(&q->reader);
}

static void hold(struct queue *q, struct pace *p, int64_t now_ms)
{
    int64_t due_ms = free_ms(p);

    if (now_ms - p->held_ms > QUIET_MS)
        p->is_to_tell = q->has_to_tell = true;
    p->held_ms = now_ms;
    wake_at(q, p, due_ms < now_ms + WAKE_MS ? now_ms + WAKE_MS : due_ms);
}

/* More than the disk has is to go. */
static void ask_lease(struct queue *q, struct pace *p, int64_t now_ms)
{
    int64_t wait_ms = p->again_ms - queue_monotonic_ms();

    if (p->is_writing || p->is_leaving)
        return;
    if (wait_ms > 0)
        wake_at(q, p, now_ms + wait_ms + 1);
    else
        write_note(q, p, true);
}

uint32_t pace_limit(struct queue *q, struct destination *d, uint32_t wanted)
{
    uint64_t room = wanted, covered;
    struct pace *p = d->pace;
    int64_t now_ms;

    if (!has_rates(d) || wanted == 0)
        return wanted;
    now_ms = now_of(q, p);
    for (size_t i = 0; i < p->count; i++) {
        uint64_t one = spacing_room(&p->each[i], now_ms);

        room = one < room ? one : room;
    }
    if (room == 0) {
        hold(q, p, now_ms);
        return 0;
    }
    covered = room;
    for (size_t i = 0; i < p->count; i++) {
        uint64_t one = spacing_covered(&p->each[i], now_ms);

        covered = one < covered ? one : covered;
    }
    if (covered < room)
        ask_lease(q, p, now_ms);
    return (uint32_t)covered;
}

void pace_take(struct destination *d)
{
    struct pace *p = d->pace;
    int64_t now_ms;

    if (!has_rates(d))
        return;
    now_ms = p->seen_ms; /* pace_limit's */
    for (size_t i = 0; i < p->count; i++)
        spacing_take(&p->each[i], now_ms);
}

void pace_reached(struct destination *d, int64_t took_ms)
{
    d->pace->reach_ms = took_ms < 0                ? 0
                        : took_ms > MARGIN_MOST_MS ? MARGIN_MOST_MS
                                                   : took_ms;
}

void pace_clock_set(struct queue *q)
{
    struct destination *d;

    TAILQ_FOREACH(d, &q->all_destinations, all)
    {
        if (has_rates(d))
            slot_run(q, d);
    }
}

int64_t pace_held_ms(const struct queue *q, const struct destination *d)
{
    int64_t due_ms;

    if (!has_rates(d) || d->state != DESTINATION_UP || d->turned ||
        (d->warm + d->cold == 0 && TAILQ_EMPTY(&d->todo)))
        return 0;
    due_ms = free_ms(d->pace);
    return due_ms > queue_now_ms(q) ? due_ms : 0;
}

uint32_t pace_share(const struct destination *d)
{
    uint64_t share = UINT32_MAX;

    if (!has_rates(d))
        return UINT32_MAX;
    for (size_t i = 0; i < d->pace->count; i++) {
        const struct spacing *s = &d->pace->each[i];
        uint64_t one = SHARE_LEAST + 2 * (uint64_t)s->burst +
                       (uint64_t)SHARE_MS * 1000 / (uint64_t)s->every_us;

        share = one < share ? one : share;
    }
    return (uint32_t)share;
}

bool pace_is_over(const struct queue *q, const struct destination *d)
{
    struct pace *p = d->pace;
    bool is_over = !p || !p->is_writing;
    int64_t now_ms = p ? now_of(q, p) : 0;

    for (size_t i = 0; p && i < p->count; i++)
        is_over = is_over && p->each[i].full_us <= now_ms * 1000;
    return is_over;
}

/* ------------------------------------------------------------------ log ---- */

static bool tell_one(struct queue *q)
{
    struct buffer name = { 0 }, rates = { 0 };
    struct destination *d;
    bool is_found = false;

    queue_lock(q);
    TAILQ_FOREACH(d, &q->all_destinations, all)
    {
        if (!d->pace || !d->pace->is_to_tell)
            continue;
        is_found = true;
        d->pace->is_to_tell = false;
        buffer_put(&name, destination_span(d));
        for (size_t i = 0; i < d->pace->count; i++) {
            buffer_put_string(&rates, i ? " and " : "");
            rate_put(&rates, &d->pace->each[i].rate);
        }
        break;
    }
    q->has_to_tell = is_found;
    queue_unlock(q);
    if (is_found)
        queue_say(q, QUEUE_INFO,
                  "%s is limited to %s: mail waits for that, which is no "
                  "failure",
                  buffer_string(&name), buffer_string(&rates));
    buffer_fini(&name);
    buffer_fini(&rates);
    return is_found;
}

void pace_tell(struct queue *q)
{
    bool is_some;

    queue_lock(q);
    is_some = q->has_to_tell;
    queue_unlock(q);
    while (is_some)
        is_some = tell_one(q);
}

void pace_free(struct queue *q, struct destination *d)
{
    if (!d->pace)
        return;
    ASSERT(!d->pace->is_writing);
    timers_set(&q->timers, &d->pace->timer, TIMER_NEVER);
    buffer_fini(&d->pace->note);
    free(d->pace);
}
