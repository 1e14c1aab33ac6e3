/*
 * doubts - what may be written, but is seldom meant.
 *
 * One function for each doubt; each only warns.
 */
#include "policy/config/doubts.h"

#include "policy/condition.h"
#include "policy/config/accounts.h"
#include "policy/config/ruledoubts.h"
#include "policy/route.h"
#include "policy/vocabulary/network.h"

#include <stdio.h>

static const char *quote(struct reading *r, struct span text)
{
    return faults_quote(&r->faults, text);
}

static void doubt_nothing_there(struct reading *r)
{
    const struct settings *s = r->settings;
    struct place place = { r->file, 1, 1 };

    if (s->listener_count == 0 && s->fetch_count == 0)
        faults_warn(&r->faults, place, "no listener: no mail can come in");
    if (s->route_count == 0)
        faults_warn(&r->faults, place,
                    "no route: all mail would wait with 451 4.3.5");
}

static void doubt_nobody_may(struct reading *r)
{
    const struct settings *s = r->settings;

    for (size_t i = 0; i < s->rule_count; i++)
        if (s->rules[i].action == ACTION_RELAY && !s->rules[i].is_shadow)
            return;
    for (size_t i = 0; i < s->listener_count; i++)
        if (!host_address_is_loopback(&s->listeners[i].host))
            faults_warn(&r->faults, s->listeners[i].place,
                        "listener %s refuses all mail: no rule has action = "
                        "relay",
                        quote(r, s->listeners[i].title));
}

/* --- mail of our own that would be looked up in the DNS --------------------
 */

static bool is_below(const struct pattern *p)
{
    return p->kind == PATTERN_BELOW;
}

/* The route that mail for this pattern takes, whoever sends it. */
static const struct route *route_of_pattern(const struct settings *s,
                                            const struct pattern *p)
{
    struct buffer key = { 0 };
    const struct route *route;
    size_t at =
        p->kind == PATTERN_ADDRESS ? span_find_last(p->text, '@') + 1 : 0;

    /* any name below will do, but one that a route names itself */
    buffer_put_string(&key, is_below(p) ? "*." : "");
    buffer_put(&key, span_skip(p->text, at));
    route = route_of_lane(s, buffer_span(&key));
    buffer_fini(&key);
    return route;
}

static bool goes_by_mx(const struct route *route)
{
    return route && route->via_count && route->via[0].kind == HOP_MX;
}

static void doubt_own_by_mx(struct reading *r, const struct rule *rule,
                            const struct patterns *to)
{
    const struct pattern *first = NULL;
    const struct route *route = NULL;
    char others[40] = "";
    size_t more = 0;

    for (size_t i = 0; i < to->count; i++) {
        const struct route *hit = route_of_pattern(r->settings, &to->all[i]);

        if (!goes_by_mx(hit))
            continue;
        more += first != NULL;
        route = first ? route : hit;
        first = first ? first : &to->all[i];
    }
    if (!first)
        return;
    if (more)
        (void)snprintf(others, sizeof others, " (%zu more like it)", more);
    faults_warn(&r->faults, rule->place,
                "rule %s takes mail for %s%s from anybody, and route %s at %s "
                "sends it by MX, which may lead back here%s",
                quote(r, rule->title), is_below(first) ? "*." : "",
                /* folded: plain ASCII */
                arena_string(r->arena, first->text), quote(r, route->title),
                faults_place(&r->faults, route->place), others);
}

static bool names_somebody(const struct rule *rule)
{
    for (size_t i = 0; i < rule->condition_count; i++)
        if (condition_names_somebody(&rule->conditions[i]))
            return true;
    return false;
}

static void doubt_own_domains(struct reading *r)
{
    const struct settings *s = r->settings;

    for (size_t i = 0; i < s->rule_count; i++) {
        const struct rule *rule = &s->rules[i];

        if (rule->action != ACTION_RELAY || rule->is_shadow ||
            names_somebody(rule))
            continue;
        for (size_t c = 0; c < rule->condition_count; c++)
            if (condition_names_domains(&rule->conditions[c]))
                doubt_own_by_mx(r, rule, &rule->conditions[c].patterns);
    }
}

/* --- routes that nothing takes --------------------------------------------- */

