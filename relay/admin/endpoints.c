/*
 * endpoints - what can be asked for over HTTP.
 *
 * Paths and what they say stand in the headers of the files named in the table.
 *
 * The table is obeyed: methods, roles, 404 and 405 come from it. Nothing is ever changed
 * by a request that names neither an id, nor yes.
 */
#include "relay/admin/endpoints.h"

#include "relay/admin/backups.h"
#include "relay/admin/chronicle.h"
#include "relay/admin/events.h"
#include "relay/admin/explains.h"
#include "relay/admin/flow.h"
#include "relay/admin/hooks.h"
#include "relay/admin/listing.h"
#include "relay/admin/logins.h"
#include "relay/admin/heatmap.h"
#include "relay/admin/metrics.h"
#include "relay/admin/nexthops.h"
#include "relay/admin/openapi.h"
#include "relay/admin/page.h"
#include "relay/admin/probes.h"
#include "relay/admin/ordering.h"
#include "relay/admin/portrait.h"
#include "relay/admin/providers.h"
#include "relay/admin/systems.h"
#include "relay/admin/waiting.h"
#include "relay/net/scorecard.h"

#include <stddef.h>
#include <stdlib.h>
#include <unistd.h>

enum { EXPLAIN_BODY_MOST = 24 * 1024 * 1024 /* a message may come along */ };

static endpoint_fn get_health, get_readiness, get_status;

enum { EVERY_STATE_BUT_DELETED = 0, VERDICTS_SHOWN = 100 };
enum { NOT_HELD = STATE_ACTIVE | STATE_READY | STATE_DEFERRED };

