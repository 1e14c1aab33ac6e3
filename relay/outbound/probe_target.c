/*
 * probe_target - what is meant by a name, which way its mail takes, and what waits for it.
 *
 * A name with an @ is an address; the name of a destination as the queue has it leads to the
 * route that makes such a one; all else is a domain.
 */
#include "relay/outbound/probe_private.h"

#include "policy/route.h"
#include "relay/net/pacewords.h"

enum { PAGE = 500 };

static const char *const tls_words[] = {
    [ROUTE_TLS_NONE] = "none: all goes in clear text",
    [ROUTE_TLS_OPTIONAL] =
        "optional: where it is offered, with any certificate",
    [ROUTE_TLS_REQUIRED] = "required: never without, with any certificate",
    [ROUTE_TLS_VERIFY] =
        "verify: never without, and the certificate must be trusted",
    [ROUTE_TLS_DANE] =
        "dane: what the host's TLSA records demand, else what the "
        "domain's MTA-STS policy does, else where it is offered",
    [ROUTE_TLS_DANE_ONLY] = "dane-only: never without a certificate that the "
                            "host's TLSA records vouch for",
};

/* ------------------------------------------------------------- what is meant ---- */

/* "mx:example.org tls=required" */
static struct span domain_of(struct span name)
{
    if (!span_starts_nocase(name, SPAN("mx:")))
        return SPAN("");
    return span_first(span_skip(name, 3), span_find(span_skip(name, 3), ' '));
}

typedef bool is_called_fn(struct span name, struct span said);

static bool find_called(struct probe *p, struct span said, is_called_fn *is)
{
    struct probe_target *t = &p->target;
    struct span domain = domain_of(said);
    struct buffer name = { 0 };

    for (size_t i = 0; !t->route && i < p->settings->route_count; i++) {
        buffer_clear(&name);
        destination_name(&p->settings->routes[i], domain, &name);
        if (!is(buffer_span(&name), said))
            continue;
        t->route = &p->settings->routes[i];
        t->domain = domain;
        t->destination = arena_copy(&p->arena, buffer_span(&name));
    }
    buffer_fini(&name);
    return t->route != NULL;
}

/* The name itself goes first; its hosts alone will do. */
static bool find_destination(struct probe *p, struct span said)
{
    return find_called(p, said, span_is) ||
           find_called(p, said, span_begins_nocase);
}

/* Of a domain alone, where no sender is given, only routes for any sender count. */
static bool find_recipient(struct probe *p, struct span text, bool is_address)
{
    const struct settings *s = p->settings;
    struct probe_target *t = &p->target;
    struct buffer b = { 0 };
    struct address a;
    bool is_good;

    if (!is_address)
        buffer_put_string(&b, "postmaster@");
    buffer_put(&b, text);
    text = arena_copy(&p->arena, buffer_span(&b));
    buffer_clear(&b);
    is_good = address_parse(text, &a) == ADDRESS_OK && a.domain.len &&
              lane_key(s, p->sender, &a, &b) == 0;
    if (is_good) {
        struct span lane = arena_copy(&p->arena, buffer_span(&b));

        t->route = p->sender.at || is_address
                       ? route_find(s, p->sender, &a)
                       : route_of_lane(s, lane_domain(lane));
        t->domain = lane_domain(lane);
        t->recipient = is_address ? text : SPAN("");
        buffer_clear(&b);
        if (t->route)
            destination_name(t->route, lane, &b);
        t->destination = arena_copy(&p->arena, buffer_span(&b));
    }
    buffer_fini(&b);
    return is_good;
}

/* ----------------------------------------------------------------- the route ---- */

static json_t *texts(const struct span *all, size_t count)
{
    json_t *list = json_array();

    for (size_t i = 0; i < count; i++)
        ASSERT(json_array_append_new(list, probe_text(all[i])) == 0);
    return list;
}

static void tell_route(struct probe *p)
{
    const struct probe_target *t = &p->target;
    const struct route *r = t->route;
    struct buffer via = { 0 }, to = { 0 };
    json_t *detail = json_object(), *hops = json_array();

    for (size_t i = 0; i < r->via_count; i++) {
        buffer_put_string(&via, i ? ", " : "");
        buffer_put_escaped(&via, r->via[i].text);
        ASSERT(json_array_append_new(hops, probe_text(r->via[i].text)) == 0);
    }
    for (size_t i = 0; i < r->to_count; i++) {
        buffer_put_string(&to, i ? ", " : "");
        buffer_put_escaped(&to, r->to[i]);
    }
    probe_put(detail, "route", probe_text(r->title));
    if (r->place.file) {
        probe_put(detail, "file", probe_text(span_of(r->place.file)));
        probe_put(detail, "line", json_integer(r->place.line));
    }
    probe_put(detail, "to", texts(r->to, r->to_count));
    probe_put(detail, "via", hops);
    probe_put(detail, "destination", probe_text(t->destination));
    probe_tell(p, "route", PROBE_OK, detail,
               "route \"%.*s\" (%s:%u), for %s%s, leads to %s",
               SPAN_FMT(r->title), r->place.file ? r->place.file : "built in",
               r->place.line, buffer_string(&to),
               r->from_count ? " from some senders" : "", buffer_string(&via));
    buffer_fini(&via);
    buffer_fini(&to);
}

