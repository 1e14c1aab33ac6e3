/*
 * pickup_turn - what is put aside for a customer who fetches his mail?
 *
 *   request --> lanes he may have --> destinations --queue_turn--> slots
 *
 * One domain that is not his refuses all, and so does one destination that another has:
 * what was put aside before is given back. At most TURN_DESTINATIONS_MOST have mail for him
 * at a time; he gets the rest when he asks again.
 */
#include "relay/inbound/pickup.h"

#include "policy/offline.h"
#include "policy/route.h"
#include "policy/vocabulary/memory.h"

#include <stdlib.h>

/* A lane of a destination; without a lane: all that lead there. */
struct portion {
    struct span destination, lane;
    const struct route *route;
};

struct order {
    struct settings *settings;
    const struct facts *facts;
    struct arena arena;
    struct portion *portions;
    size_t count, room;
    /* His routes that are chosen by more than a domain; their lanes have titles. */
    size_t *special; /* in the settings */
    size_t special_count;
};

static bool is_his(const struct order *o, const struct route *r)
{
    return r && r->offline.is_set && offline_may(&r->offline, o->facts);
}

static void add(struct order *o, const struct route *r, struct span destination,
                struct span lane)
{
    if (o->count == o->room) {
        o->room = o->room ? 2 * o->room : 16;
        o->portions = memory_grow(o->portions, o->room * sizeof *o->portions);
    }
    o->portions[o->count++] = (struct portion){ destination, lane, r };
}

static void add_lane(struct order *o, const struct route *r, struct span domain,
                     bool has_title)
{
    struct buffer lane = { 0 }, name = { 0 };

    buffer_put(&lane, domain);
    if (has_title) {
        buffer_put_byte(&lane, '\t');
        buffer_put(&lane, r->title);
    }
    destination_name(r, buffer_span(&lane), &name);
    add(o, r, arena_copy(&o->arena, buffer_span(&name)),
        arena_copy(&o->arena, buffer_span(&lane)));
    buffer_fini(&lane);
    buffer_fini(&name);
}

/* ------------------------------------------------------------ domains ---- */

/* The domain of an address pattern; empty: it is none. */
static struct span domain_of_address(struct span pattern)
{
    size_t at = span_find_last(pattern, '@');

    return span_skip(pattern, at + 1);
}

static bool is_address(struct span pattern)
{
    return span_find(pattern, '@') < pattern.len;
}

static bool has_addresses(const struct route *r)
{
    for (size_t i = 0; i < r->to_count; i++)
        if (is_address(r->to[i]))
            return true;
    return false;
}

bool pickup_has_lane_in(const struct route *r, struct span domain)
{
    for (size_t i = 0; i < r->to_count; i++) {
        struct span to = r->to[i];

        if (is_address(to) ? span_is(domain_of_address(to), domain)
                           : r->from_count &&
                                 (span_is(to, domain) ||
                                  (to.at[0] == '*' &&
                                   span_ends_nocase(domain, span_skip(to, 1)))))
            return true;
    }
    return false;
}

static void find_special(struct order *o)
{
    const struct settings *s = o->settings;

    o->special =
        arena_take(&o->arena, (s->route_count + 1) * sizeof *o->special);
    for (size_t i = 0; i < s->route_count; i++) {
        const struct route *r = &s->routes[i];

        if (is_his(o, r) && (r->from_count || has_addresses(r)))
            o->special[o->special_count++] = i;
    }
}

/* False: nothing of it is his. */
static bool add_domain(struct order *o, struct span domain)
{
    const struct route *plain = route_of_lane(o->settings, domain);
    bool found = is_his(o, plain);

    if (found)
        add_lane(o, plain, domain, false);
    for (size_t i = 0; i < o->special_count; i++) {
        const struct route *r = &o->settings->routes[o->special[i]];

        if (!pickup_has_lane_in(r, domain))
            continue;
        add_lane(o, r, domain, true);
        found = true;
    }
    return found;
}

static bool add_domains(struct order *o, const struct session_turn *t)
{
    find_special(o);
    for (size_t i = 0; i < t->count; i++)
        if (!add_domain(o, t->domains[i]))
            return false;
    return true;
}

/* ---------------------------------------------------------------- all ---- */