/* Who gets this pattern's mail, from a sender that no `from` matches. */
static const struct route *route_taken(const struct settings *s, struct span to)
{
    struct address address;

    if (address_parse(to, &address) == ADDRESS_OK)
        return route_find(s, SPAN("nobody"), &address);
    return route_of_lane(s, to);
}

static void doubt_shadowed_routes(struct reading *r)
{
    const struct settings *s = r->settings;

    for (size_t i = 0; i < s->route_count; i++) {
        const struct route *route = &s->routes[i];

        for (size_t t = 0; t < route->to_count && !route->from_count; t++) {
            const struct route *taken = route_taken(s, route->to[t]);

            if (taken != route)
                faults_warn(&r->faults, route->place,
                            "route %s gets no mail for %s: route %s at %s "
                            "stands before it",
                            quote(r, route->title), quote(r, route->to[t]),
                            quote(r, taken->title),
                            faults_place(&r->faults, taken->place));
        }
    }
}

static bool listens_at(const struct listener_settings *l, struct span address)
{
    static const struct host_address any = { { 0 } },
                                     any_v4 = { { [10] = 0xff, [11] = 0xff } };
    struct host_address to;

    if (!host_address_parse(address, &to))
        return false;
    return host_address_is(&l->host, &to) ||
           (host_address_is_loopback(&to) &&
            (host_address_is(&l->host, &any) ||
             (host_address_is_v4(&to) && host_address_is(&l->host, &any_v4))));
}

/* Would a connection there come to this listener? */
static bool is_own_port(const struct listener_settings *l, const struct hop *h)
{
    if (l->port != h->port || h->kind == HOP_LMTP)
        return false;
    if (span_is_nocase(h->host, SPAN("localhost")))
        return listens_at(l, SPAN("127.0.0.1")) || listens_at(l, SPAN("::1"));
    return h->is_literal && listens_at(l, h->host);
}

static void doubt_own_ports(struct reading *r)
{
    const struct settings *s = r->settings;

    for (size_t i = 0; i < s->route_count; i++)
        for (size_t h = 0; h < s->routes[i].via_count; h++)
            for (size_t l = 0; l < s->listener_count; l++)
                if (is_own_port(&s->listeners[l], &s->routes[i].via[h]))
                    faults_warn(&r->faults, s->routes[i].place,
                                "route %s leads to %s, where listener %s of "
                                "this relay is: its mail goes round in circles",
                                quote(r, s->routes[i].title),
                                quote(r, s->routes[i].via[h].text),
                                quote(r, s->listeners[l].title));
}

/* --- conditions that no listener lets become true ----------------------------
 */

/* What a fact needs of at least one listener, if there is any. */
struct chance {
    bool login, certificate, tls;
};

static struct chance chances_of(const struct settings *s)
{
    struct chance c = { 0 };

    if (s->listener_count == 0) /* was told already */
        return (struct chance){ true, true, true };
    for (size_t i = 0; i < s->listener_count; i++) {
        const struct listener_settings *l = &s->listeners[i];

        /* XCLIENT may say who is logged in */
        c.login = c.login || l->auth != LISTENER_AUTH_NONE ||
                  l->xclient.v4_count || l->xclient.v6_count;
        c.certificate =
            c.certificate || l->client_certificate != CERTIFICATE_NONE;
        c.tls = c.tls || l->tls != LISTENER_TLS_NONE;
    }
    return c;
}

static const char *why_no_login(struct chance chance)
{
    return chance.login ? NULL : "login: all listeners have auth = none";
}

static const char *why_no_certificate(const struct settings *s,
                                      const struct names *fingerprints,
                                      struct chance chance)
{
    if (!chance.certificate)
        return "certificate: all listeners have client-certificate = none";
    if (fingerprints->exact_count == 0 && s->tls.client_authorities.len == 0)
        return "certificate: names need tls { client-authorities = FILE }";
    return NULL;
}

/* Why it can never hold; NULL: it can. */
static const char *why_never(const struct settings *s,
                             const struct condition *c, struct chance chance)
{
    if (c->is_negated)
        return NULL;
    if (c->fact == FACT_LOGIN)
        return why_no_login(chance);
    if (c->fact == FACT_TLS && !chance.tls)
        return "tls: all listeners have tls = none";
    if (c->fact == FACT_CERTIFICATE && c->table_count == 0)
        return why_no_certificate(s, &c->fingerprints, chance);
    if (c->fact == FACT_SIZE && c->at_least > s->limits.message_bytes)
        return "size: limits { message } refuses what is so large";
    return NULL;
}

