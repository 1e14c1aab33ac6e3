/*
 * systems - GET /api/v1/system: what the relay stands on.
 */
#include "relay/admin/systems.h"

#include "policy/vocabulary/memory.h"
#include "relay/admin/hooks.h"
#include "relay/admin/listing.h"
#include "relay/net/date.h"
#include "relay/net/gauge.h"

#include <stdlib.h>

struct list {
    json_t *array;
    int64_t now_ms;
    const struct gauge_sum *sum;
};

static json_t *split(struct span names)
{
    json_t *list = json_array();

    while (names.len) {
        struct span name = span_trim(span_split(names, ',', &names));

        if (name.len)
            ASSERT(json_array_append_new(list, listing_text(name)) == 0);
    }
    return list;
}

/* Of a day that has begun, the end counts: one that ended today has -1. */
static int64_t days_until(int64_t ends_ms, int64_t now_ms)
{
    int64_t left = ends_ms - now_ms;

    return left >= 0 ? left / DATE_DAY_MS : -1 - (-left - 1) / DATE_DAY_MS;
}

static void add_certificate(void *user, const struct admin_certificate *c)
{
    struct list *l = user;

    ASSERT(json_array_append_new(
               l->array,
               json_pack("{s:o, s:o, s:I, s:I}", "file", listing_text(c->file),
                         "names", split(c->names), "not_after",
                         (json_int_t)(c->ends_ms / 1000), "days",
                         (json_int_t)days_until(c->ends_ms, l->now_ms))) == 0);
}

static uint64_t sessions_of(const struct gauge_sum *s, struct span name)
{
    for (unsigned i = 0; i < s->listener_count; i++)
        if (span_is(span_of(s->listeners[i].name),
                    span_first(name, GAUGE_NAME)))
            return s->listeners[i].opened - s->listeners[i].closed;
    return 0;
}

static void add_listener(void *user, const struct admin_listener *l)
{
    struct list *to = user;

    ASSERT(json_array_append_new(
               to->array,
               json_pack("{s:o, s:o, s:I}", "name", listing_text(l->name),
                         "address", listing_text(l->address), "sessions",
                         (json_int_t)sessions_of(to->sum, l->name))) == 0);
}

void systems_get(struct request *r)
{
    const struct admin_gauges *g = request_gauges(r);
    struct gauge_sum *sum = NEW(struct gauge_sum); /* large for a stack */
    struct list certificates = { json_array(), request_now_ms(r), NULL };
    struct list listeners = { json_array(), 0, sum };
    struct queue_figures figures;
    struct queue_stats stats;

    request_sum(r, sum);
    queue_stats(request_queue(r), &stats);
    queue_figures(request_queue(r), &figures);
    if (g->certificates)
        g->certificates(g->user, add_certificate, &certificates);
    if (g->listeners)
        g->listeners(g->user, add_listener, &listeners);
    free(sum);
    request_answer_json(
        r, json_pack(
               "{s:o, s:{s:I, s:I}, s:I, s:I, s:I, s:o, s:I, s:b, s:I, s:o}",
               "certificates", certificates.array, "disk", "free_bytes",
               (json_int_t)stats.disk_free_bytes, "reserve_bytes",
               (json_int_t)figures.reserve_bytes, "wal_bytes",
               (json_int_t)stats.wal_bytes, "commit_us_last",
               (json_int_t)stats.commit_us_last, "commit_us_max",
               (json_int_t)stats.commit_us_max, "listeners", listeners.array,
               "history_behind", (json_int_t)stats.history_behind,
               "history_paused", figures.is_history_paused, "refusals_dropped",
               (json_int_t)stats.refusals_dropped, "webhooks",
               hooks_array(r)));
}