/* clang-format off */
const struct endpoint endpoints[] = {
    { "GET",  "/healthz",               get_health,      ROLE_ANYONE,   MEDIA_JSON },
    { "GET",  "/metrics",               metrics_get,     ROLE_READ,     MEDIA_METRICS },
    { "GET",  "/readyz",                get_readiness,   ROLE_ANYONE,   MEDIA_JSON },
    { "GET",  "/api/v1/openapi.json",   openapi_get,     ROLE_READ,     MEDIA_JSON },
    { "GET",  "/api/v1/status",         get_status,      ROLE_READ,     MEDIA_JSON },
    { "GET",  "/api/v1/flow",           flow_get,        ROLE_READ,     MEDIA_JSON },
    { "GET",  "/api/v1/system",         systems_get,     ROLE_READ,     MEDIA_JSON },
    { "GET",  "/api/v1/queue",          waiting_list,    ROLE_READ,     MEDIA_LINES },
    { "GET",  "/api/v1/queue/count",    waiting_count,   ROLE_READ,     MEDIA_JSON },
    { "POST", "/api/v1/queue/retry",    ordering_change, ROLE_OPERATOR, MEDIA_JSON,
      .change = CHANGE_RETRY, .states = NOT_HELD },
    { "POST", "/api/v1/queue/hold",     ordering_change, ROLE_OPERATOR, MEDIA_JSON,
      .change = CHANGE_HOLD, .states = NOT_HELD },
    { "POST", "/api/v1/queue/release",  ordering_change, ROLE_OPERATOR, MEDIA_JSON,
      .change = CHANGE_RELEASE, .states = STATE_HELD },
    { "POST", "/api/v1/queue/delete",   ordering_change, ROLE_OPERATOR, MEDIA_JSON,
      .change = CHANGE_DELETE, .states = EVERY_STATE_BUT_DELETED },
    { "POST", "/api/v1/queue/undelete", ordering_change, ROLE_OPERATOR, MEDIA_JSON,
      .change = CHANGE_UNDELETE, .states = STATE_DELETED },
    { "POST", "/api/v1/queue/bounce",   ordering_change, ROLE_OPERATOR, MEDIA_JSON,
      .change = CHANGE_BOUNCE, .states = EVERY_STATE_BUT_DELETED },
    { "POST", "/api/v1/queue/move",     ordering_change, ROLE_OPERATOR, MEDIA_JSON,
      .change = CHANGE_MOVE, .states = EVERY_STATE_BUT_DELETED },
    { "GET",  "/api/v1/queue/top",      waiting_top,     ROLE_READ,     MEDIA_LINES },
    { "GET",  "/api/v1/queue/heat",     heatmap_get,     ROLE_READ,     MEDIA_JSON },
    { "GET",  "/api/v1/queue/*",        portrait_show,   ROLE_READ,     MEDIA_JSON },
    { "GET",  "/api/v1/queue/*/content", portrait_content, ROLE_OPERATOR, MEDIA_MESSAGE },
    { "GET",  "/api/v1/routes",         heatmap_routes,  ROLE_READ,     MEDIA_LINES },
    { "GET",  "/api/v1/history",        chronicle_list,  ROLE_READ,     MEDIA_LINES },
    { "GET",  "/api/v1/destinations",   nexthops_list,   ROLE_READ,     MEDIA_LINES },
    { "POST", "/api/v1/destinations/*", nexthops_order,  ROLE_OPERATOR, MEDIA_JSON },
    { "POST", "/api/v1/probe",          probes_ask,      ROLE_OPERATOR, MEDIA_LINES },
    { "GET",  "/api/v1/fetches",        providers_list,  ROLE_READ,     MEDIA_LINES },
    { "POST", "/api/v1/fetches/**",     providers_fetch, ROLE_OPERATOR, MEDIA_JSON },
    { "GET",  "/api/v1/events",         events_get,      ROLE_READ,     MEDIA_EVENTS },
    { "GET",  "/api/v1/webhooks",       hooks_list,      ROLE_READ,     MEDIA_LINES },
    { "POST", "/api/v1/webhooks/**",    hooks_retry,     ROLE_OPERATOR, MEDIA_JSON },
    { "POST", "/api/v1/explain",        explains_ask,    ROLE_READ,     MEDIA_JSON,
      .body_most = EXPLAIN_BODY_MOST },
    { "POST", "/api/v1/backup",         backups_make,    ROLE_LOCAL,    MEDIA_FILE },
    { "POST", "/api/v1/logins",         logins_look,     ROLE_LOCAL,    MEDIA_JSON },
    { "GET",  "/",                      page_serve,      ROLE_ANYONE,   MEDIA_FILE },
    { "GET",  "/*",                     page_serve,      ROLE_ANYONE,   MEDIA_FILE },
    { NULL, NULL, NULL, ROLE_ANYONE, MEDIA_JSON },
};
/* clang-format on */

/* ------------------------------------------------------------ finding ---- */

/* "/a/" "*" "/b": what stands between may not be empty, nor have a slash. */
static bool is_between(struct span want, struct span path, struct span *out_name)
{
    size_t before = span_find(want, '*');
    struct span after = span_skip(want, before + 1);
    struct span name;

    if (before == want.len)
        return span_is(want, path);
    if (path.len < want.len ||
        !span_is(span_first(want, before), span_first(path, before)))
        return false;
    name = span_skip(path, before);
    name = span_first(name, span_find(name, '/'));
    if (!name.len || !span_is(span_skip(path, before + name.len), after))
        return false;
    *out_name = name;
    return true;
}

/* Does the row's path match? Then out_name is what stood for "*", or empty. */
static bool path_is(const struct endpoint *row, struct span path,
                    struct span *out_name)
{
    struct span want = span_of(row->path);
    size_t fixed = want.len - 1;
    bool takes_slashes;

    *out_name = SPAN("");
    if (want.at[fixed] != '*')
        return is_between(want, path, out_name);
    takes_slashes = want.at[fixed - 1] == '*';
    fixed -= takes_slashes;
    if (!span_is(span_first(want, fixed), span_first(path, fixed)))
        return false;
    *out_name = span_skip(path, fixed);
    return out_name->len &&
           (takes_slashes || span_find(*out_name, '/') == out_name->len);
}

