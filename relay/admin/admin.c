/*
 * admin - HTTP for the people who run the relay, on the main loop.
 *
 * Up to two ways in (portal.c): the unix socket, and a TCP address that a reload may
 * change. Who may do what is reception.c's. Every wait suspends its connection. Answers of
 * the queue come by the port's wake -> bell -> queue_port_drain -> a callback of an
 * endpoint, which finds its request by token.
 *
 * A suspended connection is not watched, so a client that goes away is noticed
 * when its answer is there. On closing, all waits are cut and their late
 * answers find nobody.
 */
#include "relay/admin/admin_private.h"

#include "policy/vocabulary/memory.h"
#include "policy/vocabulary/remedy.h"
#include "relay/admin/events.h"
#include "relay/admin/flow.h"
#include "relay/admin/metrics.h"
#include "relay/net/gauge.h"
#include "relay/net/listener.h"
#include "relay/net/worker.h"

#include <openssl/rand.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

/* Over TCP one client may be a proxy, which others stand behind. */
static const struct portal_limits local_limits = { .connections = 300 };
static const struct portal_limits http_limits = { .connections = 200,
                                                  .per_client = 100 };

/* ---------------------------------------------------------- the loop ----- */

static void on_bell(void *user)
{
    struct admin *a = user;

    if (a->is_closing)
        return;
    queue_port_drain(a->port);
    portal_turn(a->local);
    portal_turn(a->http);
}

/* Any thread. */
static void on_wake(void *user)
{
    struct admin *a = user;

    bell_ring(&a->bell);
}

static const struct queue_port_events port_events = { .wake = on_wake };

uv_loop_t *admin_loop(const struct admin *a)
{
    return a->loop;
}

/* ---------------------------------------------------------- waits, ends -- */

/* Nobody waits behind this portal any more. */
static void end_waits(struct admin *a, const struct portal *p)
{
    for (struct request *r = a->requests; r; r = r->next) {
        if (r->visit->portal != p || r->state != REQUEST_WAITS)
            continue;
        if (r->is_stream)
            request_cut(r);
        else
            request_refuse(r, 503, "the relay is going down");
    }
}

void admin_look_at_tokens(struct admin *a, bool is_urgent)
{
    if (!tokenwatch_look(&a->tokenwatch, uv_now(a->loop), is_urgent))
        return;
    for (struct request *r = a->requests; r; r = r->next)
        if (*r->key_name && !tokenwatch_has(&a->tokenwatch, &r->key))
            request_cut(r);
}

static void on_one_closed(void *user)
{
    struct admin *a = user;

    if (--a->open)
        return;
    queue_busy_free(a->busy);
    if (a->closed)
        a->closed(a->closed_user);
    gate_fini(&a->gate);
    tokenwatch_fini(&a->tokenwatch);
    free((char *)a->http_address.at);
    free(a);
}

static void close_portal(struct admin *a, struct portal **p)
{
    if (!*p)
        return;
    end_waits(a, *p);
    portal_close(*p, on_one_closed, a);
    *p = NULL;
}

/* ------------------------------------------------------------- opening --- */

static int add_portal(struct admin *a, struct portal **out, int take_fd,
                      bool is_local)
{
    int rc = portal_open(out, a, take_fd, is_local,
                         is_local ? &local_limits : &http_limits);

    if (rc == 0)
        a->open++;
    return rc;
}

static void find_own_name(struct admin *a)
{
    const struct passwd *p = getpwuid(geteuid());

    (void)snprintf(a->own_name, sizeof(a->own_name), "%s",
                   p ? p->pw_name : "-");
}

/* Once a second: what flowed so far, and who is busy. */
static void ask_flow(void *user, struct flow_totals *out)
{
    struct admin *a = user;
    struct gauge_sum *s = NEW(struct gauge_sum); /* large for a stack */
    const uint64_t *n = s->counters;
    struct queue_stats stats;

    queue_busy_look(a->queue, a->busy);
    queue_stats(a->queue, &stats);
    if (a->gauges.sum)
        a->gauges.sum(a->gauges.user, s);
    *out = (struct flow_totals){ {
        [FLOW_ACCEPTED] = n[GAUGE_ACCEPTED],
        [FLOW_REFUSED] = gauge_sum_refused(s),
        [FLOW_DELIVERED] = n[GAUGE_SENT],
        [FLOW_DEFERRED] = n[GAUGE_DEFERRED],
        [FLOW_RETURNED] = n[GAUGE_BOUNCED] + n[GAUGE_EXPIRED],
        [FLOW_READY] = stats.messages_ready,
        [FLOW_WAITING] = stats.messages_deferred,
        [FLOW_HELD] = stats.messages_held,
    } };
    free(s);
}

