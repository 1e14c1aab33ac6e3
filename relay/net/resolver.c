/*
 * resolver - the searches of one worker, and the context they share.
 *
 * Finished ones go to a list that a timer of zero empties, so that no answer
 * comes before the call has returned. All get the same time, so the list of
 * those under way is also the order in which they end, and one timer serves
 * them. The same question asked twice at a time is sent once by libunbound
 * itself.
 *
 *   RUNS         -> READY   [query_on_done]      the search is over
 *   RUNS         -> PARKED  [query_on_done]      bogus: is that the fault of the
 *                                                server in front of us?
 *   PARKED       -> RUNS    [query_begin]        that is known now: once more
 *   RUNS, PARKED -> READY   [resolver_on_timer]  30 s are over: with what has come
 *
 * Bogus answers have two causes: somebody forged them, or the name server in
 * front of us drops signatures and everything is bogus. The anchor's own key
 * tells: if not even that validates, the validator is given up (until
 * resolver_flush), with a warning.
 */
#include "relay/net/resolver_private.h"

#include "policy/vocabulary/memory.h"
#include "relay/net/gauge.h"
#include "relay/net/log.h"

#include <stdlib.h>
#include <utlist.h>

enum { LOOK_UP_MS = 30 * 1000 };

struct resolver {
    uv_loop_t *loop;
    uv_timer_t timer, ready_timer;
    struct lookup_context context;
    struct resolver_query *queries; /* oldest first */
    struct resolver_query *ready;
    struct dns_question probe;
    struct gauge *gauge;
    bool is_proven; /* no more doubt about the validator */
    bool is_closing;
    uint64_t random;
    unsigned open; /* timers and contexts */
    void (*closed)(void *user);
    void *user;
    struct arena arena; /* of what follows */
    struct resolver_settings settings;
    const char *hosts_path, *resolv_path;
};

/* splitmix64; which of two equal hosts comes first is no secret. */
static uint32_t resolver_random(void *user)
{
    struct resolver *r = user;
    uint64_t x = r->random += 0x9e3779b97f4a7c15;

    x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9;
    x = (x ^ x >> 27) * 0x94d049bb133111eb;
    return (uint32_t)((x ^ x >> 31) >> 32);
}

static void query_free(struct resolver_query *q)
{
    lookup_fini(&q->lookup);
    free(q->name);
    free(q);
}

/* Those that were ready when it began: what an answer asks for waits a turn. */
static void resolver_on_ready(uv_timer_t *timer)
{
    struct resolver *r = timer->data;
    struct resolver_query *q;
    struct mx_choice choice;
    size_t count;

    DL_COUNT(r->ready, q, count);
    while (count-- > 0 && (q = r->ready)) {
        DL_DELETE(r->ready, q);
        lookup_answer(&q->lookup, &choice);
        q->done(q->user, &choice.answer);
        query_free(q);
    }
}

static void query_ready(struct resolver_query *q)
{
    struct resolver *r = q->resolver;

    q->state = READY;
    DL_DELETE(r->queries, q);
    DL_APPEND(r->ready, q);
    uv_timer_start(&r->ready_timer, resolver_on_ready, 0, 0);
}

static void resolver_probe(struct resolver *r);

static void query_on_done(struct lookup *l)
{
    struct resolver_query *q = (struct resolver_query *)l;
    struct resolver *r = q->resolver;

    if (l->is_bogus && !r->is_proven) {
        q->state = PARKED;
        resolver_probe(r);
    } else {
        query_ready(q);
    }
}

static void query_begin(struct resolver_query *q)
{
    q->state = RUNS;
    lookup_begin(&q->lookup);
}

static void resolver_on_gone(void *user)
{
    struct resolver *r = user;

    if (--r->open > 0)
        return;
    if (r->closed)
        r->closed(r->user);
    hosts_free(r->context.hosts);
    free(r->context.own);
    arena_reset(&r->arena);
    free(r);
}

static void resolver_on_timer_closed(uv_handle_t *h)
{
    resolver_on_gone(h->data);
}

/*
 * Another context in place of this one, and what was asked there is asked
 * again. When it cannot be opened all stays as it is.
 */
static int resolver_switch(struct resolver *r, bool validate,
                           struct buffer *out_why)
{
    struct dns_options o = { .settings = &r->settings,
                             .resolv_path = r->resolv_path,
                             .validate = validate,
                             .gauge = r->gauge };
    struct resolver_query *q, *next;
    struct dns *fresh, *old = r->context.dns;
    int rc;