/* Of what is counted for each login. */
static const char *why_idle(const struct rule *rule, struct chance chance)
{
    if (rule->action == ACTION_LIMIT && rule->limit.per == LIMIT_PER_LOGIN)
        return why_no_login(chance);
    return NULL;
}

static void say_never(struct reading *r, const struct rule *rule,
                      const char *why)
{
    if (why)
        faults_warn(&r->faults, rule->place,
                    "rule %s can never hold for its %s", quote(r, rule->title),
                    why);
}

static void doubt_never_holds(struct reading *r)
{
    const struct settings *s = r->settings;
    struct chance chance = chances_of(s);

    for (size_t i = 0; i < s->rule_count; i++) {
        const struct rule *rule = &s->rules[i];

        say_never(r, rule, why_idle(rule, chance));
        for (size_t c = 0; c < rule->condition_count; c++)
            say_never(r, rule, why_never(s, &rule->conditions[c], chance));
    }
}

/* --- hosts that are often away ----------------------------------------------
 */

/* Mail for a host that is away may wait a night and a day. */
enum { ABSENCE_LEAST_MS = 24 * 3600 * 1000 };

static bool is_named(const struct names *n)
{
    return n->exact_count || n->glob_count;
}

static bool is_anybody_named(const struct offline_settings *o)
{
    return is_named(&o->logins) || is_named(&o->certificates) ||
           is_named(&o->fingerprints) || o->clients.v4_count ||
           o->clients.v6_count;
}

/* A pickup that nobody may empty. */
static void doubt_pickup(struct reading *r, const struct route *route,
                         struct chance chance)
{
    const struct offline_settings *o = &route->offline;

    if (route->via_count == 0 || route->via[0].kind != HOP_PICKUP ||
        o->deliver_to)
        return;
    if (!is_anybody_named(o))
        faults_warn(&r->faults, route->place,
                    "mail of route %s waits until it is fetched, and nobody "
                    "may fetch it: offline { login = {\"NAME\"} }",
                    quote(r, route->title));
    else if (!chance.login && !is_named(&o->logins))
        faults_warn(&r->faults, route->place,
                    "mail of route %s waits until it is fetched, for which one "
                    "logs in, and all listeners have auth = none",
                    quote(r, route->title));
}

static void doubt_who_fetches(struct reading *r, const struct route *route,
                              struct chance chance)
{
    const struct offline_settings *o = &route->offline;
    const char *why[] = {
        is_named(&o->logins) ? why_no_login(chance) : NULL,
        is_named(&o->certificates) || is_named(&o->fingerprints)
            ? why_no_certificate(r->settings, &o->fingerprints, chance)
            : NULL,
    };

    for (size_t i = 0; i < sizeof why / sizeof why[0]; i++)
        if (why[i])
            faults_warn(&r->faults, route->place,
                        "nobody gets mail of route %s by its %s",
                        quote(r, route->title), why[i]);
    if (networks_are_everything(&o->clients))
        faults_warn(&r->faults, route->place,
                    "everybody may have the mail of route %s released: its "
                    "client is any host",
                    quote(r, route->title));
}

static void doubt_absences(struct reading *r)
{
    const struct settings *s = r->settings;
    struct chance chance = chances_of(s);

    for (size_t i = 0; i < s->route_count; i++) {
        const struct route *route = &s->routes[i];

        doubt_pickup(r, route, chance);
        if (!route->offline.is_set)
            continue;
        doubt_who_fetches(r, route, chance);
        if (route->retry.expire_ms < ABSENCE_LEAST_MS)
            faults_warn(&r->faults, route->place,
                        "mail of route %s waits for a host that is often away, "
                        "and expires within a day",
                        quote(r, route->title));
    }
}

void doubts_find(struct reading *r)
{
    doubt_nothing_there(r);
    doubt_nobody_may(r);
    doubt_own_domains(r);
    doubt_shadowed_routes(r);
    doubt_own_ports(r);
    ruledoubts_find(r);
    doubt_never_holds(r);
    doubt_absences(r);
    accounts_doubt_unused(r);
}