int admin_open(struct admin **out_admin, uv_loop_t *loop, struct queue *q,
               const struct admin_options *o, struct buffer *out_why)
{
    struct admin *a = NEW(struct admin);
    uint64_t key;
    int rc;

    a->loop = loop;
    a->queue = q;
    a->status = o->status;
    a->settings = o->settings;
    a->user = o->user;
    a->fetches = o->fetches;
    a->explains = o->explains;
    a->logins = o->logins;
    a->webhooks = o->webhooks;
    a->gauges = o->gauges;
    a->probes = o->probes;
    a->acquaintances = o->acquaintances;
    a->started_ns = uv_hrtime();
    a->started_ms = wall_ms();
    a->busy = queue_busy_new(METRICS_DESTINATIONS);
    ASSERT(RAND_bytes((unsigned char *)&key, sizeof(key)) == 1);
    tries_init(&a->tries, key);
    find_own_name(a);
    rc = doorway_open(&a->doorway, o->socket, out_why);
    if (rc < 0) {
        queue_busy_free(a->busy);
        free(a);
        return rc;
    }
    bell_open(&a->bell, loop, on_bell, a);
    a->open = 1;
    rc = add_portal(a, &a->local, a->doorway.fd, true);
    a->doorway.fd = -1; /* the server closes it */
    if (rc < 0) {
        buffer_printf(out_why, "cannot start the admin server: %s",
                      error_text(rc));
        admin_close(a, NULL, NULL);
        return rc;
    }
    a->port = queue_port_open(q, &port_events, a);
    a->flow = flow_open(loop, ask_flow, a);
    a->events = events_open(loop, a);
    portal_turn(a->local);
    *out_admin = a;
    return 0;
}

static void set_address(struct admin *a, struct span address)
{
    free((char *)a->http_address.at);
    a->http_address = address.len ? span_make(span_dup(address), address.len)
                                  : (struct span){ 0 };
}

/* The new one first: where it cannot be had, the old one stays. */
static int move_http(struct admin *a, const struct admin_access *access,
                     struct buffer *out_why)
{
    struct portal *fresh = NULL;
    int rc;

    rc = access->passed_fd > 0 ? access->passed_fd
                               : listener_bind(&access->host, access->port);
    if (rc >= 0)
        rc = add_portal(a, &fresh, rc, false);
    if (rc < 0) {
        buffer_put_string(out_why, "cannot listen on the admin address ");
        buffer_put_escaped(out_why, access->http);
        remedy_put_listening(out_why, rc);
        return rc;
    }
    close_portal(a, &a->http);
    a->http = fresh;
    portal_turn(fresh);
    set_address(a, access->http);
    return 0;
}

int admin_allow(struct admin *a, const struct admin_access *access,
                struct buffer *out_why)
{
    gate_name(&a->gate, access->hostname, access->hosts, access->host_count);
    if (!a->tokenwatch.path ||
        !span_is(span_of(a->tokenwatch.path), access->tokens)) {
        tokenwatch_fini(&a->tokenwatch);
        tokenwatch_init(&a->tokenwatch, access->tokens);
        admin_look_at_tokens(a, true);
    }
    if (span_is(access->http, a->http_address))
        return 0;
    if (access->http.len)
        return move_http(a, access, out_why);
    close_portal(a, &a->http);
    set_address(a, access->http);
    return 0;
}

void admin_close(struct admin *a, void (*closed)(void *user), void *user)
{
    a->is_closing = true;
    flow_close(a->flow);
    a->flow = NULL;
    a->closed = closed;
    a->closed_user = user;
    /* The port first: after it no wake comes for a handle that is closed. */
    if (a->port)
        queue_port_close(a->port);
    close_portal(a, &a->http);
    close_portal(a, &a->local);
    if (a->events)
        events_close(a->events);
    doorway_fini(&a->doorway);
    bell_close(&a->bell, on_one_closed);
}