    if ((rc = dns_open(&fresh, r->loop, &o, out_why)) < 0)
        return rc;
    r->open++;
    if (old) {
        DL_FOREACH(r->queries, q)
        lookup_cancel(&q->lookup);
        dns_cancel(old, &r->probe);
        dns_close(old, resolver_on_gone, r);
    }
    r->context.dns = fresh;
    gauge_validates(r->gauge, dns_anchor(fresh).at != NULL);
    r->is_proven =
        !dns_anchor(fresh).at || r->settings.mode == RESOLVER_RECURSE;
    DL_FOREACH_SAFE(r->queries, q, next)
    query_begin(q);
    return 0;
}

/* As above, where nobody waits for the reason of a failure. */
static void resolver_renew(struct resolver *r, bool validate)
{
    struct buffer why = { 0 };

    if (resolver_switch(r, validate, &why) < 0)
        log_text(LOG_WARNING, "%s", buffer_string(&why));
    buffer_fini(&why);
}

static void resolver_on_probe(struct dns_question *question,
                              const struct dns_reply *reply)
{
    struct resolver *r = (struct resolver *)((char *)question -
                                             offsetof(struct resolver, probe));
    struct resolver_query *q, *next;

    r->is_proven = true;
    if (reply->kind != RESOLVER_OK || !reply->is_secure) {
        log_text(
            LOG_WARNING,
            "resolver: the name server in use does not pass on DNSSEC "
            "signatures: names are NOT VALIDATED from now on, DANE is off");
        resolver_renew(r, false);
    }
    DL_FOREACH_SAFE(r->queries, q, next)
    {
        if (q->state == PARKED)
            query_begin(q);
    }
}

static void resolver_probe(struct resolver *r)
{
    struct dns *d = r->context.dns;

    r->probe.done = resolver_on_probe;
    if (!r->probe.is_open &&
        dns_ask(d, &r->probe, dns_anchor(d), DNS_DNSKEY) < 0)
        log_text(LOG_WARNING, "resolver: the trust anchor cannot be looked up");
}

static void resolver_on_timer(uv_timer_t *timer);

/* For the oldest, which ends first. */
static void resolver_set_timer(struct resolver *r)
{
    int64_t wait;

    if (!r->queries || uv_is_active((uv_handle_t *)&r->timer))
        return;
    wait = r->queries->ends_ms - (int64_t)uv_now(r->loop);
    uv_timer_start(&r->timer, resolver_on_timer, wait > 0 ? (uint64_t)wait : 0,
                   0);
}

static void resolver_on_timer(uv_timer_t *timer)
{
    struct resolver *r = timer->data;
    struct resolver_query *q;

    while ((q = r->queries) && q->ends_ms <= (int64_t)uv_now(r->loop)) {
        lookup_expire(&q->lookup);
        query_ready(q);
    }
    resolver_set_timer(r);
}

static struct span *spans_copy(struct arena *a, const struct span *from,
                               size_t count)
{
    struct span *to = arena_take(a, count * sizeof *to);

    for (size_t i = 0; i < count; i++)
        to[i] = arena_copy(a, from[i]);
    return to;
}

static void resolver_copy_options(struct resolver *r,
                                  const struct resolver_options *o)
{
    struct resolver_settings *s = &r->settings;
    struct arena *a = &r->arena;

    *s = *o->settings;
    s->servers = spans_copy(a, s->servers, s->server_count);
    s->insecure = spans_copy(a, s->insecure, s->insecure_count);
    s->root_hints = arena_copy(a, s->root_hints);
    s->trust_anchor = arena_copy(a, s->trust_anchor);
    r->hosts_path =
        arena_string(a, span_of(o->hosts_path ? o->hosts_path : "/etc/hosts"));
    r->resolv_path = arena_string(
        a, span_of(o->resolv_path ? o->resolv_path : "/etc/resolv.conf"));
    r->context.hostname = arena_copy(a, o->hostname);
    r->gauge = o->gauge;
}

static void resolver_add_own(struct resolver *r, const struct host_address *a)
{
    struct lookup_context *c = &r->context;

    c->own = memory_grow(c->own, (c->own_count + 1) * sizeof *c->own);
    c->own[c->own_count++] = *a;
}

