/*
 * nexthops - destinations over HTTP.
 *
 * The list goes out in pages; what comes or goes meanwhile may be missed. Orders act on
 * the names that match now.
 */
#include "relay/admin/nexthops.h"

#include "policy/vocabulary/memory.h"
#include "relay/admin/demand.h"
#include "relay/admin/listing.h"
#include "relay/admin/metrics.h"
#include "relay/admin/naming.h"
#include "relay/net/acquaintance.h"
#include "relay/net/log.h"
#include "relay/net/pacewords.h"

#include <stdlib.h>

enum { PAGE = 200, NAMES_MOST = 1000, NAME_MOST = 1024, REASON_MOST = 500 };

/* clang-format off */
static const char *const states[] = {
    [DESTINATION_UP] = "up", [DESTINATION_RESTING] = "backing-off",
    [DESTINATION_OFFLINE] = "offline", [DESTINATION_SUSPENDED] = "suspended",
};
/* clang-format on */

/* ---------------------------------------------------------------- list ---- */

/* What deliveries came to since the start. */
static void put_acquaintance(json_t *o, struct request *r, struct span name,
                             int64_t last_good_ms)
{
    struct acquaintance_row row = { .delivery_ms = -1 };
    struct buffer tls = { 0 };

    if (acquaintance_find(request_acquaintances(r), name, &row) &&
        row.is_connected)
        acquaintance_put_tls(&tls, &row);
    listing_set(o, "tls",
                tls.len ? json_string(buffer_string(&tls)) : json_null());
    listing_set(o, "delivery_ms",
                row.delivery_ms < 0 ? json_null()
                                    : json_integer(row.delivery_ms));
    listing_set(o, "sent", json_integer((json_int_t)row.sent));
    listing_set(o, "deferred", json_integer((json_int_t)row.deferred));
    listing_set(o, "bounced", json_integer((json_int_t)row.bounced));
    listing_set(o, "last_reply",
                row.reply[0] ? listing_text(span_of(row.reply)) : json_null());
    listing_set(o, "last_at", listing_moment(row.last_ms));
    /* the queue forgets a destination for which nothing waits */
    if (row.sent_ms > last_good_ms)
        listing_set(o, "last_good", listing_moment(row.sent_ms));
    buffer_fini(&tls);
}

/* What it is limited to; and that mail waits for that, where nothing worse keeps it. */
static void put_rates(json_t *o, struct request *r,
                      const struct queue_destination_row *d)
{
    json_t *rates = json_array();
    struct buffer text = { 0 };

    for (size_t i = 0; i < d->rate_count; i++) {
        buffer_clear(&text);
        rate_put(&text, &d->rates[i]);
        ASSERT(json_array_append_new(rates, json_string(buffer_string(&text))) ==
               0);
    }
    listing_set(o, "rates", rates);
    listing_set(o, "held_until", listing_moment(d->held_ms));
    buffer_clear(&text);
    if (d->error.len)
        buffer_put(&text, d->error);
    else if (d->held_ms)
        pacewords_put(&text, d, request_now_ms(r));
    if (text.len)
        listing_set(o, "reason", listing_text(buffer_span(&text)));
    buffer_fini(&text);
}

static void put_line(struct request *r, const struct queue_destination_row *d)
{
    json_t *o = json_object();

    listing_set(o, "name", listing_text(d->name));
    listing_set(o, "state", json_string(states[d->state]));
    listing_set(o, "on_demand", json_boolean(d->is_on_demand));
    listing_set(o, "due", listing_moment(d->due_ms));
    listing_set(o, "last_good", listing_moment(d->last_good_ms));
    listing_set(o, "connections", json_integer(d->connections));
    listing_set(o, "window", json_integer(d->window));
    listing_set(o, "open", json_integer(d->slots));
    listing_set(o, "downs", json_integer(d->downs));
    listing_set(o, "active", json_integer(d->active));
    listing_set(o, "lanes", json_integer(d->lanes));
    listing_set(o, "waiting", json_integer((json_int_t)d->waiting));
    listing_set(o, "waiting_bytes", json_integer((json_int_t)d->waiting_bytes));
    listing_set(o, "since", listing_moment(d->since_ms));
    listing_set(o, "fetched", json_boolean(d->is_fetched));
    listing_set(o, "opens", listing_moment(d->is_on_demand ? d->change_ms : 0));
    listing_set(o, "closes",
                listing_moment(d->is_on_demand ? 0 : d->change_ms));
    put_rates(o, r, d);
    put_acquaintance(o, r, d->name, d->last_good_ms);
    listing_put_object(&r->answer, o);
}

