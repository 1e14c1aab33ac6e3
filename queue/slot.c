/*
 * slot - how many connections to which destination, and on which loop?
 *
 * Destinations take turns only where slots are short (SLOTS_MOST): otherwise each
 * gets what its window allows. What the relay calls is in claim.c.
 */
#include "queue/slot.h"

#include "policy/vocabulary/memory.h"
#include "queue/active.h"
#include "queue/pace.h"
#include "queue/turn.h"

#include <stdlib.h>

enum { WARM_AHEAD = 8 }; /* works with content for each destination */

static void slot_announce(struct queue_slot *s, enum slot_news news)
{
    if (s->news == SLOT_NO_NEWS)
        TAILQ_INSERT_TAIL(&s->port->told, s, told);
    s->news = news;
    port_wake(s->port);
}

void slot_unannounce(struct queue_slot *s)
{
    if (s->news != SLOT_NO_NEWS)
        TAILQ_REMOVE(&s->port->told, s, told);
    s->news = SLOT_NO_NEWS;
}

static void slot_promise(struct queue_slot *s)
{
    s->is_promised = true;
    s->destination->promised++;
}

void slot_unpromise(struct queue_slot *s)
{
    if (s->is_promised)
        s->destination->promised--;
    s->is_promised = false;
}

/* It is told to close, once, and has no part in anything until it does. */
static void slot_end(struct queue_slot *s)
{
    slot_unpark(s);
    s->state = SLOT_LEAVING;
    s->destination->leaving++;
    slot_announce(s, SLOT_ENDED);
}

uint32_t slot_busy(const struct destination *d)
{
    return d->slots - d->parked_count - d->leaving;
}

void slot_park(struct queue_slot *s)
{
    struct destination *d = s->destination;

    if (s->queue->is_stopping || d->is_abandoned || d->turned ||
        (d->home && turn_is_over(s->queue, d)) ||
        d->slots - d->leaving > d->feedback.window) {
        slot_end(s);
        return;
    }
    s->state = SLOT_PARKED;
    TAILQ_INSERT_HEAD(&d->parked, s, park);
    s->queue->parked++;
    d->parked_count++;
}

void slot_unpark(struct queue_slot *s)
{
    if (s->state != SLOT_PARKED)
        return;
    TAILQ_REMOVE(&s->destination->parked, s, park);
    s->queue->parked--;
    s->destination->parked_count--;
    s->state = SLOT_OPEN;
}

static void slot_wake(struct queue_slot *s)
{
    slot_unpark(s);
    slot_promise(s);
    slot_announce(s, SLOT_READY);
}

static struct queue_port *least_loaded(struct queue *q)
{
    struct queue_port *p, *best = NULL;

    TAILQ_FOREACH(p, &q->ports, all)
    {
        if (p->takes_slots && (!best || p->slots < best->slots))
            best = p;
    }
    return best;
}

static struct queue_slot *slot_new(struct queue_port *p, struct destination *d)
{
    struct queue_slot *s = NEW(struct queue_slot);

    s->queue = p->queue;
    s->destination = d;
    s->port = p;
    p->queue->slots++;
    d->slots++;
    p->slots++;
    return s;
}

struct queue_slot *slot_given(struct queue_port *p, struct destination *d)
{
    struct queue_slot *s = slot_new(p, d);

    s->state = SLOT_OPEN;
    return s;
}

static struct queue_slot *slot_open(struct queue *q, struct destination *d)
{
    struct queue_port *p = least_loaded(q);
    struct queue_slot *s;

    if (!p)
        return NULL;
    if (q->slots >= SLOTS_MOST) {
        if (!d->is_queued)
            TAILQ_INSERT_TAIL(&q->slotless, d, slot_link);
        d->is_queued = true;
        return NULL;
    }
    s = slot_new(p, d);
    s->opened_ms = queue_now_ms(q);
    slot_promise(s);
    slot_announce(s, SLOT_OPENED);
    return s;
}

/* The caller calls slot_run afterwards. */
void slot_free(struct queue_slot *s)
{
    slot_unannounce(s);
    slot_unpark(s);
    slot_unpromise(s);
    if (s->state == SLOT_LEAVING)
        s->destination->leaving--;
    s->queue->slots--;
    s->destination->slots--;
    s->port->slots--;
    if (s->destination->probe == s)
        s->destination->probe = NULL;
    free(s->lane);
    free(s);
}