/* 0.0.0.0 or :: stands for every address that this host has now. */
static void resolver_add_interfaces(struct resolver *r)
{
    uv_interface_address_t *all;
    int count;

    if (uv_interface_addresses(&all, &count) < 0)
        return;
    for (int i = 0; i < count; i++) {
        struct host_address a = { .bytes = { [10] = 0xff, [11] = 0xff } };

        if (all[i].address.address4.sin_family == AF_INET)
            memcpy(a.bytes + 12, &all[i].address.address4.sin_addr, 4);
        else
            memcpy(a.bytes, &all[i].address.address6.sin6_addr, 16);
        resolver_add_own(r, &a);
    }
    uv_free_interface_addresses(all, count);
}

static void resolver_copy_own(struct resolver *r,
                              const struct resolver_options *o)
{
    static const struct host_address any_v4 = {
        .bytes = { [10] = 0xff, [11] = 0xff }
    };
    static const struct host_address any_v6;
    bool is_any = false;

    for (size_t i = 0; i < o->own_count; i++) {
        const struct host_address *a = &o->own_addresses[i];

        if (host_address_is(a, &any_v4) || host_address_is(a, &any_v6))
            is_any = true;
        else
            resolver_add_own(r, a);
    }
    if (is_any)
        resolver_add_interfaces(r);
}

MUST int resolver_open(struct resolver **out_r, uv_loop_t *loop,
                       const struct resolver_options *o, struct buffer *out_why)
{
    struct resolver *r = NEW(struct resolver);
    int rc;

    r->loop = loop;
    r->context.random = resolver_random;
    r->context.user = r;
    if ((rc = uv_random(NULL, NULL, &r->random, sizeof r->random, 0, NULL)) < 0)
        goto fail;
    resolver_copy_options(r, o);
    resolver_copy_own(r, o);
    if ((rc = resolver_switch(r, true, out_why)) < 0)
        goto fail;
    if (r->settings.mode == RESOLVER_SYSTEM)
        r->context.hosts = hosts_read(r->hosts_path);
    (void)uv_timer_init(loop, &r->timer);
    (void)uv_timer_init(loop, &r->ready_timer);
    r->timer.data = r->ready_timer.data = r;
    r->open += 2;
    *out_r = r;
    return 0;
fail:
    free(r->context.own);
    arena_reset(&r->arena);
    free(r);
    return rc;
}

void resolver_close(struct resolver *take_r, void (*closed)(void *user),
                    void *user)
{
    struct resolver *r = take_r;
    struct resolver_query *q, *next;

    r->is_closing = true;
    r->closed = closed;
    r->user = user;
    DL_FOREACH_SAFE(r->queries, q, next)
    query_free(q);
    DL_FOREACH_SAFE(r->ready, q, next)
    query_free(q);
    r->queries = r->ready = NULL;
    dns_cancel(r->context.dns, &r->probe);
    dns_close(r->context.dns, resolver_on_gone, r);
    uv_close((uv_handle_t *)&r->timer, resolver_on_timer_closed);
    uv_close((uv_handle_t *)&r->ready_timer, resolver_on_timer_closed);
}

void resolver_flush(struct resolver *r)
{
    if (r->settings.mode == RESOLVER_SYSTEM) {
        hosts_free(r->context.hosts);
        r->context.hosts = hosts_read(r->hosts_path);
    }
    resolver_renew(r, true);
}

struct resolver_query *resolver_query_new(struct resolver *r,
                                          enum lookup_aim aim, struct span name,
                                          resolver_mx_fn *done, void *user)
{
    struct resolver_query *q = NEW(struct resolver_query);

    ASSERT(!r->is_closing);
    if (dns_is_broken(r->context.dns))
        resolver_renew(r, true);
    q->resolver = r;
    q->name = span_dup(name);
    q->done = done;
    q->user = user;
    q->ends_ms = (int64_t)uv_now(r->loop) + LOOK_UP_MS;
    lookup_init(&q->lookup, &r->context, aim, span_make(q->name, name.len),
                query_on_done);
    return q;
}

struct resolver_query *resolver_query_ask(struct resolver_query *q)
{
    DL_APPEND(q->resolver->queries, q);
    query_begin(q);
    resolver_set_timer(q->resolver);
    return q;
}

void resolver_cancel(struct resolver_query *take_q)
{
    struct resolver *r = take_q->resolver;

    if (take_q->state == READY)
        DL_DELETE(r->ready, take_q);
    else
        DL_DELETE(r->queries, take_q);
    query_free(take_q);
}

bool resolver_validates(const struct resolver *r)
{
    return dns_anchor(r->context.dns).at != NULL;
}
