/*
 * claim - what the relay does with a slot, and what that says of the destination.
 *
 * While a destination rests (standing.h) only the probe, and slots whose connection still
 * stands, are given work; while it waits to be released the probe alone; the probe one
 * work until it was greeted. What a customer fetches goes to his slot alone (turn.h), and
 * tells nothing of whether the host could be reached.
 */
#include "queue/claim.h"

#include "queue/active.h"
#include "queue/pace.h"
#include "queue/slot.h"
#include "queue/standing.h"
#include "queue/turn.h"

#include <stdlib.h>

struct span queue_slot_destination(const struct queue_slot *slot)
{
    return destination_span(destination_home(slot->destination));
}

void queue_slot_attach(struct queue_slot *slot, void *data)
{
    slot->data = data;
}

void *queue_slot_data(const struct queue_slot *slot)
{
    return slot->data;
}

void queue_slot_mark(struct queue_slot *slot, uint32_t bits)
{
    queue_lock(slot->queue);
    destination_home(slot->destination)->marks |= bits;
    queue_unlock(slot->queue);
}

uint32_t queue_slot_marks(const struct queue_slot *slot)
{
    uint32_t bits;

    queue_lock(slot->queue);
    bits = destination_home(slot->destination)->marks;
    queue_unlock(slot->queue);
    return bits;
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
    if (destination_waits(d))
        return d->state == DESTINATION_OFFLINE && !d->turned && d->probe == s &&
               !s->has_asked;
    if (destination_is_down(d))
        return s->is_connected || (d->probe == s && !s->has_asked);
    return slot_busy(d) <= d->feedback.window;
}

struct queue_work *queue_slot_next(struct queue_slot *slot, uint32_t most)
{
    struct queue *q = slot->queue;
    struct bundle *b = NULL;
    bool is_paced;

    queue_lock(q);
    if (slot->state != SLOT_LEAVING)
        slot_unannounce(slot);
    slot_unpark(slot);
    slot_unpromise(slot);
    if (slot->destination->home)
        turn_begin(q, slot->destination);
    is_paced = slot->destination->pace && !slot->is_exempt;
    if (is_paced && slot->opened_ms)
        pace_reached(slot->destination, queue_now_ms(q) - slot->opened_ms);
    slot->opened_ms = 0;
    if (may_claim(q, slot) && !TAILQ_EMPTY(&slot->destination->turns) &&
        (!is_paced || pace_limit(q, slot->destination, 1)))
        b = active_claim(q, slot->destination, most);
    if (b && is_paced)
        pace_take(slot->destination);
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

void queue_slot_exempt(struct queue_slot *slot)
{
    queue_lock(slot->queue);
    slot->is_exempt = true;
    queue_unlock(slot->queue);
}

/* It answered through this slot: is that what it rests or waits for? */
static bool ends_rest(const struct destination *d, const struct queue_slot *s)
{
    return d->state == DESTINATION_RESTING ||
           (d->state == DESTINATION_OFFLINE && d->probe == s);
}

/* For "last seen"; it is written down soon. */
static void seen(struct queue *q, struct destination *d)
{
    struct destination *home = destination_home(d);

    home->last_good_ms = queue_now_ms(q);
    if (d->home)
        home->is_dirty = q->has_dirty = true;
}

void queue_slot_connected(struct queue_slot *slot)
{
    struct queue *q = slot->queue;
    struct destination *d = slot->destination;

    queue_lock(q);
    slot->is_connected = true;
    seen(q, d);
    if (ends_rest(d, slot))
        standing_up(q, d);
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
    /* A customer that went away is still a host that could be reached. What fails while
     * it is down, but the probe, is of the cohort that failed. */
    if (!d->home && (destination_is_down(d) ? d->probe == slot
                                            : feedback_failed(&d->feedback))) {
        set_last_error(d, span_first(reason, 1000));
        standing_down(q, d, d->is_on_demand ? 0 : backoff(user, d->downs + 1));
    }
    queue_unlock(q);
}

void queue_lane_error(struct queue *q, struct span lane, struct buffer *out)
{
    const struct lane *l;

    queue_lock(q);
    l = lane_find(q, lane);
    if (l)
        standing_reason(lane_standing(l), out);
    queue_unlock(q);
}

void queue_slot_close(struct queue_slot *take_slot)
{
    struct queue *q = take_slot->queue;
    struct destination *d = take_slot->destination, *other;

    queue_lock(q);
    ASSERT(take_slot->held == 0);
    if (d->probe == take_slot)
        standing_undecided(q, d);
    slot_free(take_slot);
    if (d->home)
        d = turn_end(q, d);
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

    bool is_answer = d && is_delivered && ends_rest(d, b->slot);

    if (b->slot)
        b->slot->held--;
    b->slot = NULL;
    if (!d || !is_delivered)
        return;
    window = d->feedback.window;
    seen(q, d);
    if (is_answer)
        standing_up(q, d);
    feedback_delivered(&d->feedback, d->slots);
    if (d->feedback.window == window)
        return;
    d->is_dirty = q->has_dirty = true;
    slot_run(q, d);
}