static void each_listed(void *user, const struct queue_destination_row *d)
{
    struct request *r = user;

    r->after_id++;
    if (naming_is_meant(r->pattern, d->name))
        put_line(r, d);
}

/* Pages in which nothing is meant are passed over. */
static void put_page(struct request *r)
{
    do {
        r->more = queue_destinations(request_queue(r), (size_t)r->after_id,
                                     PAGE, each_listed, r) > r->after_id
                      ? put_page
                      : NULL;
    } while (r->more && r->answer.len == 0);
    request_go_on(r);
}

static void each_found(void *user, const struct queue_destination_row *d)
{
    put_line(user, d);
}

/* What is known of the busiest may be a moment old, what is told of them is not. */
static void each_busy(void *user, const struct queue_destination_row *d)
{
    struct request *r = user;

    if (r->page_rows && naming_is_meant(r->pattern, d->name) &&
        queue_destination_find(request_queue(r), d->name, each_found, r))
        r->page_rows--;
}

void nexthops_list(struct request *r)
{
    const char *busiest = request_parameter(r, "busiest");
    uint64_t most = METRICS_DESTINATIONS;

    r->pattern = request_parameter(r, "name");
    if (!r->pattern)
        r->pattern = "";
    if (!busiest) {
        put_page(r);
    } else if (!span_number(span_of(busiest), &most) || most == 0) {
        request_refuse(r, 400, "busiest: should be a number");
    } else {
        r->page_rows =
            (uint32_t)(most < METRICS_DESTINATIONS ? most
                                                   : METRICS_DESTINATIONS);
        request_look(r);
        queue_busy_each(request_busy(r), each_busy, r);
        request_go_on(r);
    }
}

/* -------------------------------------------------------------- orders ---- */

struct order {
    struct request *request;
    const char *name, *reason;
    int64_t until_ms;
    bool is_preview, is_sure;
    json_t *names; /* that are meant */
    size_t skipped;
};

typedef bool order_fn(struct order *o, struct span name);

static bool suspend(struct order *o, struct span name)
{
    return queue_suspend(request_queue(o->request), name, o->until_ms,
                         span_of(o->reason));
}

static bool resume(struct order *o, struct span name)
{
    return queue_resume(request_queue(o->request), name);
}

static bool retry(struct order *o, struct span name)
{
    return queue_release(request_queue(o->request), name);
}

static bool probe(struct order *o, struct span name)
{
    return queue_probe(request_queue(o->request), name);
}

static const struct {
    const char *name;
    order_fn *run;
    bool meets_unknown;
} orders[] = {
    { "suspend", suspend, true },
    { "resume", resume, false },
    { "retry", retry, false },
    { "probe", probe, false },
};

enum { ORDERS = sizeof(orders) / sizeof(orders[0]) };

static void each_meant(void *user, const struct queue_destination_row *d)
{
    struct order *o = user;

    if (!naming_is_meant(o->name, d->name))
        return;
    ASSERT(json_array_append_new(o->names, listing_text(d->name)) == 0);
}

/* "2h" from now on. */
static bool until_member(struct order *o, const char *text)
{
    int64_t ms;

    o->until_ms = INT64_MAX;
    if (!text)
        return true;
    if (!filter_duration(span_of(text), &ms) || ms <= 0 ||
        __builtin_add_overflow(request_now_ms(o->request), ms, &o->until_ms)) {
        request_refuse(o->request, 400,
                       "$.until: should be a duration such as 10min, 2h or "
                       "3d");
        return false;
    }
    return true;
}