bool endpoints_find(struct request *r, const char *method, const char *path)
{
    /* The answer to HEAD is GET's without its body; the server leaves that out.
     */
    const char *want = strcmp(method, "HEAD") == 0 ? "GET" : method;
    struct span name;

    for (size_t i = 0; endpoints[i].method; i++) {
        if (!path_is(&endpoints[i], span_of(path), &name))
            continue;
        if (strcmp(endpoints[i].method, want) == 0) {
            r->endpoint = &endpoints[i];
            r->name = name;
            if (endpoints[i].body_most)
                r->body.cap = endpoints[i].body_most;
            return true;
        }
        if (!r->allow)
            r->allow = endpoints[i].method;
    }
    if (r->allow)
        request_refuse(r, 405, "only %s is possible here", r->allow);
    else
        request_refuse(r, 404, "there is nothing at this path");
    return false;
}

void endpoints_run(struct request *r)
{
    r->endpoint->run(r);
}

/* ------------------------------------------------------------- answers --- */

static void get_health(struct request *r)
{
    request_answer_json(r, json_pack("{s:s}", "status", "ok"));
}

/* The queue is open as long as we are here. */
static void get_readiness(struct request *r)
{
    struct admin_status status = { 0 };

    request_ask_status(r, &status);
    if (status.is_stopping)
        request_refuse(r, 503, "the relay is going down");
    else if (status.is_deaf)
        request_refuse(r, 503, "a listener could not be opened");
    else
        request_answer_json(r, json_pack("{s:s}", "status", "ready"));
}

/* clang-format off */
static const struct { const char *name; size_t field; } figures[] = {
#define FIGURE(name) { #name, offsetof(struct queue_stats, name) }
    FIGURE(messages_ready), FIGURE(messages_deferred), FIGURE(messages_held),
    FIGURE(active), FIGURE(cached_bytes), FIGURE(slots), FIGURE(slots_parked),
    FIGURE(puts), FIGURE(settles), FIGURE(commits), FIGURE(commit_us_last),
    FIGURE(commit_us_max), FIGURE(wal_bytes), FIGURE(disk_free_bytes),
    FIGURE(history_behind), FIGURE(refusals_dropped), FIGURE(destinations_down),
#undef FIGURE
};
/* clang-format on */

static void add_score(void *user, struct span rule, unsigned code,
                      uint64_t count)
{
    ASSERT(json_array_append_new(user, json_pack("{s:o, s:i, s:I}", "rule",
                                                 listing_text(rule), "code",
                                                 (int)code, "count",
                                                 (json_int_t)count)) == 0);
}

static void get_status(struct request *r)
{
    struct admin_status status = { 0 };
    struct queue_stats stats = { 0 };
    json_t *queue = json_object(), *verdicts = json_array();

    request_ask_status(r, &status);
    queue_stats(request_queue(r), &stats);
    for (size_t i = 0; i < sizeof(figures) / sizeof(figures[0]); i++) {
        uint64_t n;

        memcpy(&n, (const char *)&stats + figures[i].field, sizeof(n));
        ASSERT(json_object_set_new(queue, figures[i].name,
                                   json_integer((json_int_t)n)) == 0);
    }
    if (status.scores)
        scorecard_busiest(status.scores, VERDICTS_SHOWN, add_score, verdicts);
    request_answer_json(
        r, json_pack("{s:s, s:i, s:I, s:I, s:I, s:I, s:b, s:f, s:f, "
                     "s:o, s:o, s:o, s:s}",
                     "version", WAYPOST_VERSION, "pid", (int)getpid(), "uptime",
                     (json_int_t)request_uptime_s(r), "workers",
                     (json_int_t)status.workers, "sessions",
                     (json_int_t)status.sessions, "reloads",
                     (json_int_t)(status.epoch ? status.epoch - 1 : 0),
                     "stopping", status.is_stopping, "lag_ms_most",
                     status.lag_us_most / 1000.0, "lag_ms_recent",
                     status.lag_us_recent / 1000.0, "queue", queue, "verdicts",
                     verdicts, "hostname", listing_text(request_hostname(r)),
                     "role", r->role == ROLE_READ ? "read" : "operator"));
}