static void load_consider(struct queue *q, struct destination *d)
{
    bool wants = destination_is_down(d) ? TAILQ_EMPTY(&d->turns)
                            : d->blocked || d->warm < 2 * d->slots + WARM_AHEAD;

    if (d->is_loading || d->cold == 0 || !wants)
        return;
    d->is_loading = true;
    TAILQ_INSERT_TAIL(&q->loading, d, load_link);
    reader_poke(&q->reader);
}

static void probe_run(struct queue *q, struct destination *d)
{
    struct queue_slot *s = TAILQ_FIRST(&d->parked);

    if (d->probe || TAILQ_EMPTY(&d->turns) || queue_now_ms(q) < d->due_ms ||
        (d->pace && pace_limit(q, d, 1) == 0))
        return;
    if (s)
        slot_wake(s);
    else if (d->slots == 0)
        s = slot_open(q, d);
    if (s)
        s->has_asked = false;
    d->probe = s;
}

void slot_run(struct queue *q, struct destination *d)
{
    uint32_t ready;

    load_consider(q, d);
    if (q->is_stopping || d->turned)
        return;
    if (destination_is_down(d)) {
        if (d->state != DESTINATION_SUSPENDED)
            probe_run(q, d);
        return;
    }
    ready = TAILQ_EMPTY(&d->turns) ? 0 : d->warm;
    if (d->pace)
        ready = pace_limit(q, d, ready);
    while (ready > d->promised) {
        struct queue_slot *s = TAILQ_FIRST(&d->parked);

        if (s)
            slot_wake(s);
        else if (d->slots >= d->feedback.window || !slot_open(q, d))
            break;
    }
}

void slot_port_opened(struct queue *q)
{
    struct destination *d;

    TAILQ_FOREACH(d, &q->all_destinations, all)
    {
        slot_run(q, d);
    }
}

/* Those of d, or all. */
static void take_back(struct queue_port *p, const struct destination *only)
{
    struct queue_slot *s, *next;

    for (s = TAILQ_FIRST(&p->told); s; s = next) {
        struct destination *d = s->destination;

        next = TAILQ_NEXT(s, told);
        if (s->state != SLOT_UNTOLD || (only && d != only))
            continue;
        slot_free(s);
        slot_run(p->queue, d);
    }
}

void slot_withdraw(struct queue_port *p)
{
    p->takes_slots = false;
    take_back(p, NULL);
}

void slot_clear(struct queue *q, struct destination *d)
{
    struct queue_port *p;

    TAILQ_FOREACH(p, &q->ports, all)
    {
        take_back(p, d);
    }
    slot_end_parked(d);
}

void slot_end_parked(struct destination *d)
{
    struct queue_slot *s;

    while ((s = TAILQ_FIRST(&d->parked)))
        slot_end(s);
}

bool slot_tell(struct queue_port *p)
{
    struct queue_slot *s;
    enum slot_news news;

    queue_lock(p->queue);
    s = TAILQ_FIRST(&p->told);
    news = s ? s->news : SLOT_NO_NEWS;
    if (s) {
        slot_unannounce(s);
        if (s->state == SLOT_UNTOLD)
            s->state = SLOT_OPEN;
    }
    queue_unlock(p->queue);
    switch (news) {
    case SLOT_NO_NEWS:
        return false;
    case SLOT_OPENED:
        p->events.slot_opened(p->user, s);
        break;
    case SLOT_READY:
        p->events.slot_ready(p->user, s);
        break;
    case SLOT_ENDED:
        p->events.slot_ended(p->user, s);
        break;
    }
    return true;
}

void queue_stop_claims(struct queue *q)
{
    struct destination *d;
    struct queue_port *p;

    queue_lock(q);
    q->is_stopping = true;
    TAILQ_FOREACH(p, &q->ports, all)
    {
        slot_withdraw(p);
    }
    TAILQ_FOREACH(d, &q->all_destinations, all)
    {
        slot_end_parked(d);
    }
    queue_unlock(q);
}
