/*
 * claim - what the relay does with a slot, and what that says of the destination.
 *
 *              a whole cohort failed                    due
 *      UP ---------------------------> DOWN (rests) ---------> DOWN, one probe
 *       ^                               ^                        |       |
 *       |                               +-- failed: rests longer-+       |
 *       +------------- greeted, or delivered ----------------------------+
 *
 * While it is down only the probe, and slots whose connection still stands, are given
 * work; the probe one work until it was greeted.
 */
#include "queue/claim.h"

#include "queue/active.h"
#include "queue/slot.h"

#include <stdlib.h>

enum { UNDECIDED_MS = 1000 }; /* rest after a probe that said nothing */

struct span queue_slot_destination(const struct queue_slot *slot)
{
    return destination_span(slot->destination);
}

void queue_slot_attach(struct queue_slot *slot, void *data)
{
    slot->data = data;
}

void *queue_slot_data(const struct queue_slot *slot)
{
    return slot->data;
}

struct span queue_slot_lane(struct queue_slot *slot)
{
    const struct bundle *b;

    free(slot->lane);
    slot->lane = NULL;
    queue_lock(slot->queue);
    b = active_peek(slot->destination);
    if (b)
        slot->lane = span_dup(b->work.recipients[0].lane);
    queue_unlock(slot->queue);
    return span_of(slot->lane);
}

static bool may_claim(const struct queue *q, const struct queue_slot *s)
{
    const struct destination *d = s->destination;

    if (q->is_stopping || s->has_failed || s->state == SLOT_LEAVING)
        return false;
    if (d->is_down)
        return s->is_connected || (d->probe == s && !s->has_asked);
    return slot_busy(d) <= d->feedback.window;
}

struct queue_work *queue_slot_next(struct queue_slot *slot, uint32_t most)
{
    struct queue *q = slot->queue;
    struct bundle *b = NULL;

    queue_lock(q);
    if (slot->state != SLOT_LEAVING)
        slot_unannounce(slot);
    slot_unpark(slot);
    slot_unpromise(slot);
    if (may_claim(q, slot))
        b = active_claim(q, slot->destination, most);
    if (slot->state == SLOT_LEAVING) {
        ASSERT(!b);
    } else if (b) {
        b->slot = slot;
        slot->held++;
        slot->has_asked = true;
        slot_run(q, slot->destination);
    } else {
        slot_park(slot);
    }
    queue_unlock(q);
    return b ? &b->work : NULL;
}

static void set_last_error(struct destination *d, struct span reason)
{
    free(d->last_error);
    d->last_error = reason.len ? span_dup(reason) : NULL;
}

static void go_up(struct queue *q, struct destination *d)
{
    d->is_down = false;
    d->downs = 0;
    d->due_ms = 0;
    d->probe = NULL;
    q->down--;
    timers_set(&q->timers, &d->timer, TIMER_NEVER);
    feedback_start(&d->feedback, d->connections);
    set_last_error(d, (struct span){ 0 });
    writer_save_destination(q, d);
    destination_unskip(q, d);
}

static void go_down(struct queue *q, struct destination *d, int64_t rest_ms)
{
    if (!d->is_down)
        q->down++;
    d->is_down = true;
    d->downs++;
    d->probe = NULL;
    d->due_ms = queue_now_ms(q) + (rest_ms > 0 ? rest_ms : 1);
    timers_set(&q->timers, &d->timer, d->due_ms);
    writer_save_destination(q, d);
    reader_poke(&q->reader);
}

void queue_slot_connected(struct queue_slot *slot)
{
    struct queue *q = slot->queue;
    struct destination *d = slot->destination;

    queue_lock(q);
    slot->is_connected = true;
    d->last_good_ms = queue_now_ms(q);
    if (d->is_down)
        go_up(q, d);
    feedback_greeted(&d->feedback);
    slot_run(q, d);
    queue_unlock(q);
}

void queue_slot_failed(struct queue_slot *slot, struct span reason,
                       queue_backoff_fn *backoff, void *user)
{
    struct queue *q = slot->queue;
    struct destination *d = slot->destination;

    queue_lock(q);
    slot->has_failed = true;
    slot->is_connected = false;
    /* What fails while it is down, but the probe, is of the cohort that failed. */
    if (d->is_down ? d->probe == slot : feedback_failed(&d->feedback)) {
        set_last_error(d, span_first(reason, 1000));
        go_down(q, d, backoff(user, d->downs + 1));
    }
    queue_unlock(q);
}

void queue_lane_error(struct queue *q, struct span lane, struct buffer *out)
{
    const struct lane *l;

    queue_lock(q);
    l = lane_find(q, lane);
    if (l && l->destination && l->destination->last_error)
        buffer_put_string(out, l->destination->last_error);
    queue_unlock(q);
}

void queue_slot_close(struct queue_slot *take_slot)
{
    struct queue *q = take_slot->queue;
    struct destination *d = take_slot->destination, *other;

    queue_lock(q);
    ASSERT(take_slot->held == 0);
    if (d->probe == take_slot && d->is_down) {
        d->due_ms = queue_now_ms(q) + UNDECIDED_MS;
        timers_set(&q->timers, &d->timer, d->due_ms);
    }
    slot_free(take_slot);
    /* Those that had to wait for a slot come first. */
    if ((other = TAILQ_FIRST(&q->slotless))) {
        TAILQ_REMOVE(&q->slotless, other, slot_link);
        other->is_queued = false;
        slot_run(q, other);
    }
    slot_run(q, d);
    queue_unlock(q);
}

void claim_settled(struct queue *q, struct bundle *b, bool is_delivered)
{
    struct destination *d = b->destination;
    uint32_t window;

    if (b->slot)
        b->slot->held--;
    b->slot = NULL;
    if (!d || !is_delivered)
        return;
    window = d->feedback.window;
    d->last_good_ms = queue_now_ms(q);
    if (d->is_down)
        go_up(q, d);
    feedback_delivered(&d->feedback, d->slots);
    if (d->feedback.window == window)
        return;
    d->is_dirty = q->has_dirty = true;
    slot_run(q, d);
}

void claim_end_rest(struct queue *q, struct destination *d)
{
    if (!d->is_down)
        return;
    d->due_ms = queue_now_ms(q);
    timers_set(&q->timers, &d->timer, d->due_ms);
    reader_poke(&q->reader);
    slot_run(q, d);
}
