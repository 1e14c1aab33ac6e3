/*
 * destinations - what a route's destination is called.
 *
 * Routes that lead to the same hosts in the same way share connections, and with
 * them a destination, which is tried, rested and released as one.
 */
#include "policy/config/destinations.h"

#include "policy/config/hops.h"
#include "policy/config/protection.h"
#include "policy/offline.h"

#include <stdlib.h>

static void put_part(struct buffer *b, const char *name, struct span value)
{
    if (value.len == 0)
        return;
    buffer_printf(b, " %s=", name);
    hops_print_name(b, value);
}

/* What must not share a connection has different keys. */
static void put_terms(struct buffer *b, const struct route *route)
{
    const struct account *a = route->account;

    if (route->tls != protection_default(route))
        put_part(b, "tls", span_of(protection_words[route->tls]));
    if (a) {
        put_part(b, "account", a->title.len ? a->title : a->user);
        /* a title has no bare colon */
        if (a->title.len == 0) {
            buffer_put_byte(b, ':');
            hops_print_name(b, a->password_file);
        }
    }
    put_part(b, "name", route->tls_name);
    put_part(b, "cert", route->certificate);
}

/* How its mail is treated, as it was written: all work of a destination fares alike, so
 * routes that treat theirs differently lead to different ones. */
static void put_ways(struct buffer *b, const struct syntax_entry *section)
{
    static const char *const ways[] = {
        "convert",  "fold",           "chunking",
        "xforward", "connections",    "messages-per-connection",
        "idle",     "first",          "most",
        "expire",   "expire-reports", "warn",
    };

    for (size_t i = 0; i < sizeof ways / sizeof ways[0]; i++) {
        const struct syntax_entry *e = keys_find(section->entries, ways[i]);

        if (e && e->value_count)
            put_part(b, ways[i], e->values[0].text);
    }
}

static void put_rates(struct buffer *b, const struct route *route)
{
    struct buffer text = { 0 };

    rate_put_all(&text, route->rates, route->rate_count, "+");
    put_part(b, "rate", buffer_span(&text));
    buffer_fini(&text);
}

static bool is_pickup(const struct route *route)
{
    return route->via[0].kind == HOP_PICKUP;
}

void destinations_name(struct reading *r, const struct syntax_entry *section,
                       struct route *route)
{
    struct buffer b = { 0 };

    hops_print(&b, route->via, route->via_count);
    /* a pickup is known by its name alone; see destinations_check */
    if (!is_pickup(route)) {
        put_terms(&b, route);
        put_ways(&b, section);
        put_rates(&b, route);
    }
    route->key = arena_copy(r->arena, buffer_span(&b));
    buffer_fini(&b);
}

/* --- one name, one meaning --------------------------------------------------
 */

/* Do both deliver to the same host in the same way? */
static bool is_same_host(const struct route *a, const struct route *b)
{
    const struct hop *left = a->offline.deliver_to,
                     *right = b->offline.deliver_to;
    struct buffer one = { 0 }, other = { 0 };
    bool same;

    if (!left || !right)
        return left == right && a->tls == b->tls;
    hops_print(&one, left, 1);
    put_terms(&one, a);
    hops_print(&other, right, 1);
    put_terms(&other, b);
    same = span_is(buffer_span(&one), buffer_span(&other));
    buffer_fini(&one);
    buffer_fini(&other);
    return same;
}

static bool is_same(const struct route *a, const struct route *b)
{
    if (!offline_is_same(&a->offline, &b->offline) ||
        !rate_is_same(a->rates, a->rate_count, b->rates, b->rate_count))
        return false;
    return !is_pickup(a) || is_same_host(a, b);
}

/* A route among those to be sorted. */
struct member {
    const struct route *route;
};

static int by_key(const void *left, const void *right)
{
    const struct route *a = ((const struct member *)left)->route,
                       *b = ((const struct member *)right)->route;
    size_t least = a->key.len < b->key.len ? a->key.len : b->key.len;
    int order = least ? memcmp(a->key.at, b->key.at, least) : 0;

    if (order == 0 && a->key.len != b->key.len)
        order = a->key.len < b->key.len ? -1 : 1;
    return order ? order : (a > b) - (a < b); /* in file order */
}

void destinations_check(struct reading *r, const struct route *routes,
                        size_t count)
{
    struct member *all = arena_take(r->arena, count * sizeof *all);
    size_t shared = 0;

    /* mx is another destination for each domain */
    for (size_t i = 0; i < count; i++)
        if (routes[i].via_count && routes[i].via[0].kind != HOP_MX)
            all[shared++].route = &routes[i];
    if (shared)
        qsort(all, shared, sizeof *all, by_key);
    for (size_t i = 1; i < shared; i++) {
        const struct route *a = all[i - 1].route, *b = all[i].route;

        if (!span_is(a->key, b->key) || is_same(a, b))
            continue;
        faults_add(&r->faults, b->place,
                   "this route leads to %s, as the one at %s does, so the two "
                   "must say the same in offline { }%s",
                   faults_quote(&r->faults, b->key),
                   faults_place(&r->faults, a->place),
                   is_pickup(b) ? " and of TLS, logins and rate" : "");
    }
}
