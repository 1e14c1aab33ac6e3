/*
 * crew - the workers of the station.
 */
#include "relay/main/crew.h"

#include "policy/vocabulary/memory.h"
#include "relay/inbound/intake.h"
#include "relay/net/acquaintance.h"
#include "relay/net/log.h"
#include "relay/net/resolver.h"
#include "relay/net/scorecard.h"
#include "relay/net/tls.h"
#include "relay/outbound/callout.h"
#include "relay/outbound/delivery.h"
#include "relay/outbound/stslease.h"

#include <stdlib.h>

enum { OWN_ADDRESSES_MOST = 64 };

static void on_alarm(void *user, struct queue_work *work)
{
    delivery_alarm(user, work);
}

static void on_eased(void *user)
{
    intake_eased(((struct worker *)user)->intake);
}

static const struct queue_port_events events = {
    .wake = worker_wake,
    .slot_opened = delivery_slot_opened,
    .slot_ready = delivery_slot_ready,
    .slot_ended = delivery_slot_ended,
    .alarm = on_alarm,
    .eased = on_eased,
};

static void on_tick(struct worker *w)
{
    intake_tick(w->intake);
    delivery_tick(w->delivery);
}

/* The addresses we listen on; mail for them would come back to us. */
static size_t own_addresses(const struct settings *s, struct host_address *out)
{
    size_t n = 0;

    for (size_t i = 0; i < s->listener_count && n < OWN_ADDRESSES_MOST; i++)
        out[n++] = s->listeners[i].host;
    return n;
}

/* DANE is off where nothing is validated: who relies on it should know. */
static void tell_validation(const struct worker *w, const struct settings *s)
{
    bool wants = false, demands = false;

    for (size_t i = 0; i < s->route_count; i++) {
        wants |= s->routes[i].tls == ROUTE_TLS_DANE;
        demands |= s->routes[i].tls == ROUTE_TLS_DANE_ONLY;
    }
    if ((wants || demands) && !resolver_validates(w->resolver))
        log_text(demands ? LOG_WARNING : LOG_NOTE,
                 "resolver: answers are not validated (DNSSEC), and DANE is off: "
                 "see resolver { mode, trust-anchor }%s",
                 demands ? "; mail of routes with tls = dane-only waits" : "");
}

static int give_resolver(struct worker *w, struct settings *s,
                         struct buffer *out_why)
{
    struct host_address own[OWN_ADDRESSES_MOST];

    return resolver_open(
        &w->resolver, &w->loop,
        &(struct resolver_options){ .settings = &s->resolver,
                                    .hostname = s->hostname,
                                    .own_addresses = own,
                                    .own_count = own_addresses(s, own),
                                    .gauge = w->gauge },
        out_why);
}

static int open_worker(struct crew *c, struct queue *q, struct settings *s,
                       const struct strongbox *box, struct census *census,
                       struct buffer *out_why)
{
    struct worker *w = NEW(struct worker);
    int rc = worker_init(w, c->count, q, &events, s);

    if (rc < 0) {
        buffer_printf(out_why, "worker: %s", error_text(rc));
        return rc;
    }
    strongbox_give(box, w);
    w->scores = c->scores;
    w->acquaintances = c->acquaintances;
    w->leases = c->leases;
    intake_open(w, census);
    delivery_open(w);
    w->sides.deliver = delivery_turn;
    w->sides.call_out = callout_begin;
    w->sides.receive = intake_receive;
    w->on_tick = on_tick;
    w->owner = c;
    c->workers[c->count] = w;
    if ((rc = give_resolver(w, s, out_why)) < 0)
        return rc;
    if (c->count == 0)
        tell_validation(w, s);
    return worker_start(w);
}

int crew_open(struct crew *c, struct queue *q, struct settings *s,
              const struct strongbox *box, struct census *census,
              struct buffer *out_why)
{
    unsigned wanted = s->workers;
    int rc;