static void tell_policy(struct probe *p)
{
    const struct route *r = p->target.route;
    json_t *detail = json_object();

    if (r->via[0].kind == HOP_MAILDIR) {
        json_decref(detail);
        return;
    }
    probe_put(detail, "tls", json_integer(r->tls));
    if (r->account)
        probe_put(detail, "login", probe_text(r->account->user));
    probe_tell(p, "policy", PROBE_INFO, detail, "tls = %s%s", tls_words[r->tls],
               r->account ? "; it logs in" : "");
}

/* ------------------------------------------------------------------ the queue ---- */

static void put_span_of_time(struct buffer *b, int64_t ms)
{
    int64_t s = ms / 1000;

    if (s < 120)
        buffer_printf(b, "%lld s", (long long)(s < 0 ? 0 : s));
    else if (s < 7200)
        buffer_printf(b, "%lld minutes", (long long)(s / 60));
    else
        buffer_printf(b, "%lld hours", (long long)(s / 3600));
}

static void put_state(struct buffer *b, const struct queue_destination_row *d,
                      int64_t now)
{
    static const char *const words[] = {
        [DESTINATION_UP] = "it is up",
        [DESTINATION_RESTING] = "it could not be reached and rests",
        [DESTINATION_OFFLINE] = "it is away, and waits to be released",
        [DESTINATION_SUSPENDED] = "a person has suspended it",
    };

    buffer_put_string(b, words[d->state]);
    if (d->downs)
        buffer_printf(b, ", after %u failure%s in a row", d->downs,
                      d->downs == 1 ? "" : "s");
    if (d->state != DESTINATION_UP && d->due_ms != INT64_MAX) {
        buffer_put_string(b, ", for another ");
        put_span_of_time(b, d->due_ms - now);
    }
    buffer_printf(b, "; %llu recipient%s wait%s",
                  (unsigned long long)d->waiting, d->waiting == 1 ? "" : "s",
                  d->waiting == 1 ? "s" : "");
    if (d->since_ms) {
        buffer_put_string(b, ", since ");
        put_span_of_time(b, now - d->since_ms);
        buffer_put_string(b, " ago");
    }
    if (d->rate_count) {
        buffer_put_string(b, "; it is ");
        pacewords_put(b, d, now);
    }
    if (d->error.len) {
        buffer_put_string(b, "; last words: ");
        buffer_put_escaped(b, d->error);
    }
}

static void each_destination(void *user, const struct queue_destination_row *d)
{
    static const enum probe_state states[] = {
        [DESTINATION_UP] = PROBE_OK,
        [DESTINATION_RESTING] = PROBE_WARNING,
        [DESTINATION_OFFLINE] = PROBE_INFO,
        [DESTINATION_SUSPENDED] = PROBE_WARNING,
    };
    struct probe *p = user;
    struct probe_target *t = &p->target;
    struct buffer text = { 0 };
    json_t *detail;

    if (t->is_known || !span_is(d->name, t->destination))
        return;
    t->is_known = true;
    t->state = d->state;
    t->due_ms = d->due_ms;
    t->last_good_ms = d->last_good_ms;
    t->waiting = d->waiting;
    t->has_rate = d->rate_count > 0;
    detail = json_object();
    probe_put(detail, "waiting", json_integer((json_int_t)d->waiting));
    probe_put(detail, "downs", json_integer(d->downs));
    if (d->since_ms)
        probe_put(detail, "since", json_integer(d->since_ms / 1000));
    if (d->error.len)
        probe_put(detail, "last_words", probe_text(d->error));
    put_state(&text, d, wall_ms());
    probe_tell(p, "queue", d->held_ms ? PROBE_INFO : states[d->state], detail,
               "%s", buffer_string(&text));
    buffer_fini(&text);
}

static void tell_queue(struct probe *p)
{
    struct queue *q = p->delivery->worker->queue;
    size_t first = 0;

    while (!p->target.is_known &&
           queue_destinations(q, first, PAGE, each_destination, p) >
               first + PAGE)
        first += PAGE;
    if (!p->target.is_known)
        probe_tell(p, "queue", PROBE_OK, NULL,
                   "the queue knows of no trouble, and nothing waits for %.*s",
                   SPAN_FMT(p->target.destination));
}

bool probe_target_find(struct probe *p, struct span name)
{
    bool is_address = span_find(name, '@') < name.len;
    struct buffer shown = { 0 };

    buffer_put_escaped(&shown, name);
    if ((is_address || !find_destination(p, name)) &&
        !find_recipient(p, name, is_address))
        probe_fail(p, "route", FAILURE_NAME, NULL,
                   "\"%s\" is no domain, address or destination",
                   buffer_string(&shown));
    else if (!p->target.route)
        probe_fail(p, "route", FAILURE_NO_ROUTE, NULL, "no route leads to %s",
                   buffer_string(&shown));
    buffer_fini(&shown);
    if (!p->target.route)
        return false;
    tell_route(p);
    tell_queue(p);
    tell_policy(p);
    return true;
}