/* Each domain of an MX route is a destination; what a pattern covers has no name. */
static void add_named_domains(struct order *o, const struct route *r)
{
    for (size_t i = 0; i < r->to_count; i++) {
        struct span to = r->to[i];

        if (is_address(to))
            add_lane(o, r, domain_of_address(to), true);
        else if (r->from_count && to.at[0] != '*')
            add_lane(o, r, to, true);
        else if (to.at[0] != '*' && route_of_lane(o->settings, to) == r)
            add_lane(o, r, to, false);
    }
}

static void add_all(struct order *o)
{
    for (size_t i = 0; i < o->settings->route_count; i++) {
        const struct route *r = &o->settings->routes[i];

        if (!is_his(o, r))
            continue;
        if (r->via[0].kind == HOP_MX)
            add_named_domains(o, r);
        else
            add(o, r, r->key, SPAN(""));
    }
}

/* ------------------------------------------------------------ reserve ---- */

static int compare(struct span a, struct span b)
{
    size_t n = a.len < b.len ? a.len : b.len;
    int way = n ? memcmp(a.at, b.at, n) : 0;

    return way ? way : (a.len > b.len) - (a.len < b.len);
}

static int by_destination(const void *left, const void *right)
{
    const struct portion *a = left, *b = right;
    int way = compare(a->destination, b->destination);

    return way ? way : compare(a->lane, b->lane);
}

/* Portions of one destination stand together; "all" comes first. */
static enum queue_turn reserve(struct order *o, struct queue_port *p,
                               const struct portion *first, size_t count,
                               struct turn *t)
{
    struct span *lanes = arena_take(&o->arena, count * sizeof *lanes);
    enum queue_turn said;

    for (size_t i = 0; i < count; i++)
        lanes[i] = first[i].lane;
    said = queue_turn(p, first->destination, lanes, first->lane.len ? count : 0,
                      &t->slots[t->count]);
    if (said == QUEUE_TURNED)
        t->routes[t->count++] = first->route;
    return said;
}

/* What a person has suspended is refused to who names it; who asks for all gets the rest. */
static enum session_turn_answer reserve_all(struct order *o,
                                            struct queue_port *p, bool is_named,
                                            struct turn *t)
{
    bool is_suspended = false;
    size_t n;

    qsort(o->portions, o->count, sizeof *o->portions, by_destination);
    for (size_t i = 0; i < o->count && t->count < TURN_DESTINATIONS_MOST;
         i += n) {
        const struct portion *first = &o->portions[i];
        enum queue_turn said;

        for (n = 1; i + n < o->count &&
                    span_is(first[n].destination, first->destination);)
            n++;
        said = reserve(o, p, first, n, t);
        is_suspended |= said == QUEUE_TURN_SUSPENDED;
        if (said == QUEUE_TURN_TAKEN || (is_suspended && is_named))
            return TURN_TAKEN;
    }
    if (t->count)
        return TURN_BEGINS;
    return is_suspended ? TURN_TAKEN : TURN_EMPTY;
}

static bool needs_tls(const struct order *o)
{
    for (size_t i = 0; i < o->count; i++)
        if (o->portions[i].route->tls == ROUTE_TLS_REQUIRED ||
            o->portions[i].route->tls == ROUTE_TLS_VERIFY)
            return true;
    return false;
}

enum session_turn_answer pickup_turn(struct queue_port *p, struct settings *s,
                                     const struct session_turn *wish,
                                     const struct facts *facts,
                                     struct turn **out_turn)
{
    struct order o = { .settings = s, .facts = facts };
    enum session_turn_answer said = TURN_REFUSED;
    struct turn *t = turn_new();
    bool are_his = true;

    if (wish->count)
        are_his = add_domains(&o, wish);
    else
        add_all(&o);
    t->settings = settings_hold(s);
    if (!are_his || o.count == 0)
        said = TURN_REFUSED;
    else if (!facts->tls && needs_tls(&o))
        said = TURN_NEEDS_TLS;
    else
        said = reserve_all(&o, p, wish->count > 0, t);
    free(o.portions);
    arena_reset(&o.arena);
    if (said == TURN_BEGINS)
        *out_turn = t;
    else
        turn_free(t);
    return said;
}
