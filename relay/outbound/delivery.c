/*
 * delivery - the outbound side of one worker.
 */
#include "relay/outbound/delivery.h"

#include "policy/route.h"
#include "policy/vocabulary/memory.h"
#include "relay/outbound/courier.h"
#include "relay/outbound/settlement.h"

#include <stdlib.h>

enum { ALARM_HEAD_MOST = 64 * 1024, HOSTS_REMEMBERED = 4096 };

/* A work whose notice or expiry is due; large content is read first, for the report. */
struct alarm {
    struct delivery *delivery;
    struct settings *settings;
    struct settlement settlement;
    uint64_t token;
    struct buffer head;
};

void delivery_open(struct worker *w)
{
    w->delivery = NEW(struct delivery);
    w->delivery->worker = w;
    w->delivery->hosts = hostmemory_new(HOSTS_REMEMBERED);
}

void delivery_left(struct delivery *d)
{
    d->count--;
    if (d->count == 0 && d->alarms == 0 && d->empty)
        d->empty(d->worker);
}

void delivery_slot_opened(void *worker, struct queue_slot *slot)
{
    struct delivery *d = ((struct worker *)worker)->delivery;

    if (d->cut_ms)
        queue_slot_close(slot);
    else
        courier_open(d, slot);
}

void delivery_slot_ready(void *worker, struct queue_slot *slot)
{
    (void)worker;
    if (queue_slot_data(slot))
        courier_ready(queue_slot_data(slot));
}

void delivery_slot_ended(void *worker, struct queue_slot *slot)
{
    (void)worker;
    if (queue_slot_data(slot))
        courier_end(queue_slot_data(slot));
}

/* -------------------------------------------------------------- alarms ---- */

static void alarm_end(struct alarm *a)
{
    struct delivery *d = a->delivery;

    settlement_alarms(&a->settlement);
    settlement_end(&a->settlement);
    registry_drop(&d->registry, a->token);
    settings_release(a->settings);
    buffer_fini(&a->head);
    free(a);
    d->alarms--;
    d->count++; /* delivery_left counts it out again */
    delivery_left(d);
}

static void on_head(void *user, uint64_t token, int rc, struct span bytes)
{
    struct worker *w = user;
    struct alarm *a = registry_find(&w->delivery->registry, token);

    if (!a)
        return;
    if (rc >= 0)
        buffer_put(&a->head, bytes);
    a->settlement.head = buffer_span(&a->head);
    alarm_end(a);
}

void delivery_alarm(void *worker, struct queue_work *work)
{
    struct worker *w = worker;
    struct alarm *a = NEW(struct alarm);

    a->delivery = w->delivery;
    a->settings = settings_hold(w->settings);
    a->token = registry_put(&w->delivery->registry, a);
    w->delivery->alarms++;
    settlement_begin(&a->settlement, w, a->settings,
                     route_of_lane(a->settings, work->recipients[0].lane), work);
    if (work->content.at)
        alarm_end(a);
    else
        queue_read(w->port, work, 0, ALARM_HEAD_MOST, on_head, a->token);
}

/* -------------------------------------------------------- time and end ---- */

void delivery_tick(struct delivery *d)
{
    int64_t now = wall_ms();
    bool cut = d->cut_ms && now >= d->cut_ms;

    for (struct courier *c = d->couriers, *next; c; c = next) {
        next = courier_next(c);
        if (cut)
            courier_cut(c, true);
        else
            courier_tick(c, now);
    }
}

void delivery_shut_down(struct delivery *d, int64_t drain_ms,
                        void (*empty)(struct worker *w))
{
    d->cut_ms = wall_ms() + drain_ms;
    for (struct courier *c = d->couriers, *next; c; c = next) {
        next = courier_next(c);
        courier_cut(c, false);
    }
    d->empty = empty;
    if (d->count == 0 && d->alarms == 0)
        empty(d->worker);
}

void delivery_close(struct delivery *d)
{
    ASSERT(d->count == 0 && d->alarms == 0);
    registry_fini(&d->registry);
    hostmemory_free(d->hosts);
    free(d);
}