/* False: refused. */
static bool read_order(struct order *o, json_t *body)
{
    static const char *const keys[] = { "name", "until",   "reason",
                                        "yes",  "preview", NULL };
    struct request *r = o->request;
    const char *until = NULL;

    o->reason = "";
    if (!demand_is_only(r, body, keys) ||
        !demand_text(r, body, "name", NAME_MOST, &o->name) ||
        !demand_text(r, body, "until", NAME_MOST, &until) ||
        !demand_text(r, body, "reason", REASON_MOST, &o->reason) ||
        !demand_switch(r, body, "yes", &o->is_sure) ||
        !demand_switch(r, body, "preview", &o->is_preview) ||
        !until_member(o, until))
        return false;
    if (o->name && *o->name)
        return true;
    request_refuse(r, 400, "$.name: should say which destination");
    return false;
}

static void each_routed(void *user, struct span name)
{
    struct order *o = user;

    ASSERT(json_array_append_new(o->names, listing_text(name)) == 0);
}

static void find_names(struct order *o, size_t which)
{
    struct queue *q = request_queue(o->request);
    size_t first = 0;

    o->names = json_array();
    while (queue_destinations(q, first, PAGE, each_meant, o) > first + PAGE)
        first += PAGE;
    if (json_array_size(o->names) == 0 && orders[which].meets_unknown &&
        !strpbrk(o->name, "*?"))
        naming_each_route(request_settings(o->request), o->name, each_routed,
                          o);
}

static void carry_out(struct order *o, size_t which)
{
    size_t i;
    json_t *name;

    json_array_foreach(o->names, i, name)
    {
        const char *text = json_string_value(name);

        if (!orders[which].run(o, span_of(text))) {
            o->skipped++;
            continue;
        }
        log_text(LOG_NOTE, "destination %s: %s by %s%s%s", text,
                 orders[which].name, o->request->who, *o->reason ? ": " : "",
                 o->reason);
    }
}

static void on_remembered(void *user, uint64_t token, int rc)
{
    struct request *r = request_find(user, token);

    if (!r)
        return;
    if (rc < 0) {
        buffer_clear(&r->answer);
        request_refuse_queue(r, rc);
    } else {
        request_answer(r, 200);
    }
}

/* A yes that a crash could make untrue would be none. */
static void answer_when_kept(struct order *o)
{
    size_t count = json_array_size(o->names), i;
    struct span *names = NEW_ARRAY(struct span, count + 1);
    json_t *name;

    json_array_foreach(o->names, i, name) names[i] =
        span_make(json_string_value(name), json_string_length(name));
    queue_remember(request_port(o->request), names, count, on_remembered,
                   o->request->token);
    request_wait(o->request);
    free(names);
}

static void put_answer(struct order *o)
{
    struct request *r = o->request;
    size_t n = json_array_size(o->names);
    json_t *answer = json_object();

    while (json_array_size(o->names) > NAMES_MOST)
        (void)json_array_remove(o->names, json_array_size(o->names) - 1);
    listing_set(answer, "destinations", json_integer((json_int_t)n));
    listing_set(answer, "skipped", json_integer((json_int_t)o->skipped));
    listing_set(answer, "names", json_incref(o->names));
    if (o->is_preview)
        listing_set(answer, "preview", json_true());
    listing_put_object(&r->answer, answer);
}

static void obey(struct order *o, size_t which)
{
    struct request *r = o->request;

    find_names(o, which);
    if (json_array_size(o->names) == 0) {
        struct buffer fault = { 0 };

        naming_put_fault(&fault, request_settings(r), o->name);
        request_refuse(r, 404, "%s", buffer_string(&fault));
        buffer_fini(&fault);
    } else if (json_array_size(o->names) > 1 && !o->is_preview && !o->is_sure) {
        request_refuse(r, 400,
                       "this concerns several destinations: add \"yes\": "
                       "true, or \"preview\": true to see which");
    } else {
        if (!o->is_preview) {
            carry_out(o, which);
            answer_when_kept(o);
        }
        put_answer(o);
        if (o->is_preview)
            request_answer(r, 200);
    }
    json_decref(o->names);
}

void nexthops_order(struct request *r)
{
    struct order o = { .request = r };
    size_t which = 0;
    json_t *body;

    while (which < ORDERS && !span_is(r->name, span_of(orders[which].name)))
        which++;
    if (which == ORDERS) {
        request_refuse(r, 404, "there is nothing at this path");
        return;
    }
    body = demand_read(r);
    if (body && read_order(&o, body))
        obey(&o, which);
    json_decref(body);
}
