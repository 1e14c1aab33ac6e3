/*
 * delivery - the outbound side of one worker.
 */
#include "relay/outbound/delivery.h"

#include "policy/route.h"
#include "policy/vocabulary/error.h"
#include "policy/vocabulary/memory.h"
#include "relay/net/log.h"
#include "relay/outbound/callout.h"
#include "relay/outbound/courier.h"
#include "relay/outbound/fetch.h"
#include "relay/outbound/probe.h"
#include "relay/outbound/settlement.h"
#include "relay/outbound/stsinquiry.h"
#include "relay/outbound/turned.h"
#include "relay/outbound/webpost.h"

#include <stdlib.h>

enum { ALARM_HEAD_MOST = 64 * 1024, HOSTS_REMEMBERED = 4096 };

#define HOST_NOTES SPAN("host")

/* A work whose notice or expiry is due; large content is read first, for the report. */
struct alarm {
    struct delivery *delivery;
    struct settings *settings;
    struct settlement settlement;
    uint64_t token;
    struct buffer head;
};

/* ------------------------------------------------------------- hosts ---- */

static void each_note(void *user, struct span key, struct span value)
{
    struct delivery *d = user;

    (void)hostmemory_read(d->hosts, key, value, wall_ms());
}

void delivery_open(struct worker *w)
{
    struct delivery *d = NEW(struct delivery);
    int rc;

    w->delivery = d;
    d->worker = w;
    d->hosts = hostmemory_new(HOSTS_REMEMBERED);
    callout_open(d);
    if ((rc = queue_notes(w->queue, HOST_NOTES, each_note, d)) < 0)
        log_text(LOG_WARNING, "what was known of next hops cannot be read: %s",
                 error_text(rc));
}

/* An expiry in the past removes the note. */
static void note_host(struct delivery *d, const struct race_target *host,
                      int64_t expire_ms)
{
    struct buffer key = { 0 }, value = { 0 };

    if (hostmemory_print(d->hosts, host, &key, &value))
        queue_note_put(d->worker->queue, HOST_NOTES, buffer_span(&key),
                       buffer_span(&value), expire_ms);
    buffer_fini(&key);
    buffer_fini(&value);
}

void delivery_host_failed(struct delivery *d, const struct race_target *host)
{
    int64_t now = wall_ms();

    if (hostmemory_failed(d->hosts, host, now))
        note_host(d, host, now + HOSTMEMORY_KEPT_MS);
}

void delivery_host_worked(struct delivery *d, const struct race_target *host)
{
    if (hostmemory_failures(d->hosts, host) == 0)
        return;
    note_host(d, host, 0);
    (void)hostmemory_worked(d->hosts, host);
}

/* ------------------------------------------------------------- slots ---- */

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
        courier_end(queue_slot_data(slot), slot);
}

void delivery_turn(struct worker *w, struct turn *take_t)
{
    ASSERT(take_t->count > 0);
    if (w->delivery->cut_ms)
        turn_free(take_t);
    else
        turned_begin(w->delivery, take_t);
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

/* Nothing was done: all of it is freed. */
static void free_work(struct worker *w, struct queue_work *take_work)
{
    struct settlement s;

    settlement_begin(&s, w, w->settings, NULL, take_work);
    settlement_end(&s);
}

void delivery_alarm(void *worker, struct queue_work *work)
{
    struct worker *w = worker;
    struct alarm *a;

    if (w->delivery->cut_ms) { /* its time will have come at the next start too */
        free_work(w, work);
        return;
    }
    a = NEW(struct alarm);
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

    callout_tick(d, now);
    stsinquiry_tick(d, now);
    for (struct courier *c = d->couriers, *next; c; c = next) {
        next = courier_next(c);
        if (cut)
            courier_cut(c, true);
        else
            courier_tick(c, now);
    }
    for (struct fetch *f = d->fetches, *next; f; f = next) {
        next = fetch_next(f);
        fetch_tick(f, now);
    }
    for (struct probe *p = d->probes, *next; p; p = next) {
        next = probe_next(p);
        probe_tick(p, now);
    }
}

void delivery_shut_down(struct delivery *d, int64_t drain_ms,
                        void (*empty)(struct worker *w))
{
    d->cut_ms = wall_ms() + drain_ms;
    callout_shut_down(d);
    for (struct courier *c = d->couriers, *next; c; c = next) {
        next = courier_next(c);
        courier_cut(c, false);
    }
    for (struct fetch *f = d->fetches, *next; f; f = next) {
        next = fetch_next(f);
        fetch_cut(f);
    }
    for (struct probe *p = d->probes; p; p = probe_next(p))
        probe_cut(p);
    stsinquiry_shut_down(d);
    d->empty = empty;
    if (d->count == 0 && d->alarms == 0)
        empty(d->worker);
}

void delivery_close(struct delivery *d)
{
    ASSERT(d->count == 0 && d->alarms == 0 && !d->inquiries);
    callout_close(d);
    if (d->web)
        webpost_desk_close(d->web);
    registry_fini(&d->registry);
    hostmemory_free(d->hosts);
    free(d);
}
