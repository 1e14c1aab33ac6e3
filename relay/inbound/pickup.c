/*
 * pickup - whose mail may go now?
 */
#include "relay/inbound/pickup.h"

#include "policy/offline.h"
#include "policy/route.h"
#include "policy/table.h"

/* A route's mail, as far as the request means it. */
struct errand {
    struct queue *queue;
    const struct settings *settings;
    const struct facts *facts;
    enum session_release best;
};

/* Best first: see enum session_release. */
static void note(struct errand *e, enum session_release said)
{
    if (said < e->best)
        e->best = said;
}

/* The mail for one domain. */
static void release_lane(struct errand *e, const struct route *r, struct span lane)
{
    struct buffer name = { 0 };

    if (!offline_may(&r->offline, e->facts))
        return;
    destination_name(r, lane, &name);
    if (r->via[0].kind == HOP_PICKUP && !r->offline.deliver_to)
        note(e, RELEASE_CANNOT);
    else if (!queue_lane_waits(e->queue, lane))
        note(e, RELEASE_NOTHING);
    else
        note(e, queue_release(e->queue, buffer_span(&name)) ? RELEASE_STARTED
                                                            : RELEASE_NOTHING);
    buffer_fini(&name);
}

/* Its mail that goes another way because of who sent it, or to whom. */
static void release_special(struct errand *e, const struct route *r,
                            struct span domain)
{
    struct buffer lane = { 0 };

    if (domain_fold(domain, &lane) == 0 &&
        pickup_has_lane_in(r, buffer_span(&lane))) {
        buffer_put_byte(&lane, '\t');
        buffer_put(&lane, r->title);
        release_lane(e, r, buffer_span(&lane));
    }
    buffer_fini(&lane);
}

static void release_domain(struct errand *e, struct span domain)
{
    struct buffer text = { 0 }, lane = { 0 };
    const struct route *r = NULL;
    struct address to;

    buffer_put_string(&text, "postmaster@"); /* whom every domain has */
    buffer_put(&text, domain);
    if (address_parse(buffer_span(&text), &to) == ADDRESS_OK)
        r = route_find(e->settings, SPAN(""), &to);
    if (r && r->offline.is_set &&
        lane_key(e->settings, SPAN(""), &to, &lane) == 0)
        release_lane(e, r, buffer_span(&lane));
    for (size_t i = 0; i < e->settings->route_count; i++)
        if (e->settings->routes[i].offline.is_set)
            release_special(e, &e->settings->routes[i], domain);
    buffer_fini(&lane);
    buffer_fini(&text);
}

/* "x.example.org" and "*.example.org" of "example.org". */
static bool is_below(struct span pattern, struct span domain)
{
    size_t at = pattern.len - domain.len;

    return pattern.len > domain.len && pattern.at[at - 1] == '.' &&
           span_ends_nocase(pattern, domain);
}

static void release_below_of(struct errand *e, const struct table *t,
                             struct span domain)
{
    struct span one;

    for (size_t at = 0; table_next_domain(t, &at, &one);)
        if (is_below(one, domain))
            release_domain(e, one);
}

/* Domains that routes name; what a pattern covers besides has no name here. */
static void release_below(struct errand *e, struct span domain)
{
    release_domain(e, domain);
    for (size_t i = 0; i < e->settings->route_count; i++) {
        const struct route *r = &e->settings->routes[i];

        for (size_t k = 0; k < r->to_count && r->offline.is_set; k++)
            if (is_below(r->to[k], domain) && r->to[k].at[0] != '*')
                release_domain(e, r->to[k]);
        for (size_t k = 0; k < r->to_table_count && r->offline.is_set; k++)
            release_below_of(e, r->to_tables[k], domain);
    }
}

/* A pickup by its name: whatever lanes lead to it. */
static void release_queue(struct errand *e, struct span name)
{
    for (size_t i = 0; i < e->settings->route_count; i++) {
        const struct route *r = &e->settings->routes[i];

        if (r->via[0].kind != HOP_PICKUP || !span_is_nocase(r->via[0].host, name) ||
            !offline_may(&r->offline, e->facts))
            continue;
        if (!r->offline.deliver_to)
            note(e, RELEASE_CANNOT);
        else
            note(e, queue_release(e->queue, r->key) ? RELEASE_STARTED
                                                    : RELEASE_NOTHING);
    }
}

enum session_release pickup_release(struct queue *q, const struct settings *s,
                                    const struct session_request *r,
                                    const struct facts *facts)
{
    static void (*const ways[])(struct errand *e, struct span name) = {
        [REQUEST_DOMAIN] = release_domain,
        [REQUEST_BELOW] = release_below,
        [REQUEST_QUEUE] = release_queue,
    };
    struct errand e = { q, s, facts, RELEASE_REFUSED };

    ways[r->kind](&e, r->name);
    return e.best;
}