    c->scores = scorecard_new();
    c->acquaintances = acquaintance_new();
    c->leases = stslease_new();
    if (wanted == 0)
        wanted = uv_available_parallelism();
    if (wanted > CREW_MOST)
        wanted = CREW_MOST;
    for (; c->count < wanted; c->count++)
        if ((rc = open_worker(c, q, s, box, census, out_why)) < 0)
            return rc;
    return 0;
}

/* ------------------------------------------------------------- renewal ---- */

/* Settings and the material made of them, for one worker: listeners and routes are known by
 * their index in both, so they change together. */
struct renewal {
    struct settings *settings;
    struct tls_material *tls;
};

static void take_renewal(struct worker *w, struct renewal *take_r)
{
    settings_release(w->settings);
    w->settings = take_r->settings;
    tls_material_release(w->tls);
    w->tls = take_r->tls;
    free(take_r);
}

static void task_renew(struct worker *w, void *arg)
{
    take_renewal(w, arg);
}

static void task_refresh(struct worker *w, void *arg)
{
    take_renewal(w, arg);
    intake_reload(w->intake);
}

static void task_reload(struct worker *w, void *arg)
{
    task_refresh(w, arg);
    intake_review(w->intake);
    resolver_flush(w->resolver);
}

static void task_review(struct worker *w, void *arg)
{
    (void)arg;
    intake_review(w->intake);
}

static void post_all(struct crew *c, worker_task_fn *fn, struct settings *s,
                     struct tls_material *tls)
{
    for (unsigned i = 0; i < c->count; i++) {
        struct renewal *r = NEW(struct renewal);

        *r = (struct renewal){ settings_hold(s), tls_material_hold(tls) };
        worker_post(c->workers[i], fn, r);
    }
}

void crew_renew(struct crew *c, struct settings *s, struct tls_material *tls)
{
    post_all(c, task_renew, s, tls);
}

void crew_refresh(struct crew *c, struct settings *s, struct tls_material *tls)
{
    post_all(c, task_refresh, s, tls);
}

void crew_reload(struct crew *c, struct settings *s, struct tls_material *tls)
{
    post_all(c, task_reload, s, tls);
}

void crew_review(struct crew *c)
{
    for (unsigned i = 0; i < c->count; i++)
        worker_post(c->workers[i], task_review, NULL);
}

/* ------------------------------------------------------------- the end ---- */

/* Step by step on the worker's own thread. */
static void on_resolver_closed(void *user)
{
    struct worker *w = user;
    struct crew *c = w->owner;

    intake_close(w->intake);
    delivery_close(w->delivery);
    worker_stop(w);
    atomic_fetch_add(&c->ended, 1);
    (void)uv_async_send(c->wake);
}

static void on_side_empty(struct worker *w)
{
    if (++w->sides_empty == 2)
        resolver_close(w->resolver, on_resolver_closed, w);
}

static void task_shut_down(struct worker *w, void *arg)
{
    struct crew *c = arg;

    intake_shut_down(w->intake, on_side_empty);
    delivery_shut_down(w->delivery, c->drain_ms, on_side_empty);
}

void crew_shut_down(struct crew *c, int64_t drain_ms, uv_async_t *wake)
{
    c->drain_ms = drain_ms;
    c->wake = wake;
    for (unsigned i = 0; i < c->count; i++)
        worker_post(c->workers[i], task_shut_down, c);
}

bool crew_has_ended(const struct crew *c)
{
    return atomic_load(&c->ended) == c->count;
}

void crew_join(struct crew *c)
{
    for (unsigned i = 0; i < c->count; i++)
        worker_join(c->workers[i]);
}

void crew_fini(struct crew *c)
{
    for (unsigned i = 0; i < c->count; i++) {
        worker_fini(c->workers[i]);
        free(c->workers[i]);
    }
    scorecard_free(c->scores);
    acquaintance_free(c->acquaintances);
    stslease_free(c->leases);
}
