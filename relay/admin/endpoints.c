/*
 * endpoints - what can be asked for over HTTP.
 *
 *   GET  /healthz               is it there?
 *   GET  /api/v1/status         version, process, figures of the queue
 *   GET  /api/v1/queue          one JSON object a line; filters as parameters
 *   GET  /api/v1/queue/count    {"messages", "recipients", "bytes"}
 *   GET  /api/v1/queue/ID       all about one message
 *   POST /api/v1/queue/retry    a JSON object of filters and "yes": true, or
 *        .../hold .../release   "preview": true for the count alone; one "id"
 *        .../delete .../undelete  is changed at once
 *
 *   GET  /api/v1/destinations   next hops, and orders to them: see nexthops.h
 *   POST /api/v1/destinations/suspend .../resume .../retry .../probe
 *
 *   GET  /api/v1/fetches        providers, and asking them: see providers.h
 *   POST /api/v1/fetches/NAME
 *
 *   POST /api/v1/explain        what the rules say of a client, sender and recipient:
 *                               see explains.h
 *
 * The table is obeyed: methods, 404 and 405 come from it. Nothing is ever changed
 * by a request that names neither an id, nor yes.
 */
#include "relay/admin/endpoints.h"

#include "policy/vocabulary/id.h"
#include "relay/admin/explains.h"
#include "relay/admin/listing.h"
#include "relay/admin/nexthops.h"
#include "relay/admin/providers.h"
#include "relay/net/scorecard.h"

#include <stddef.h>
#include <stdlib.h>
#include <unistd.h>

enum {
    PAGE_FIRST = 20, /* rows; doubles while pages stay small */
    PAGE_MOST = 200,
    PAGE_BYTES = 256 * 1024,
    EXPLAIN_BODY_MOST = 24 * 1024 * 1024, /* a message may come along */
};

typedef void endpoint_fn(struct request *r);

static endpoint_fn get_health, get_status, list, count, show, change;

enum { EVERY_STATE_BUT_DELETED = 0, VERDICTS_SHOWN = 100 };

/* clang-format off */
static const struct endpoint {
    const char *method, *path;      /* a last part of "*" stands for any name, of "**"
                                       for one with slashes too */
    endpoint_fn *run;
    enum queue_change change;
    unsigned states;                /* that a change means when none are named */
    size_t body_most;               /* 0: as all others */
} endpoints[] = {
    { "GET",  "/healthz",               get_health, 0, 0, 0 },
    { "GET",  "/api/v1/status",         get_status, 0, 0, 0 },
    { "GET",  "/api/v1/queue",          list,       0, 0 },
    { "GET",  "/api/v1/queue/count",    count,      0, 0 },
    { "POST", "/api/v1/queue/retry",    change,     CHANGE_RETRY,
      STATE_ACTIVE | STATE_READY | STATE_DEFERRED, 0 },
    { "POST", "/api/v1/queue/hold",     change,     CHANGE_HOLD,
      STATE_ACTIVE | STATE_READY | STATE_DEFERRED, 0 },
    { "POST", "/api/v1/queue/release",  change,     CHANGE_RELEASE, STATE_HELD, 0 },
    { "POST", "/api/v1/queue/delete",   change,     CHANGE_DELETE,
      EVERY_STATE_BUT_DELETED, 0 },
    { "POST", "/api/v1/queue/undelete", change,     CHANGE_UNDELETE, STATE_DELETED, 0 },
    { "GET",  "/api/v1/queue/*",        show,       0, 0 },
    { "GET",  "/api/v1/destinations",   nexthops_list,  0, 0 },
    { "POST", "/api/v1/destinations/*", nexthops_order, 0, 0, 0 },
    { "GET",  "/api/v1/fetches",        providers_list,  0, 0 },
    { "POST", "/api/v1/fetches/**",     providers_fetch, 0, 0, 0 },
    { "POST", "/api/v1/explain",        explains_ask, 0, 0, EXPLAIN_BODY_MOST },
};
/* clang-format on */

enum { ENDPOINTS = sizeof(endpoints) / sizeof(endpoints[0]) };

/* ------------------------------------------------------------ finding ---- */

/* Does the row's path match? Then out_name is what stood for "*", or empty. */
static bool path_is(const struct endpoint *row, struct span path,
                    struct span *out_name)
{
    struct span want = span_of(row->path);
    size_t fixed = want.len - 1;
    bool takes_slashes;

    *out_name = SPAN("");
    if (want.at[fixed] != '*')
        return span_is(want, path);
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

    for (size_t i = 0; i < ENDPOINTS; i++) {
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

static void answer_json(struct request *r, json_t *take_o)
{
    char *text = json_dumps(take_o, JSON_COMPACT | JSON_ENSURE_ASCII);

    ASSERT(text);
    buffer_put_string(&r->answer, text);
    buffer_put_byte(&r->answer, '\n');
    free(text);
    json_decref(take_o);
    request_answer(r, 200);
}

static void refuse_queue(struct request *r, int rc)
{
    request_refuse(r, 503, "the queue cannot answer: %s", error_text(rc));
}

static void get_health(struct request *r)
{
    answer_json(r, json_pack("{s:s}", "status", "ok"));
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
    ASSERT(json_array_append_new(
               user, json_pack("{s:o, s:i, s:I}", "rule", listing_text(rule),
                               "code", (int)code, "count",
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
    answer_json(r, json_pack("{s:s, s:i, s:I, s:I, s:I, s:I, s:b, s:f, s:f, "
                             "s:o, s:o}",
                             "version", WAYPOST_VERSION, "pid", (int)getpid(),
                             "uptime", (json_int_t)request_uptime_s(r),
                             "workers", (json_int_t)status.workers, "sessions",
                             (json_int_t)status.sessions, "reloads",
                             (json_int_t)(status.epoch ? status.epoch - 1 : 0),
                             "stopping", status.is_stopping, "lag_ms_most",
                             status.lag_us_most / 1000.0, "lag_ms_recent",
                             status.lag_us_recent / 1000.0, "queue", queue,
                             "verdicts", verdicts));
}

/* --------------------------------------------------------------- list ---- */

static void ask_page(struct request *r);

static void on_page(void *user, uint64_t token, int rc,
                    const struct queue_row *rows, size_t count_of_rows,
                    uint64_t next_id)
{
    struct request *r = request_find(user, token);

    if (!r)
        return;
    if (rc < 0) {
        r->more = NULL;
        if (!r->is_stream) {
            refuse_queue(r, rc);
            return;
        }
        /* The status has gone out already: the last line tells. */
        buffer_printf(&r->answer,
                      "{\"error\":\"the queue cannot answer: %s\"}\n",
                      error_text(rc));
        request_go_on(r);
        return;
    }
    for (size_t i = 0; i < count_of_rows; i++)
        listing_put_json(&r->answer, &rows[i], false);
    /* Messages with very many recipients come in smaller pages. */
    if (r->answer.len > PAGE_BYTES)
        r->page_rows = r->page_rows > 1 ? r->page_rows / 2 : 1;
    else if (r->page_rows < PAGE_MOST)
        r->page_rows =
            r->page_rows * 2 < PAGE_MOST ? r->page_rows * 2 : PAGE_MOST;
    r->after_id = next_id;
    r->more = next_id ? ask_page : NULL;
    request_go_on(r);
}

static void ask_page(struct request *r)
{
    queue_list(request_port(r), &r->filter.queue, r->after_id, r->page_rows,
               on_page, r->token);
    request_wait(r);
}

static void list(struct request *r)
{
    if (!request_read_query(r))
        return;
    r->page_rows = PAGE_FIRST;
    ask_page(r);
}

/* --------------------------------------------------------------- show ---- */

static void on_shown(void *user, uint64_t token, int rc,
                     const struct queue_row *rows, size_t count_of_rows,
                     uint64_t next_id)
{
    struct request *r = request_find(user, token);

    (void)next_id;
    if (!r)
        return;
    if (rc < 0) {
        refuse_queue(r, rc);
    } else if (count_of_rows == 0) {
        request_refuse(r, 404, "there is no message %s",
                       id_print(r->filter.queue.id).at);
    } else {
        listing_put_json(&r->answer, &rows[0], true);
        request_answer(r, 200);
    }
}

static void show(struct request *r)
{
    struct buffer why = { 0 };

    if (!filter_add(&r->filter, SPAN("id"), r->name, request_now_ms(r), &why)) {
        request_refuse(r, 404, "%s", buffer_string(&why));
    } else {
        r->filter.queue.states = STATE_ACTIVE | STATE_READY | STATE_DEFERRED |
                                 STATE_HELD | STATE_DELETED;
        queue_list(request_port(r), &r->filter.queue, 0, 1, on_shown, r->token);
        request_wait(r);
    }
    buffer_fini(&why);
}

/* ---------------------------------------------------- count and change --- */

static void answer_count(struct request *r, const struct queue_count *n,
                         const char *mark)
{
    json_t *o = json_pack(
        "{s:I, s:I, s:I}", "messages", (json_int_t)n->messages, "recipients",
        (json_int_t)n->recipients, "bytes", (json_int_t)n->bytes);

    if (mark)
        ASSERT(json_object_set_new(o, mark, json_true()) == 0);
    answer_json(r, o);
}

static void on_count(void *user, uint64_t token, int rc,
                     const struct queue_count *n)
{
    struct request *r = request_find(user, token);

    if (r && rc < 0)
        refuse_queue(r, rc);
    else if (r)
        answer_count(r, n, r->endpoint->run == change ? "preview" : NULL);
}

static void count(struct request *r)
{
    if (!request_read_query(r))
        return;
    queue_count(request_port(r), &r->filter.queue, on_count, r->token);
    request_wait(r);
}

static void on_changed(void *user, uint64_t token, int rc,
                       const struct queue_count *n)
{
    struct request *r = request_find(user, token);

    if (r && rc < 0)
        refuse_queue(r, rc);
    else if (r)
        answer_count(r, n, "changed");
}

/* Missing means false; anything but true and false is a fault. */
static bool is_switch(const json_t *o, const char *name)
{
    const json_t *v = json_object_get(o, name);

    return !v || json_is_boolean(v);
}

/* The body's filters and its two switches; false: refused. */
static bool read_change(struct request *r, bool *out_preview)
{
    static const char *const switches[] = { "yes", "preview", NULL };
    struct buffer why = { 0 };
    json_error_t error;
    json_t *o = json_loadb(r->body.len ? r->body.at : "{}",
                           r->body.len ? r->body.len : 2,
                           JSON_REJECT_DUPLICATES, &error);
    bool is_good = false;

    if (!json_is_object(o)) {
        request_refuse(r, 400, "the body should be a JSON object%s%s",
                       o ? "" : ": ", o ? "" : error.text);
    } else if (!is_switch(o, "yes") || !is_switch(o, "preview")) {
        request_refuse(r, 400, "yes and preview should be true or false");
    } else if (!filter_add_json(&r->filter, o, switches, request_now_ms(r),
                                &why)) {
        request_refuse(r, 400, "%s", buffer_string(&why));
    } else {
        *out_preview = json_is_true(json_object_get(o, "preview"));
        is_good = *out_preview || json_is_true(json_object_get(o, "yes")) ||
                  r->filter.queue.id;
        if (!is_good)
            request_refuse(r, 400,
                           "this may concern many messages: add \"yes\": true, "
                           "or \"preview\": true to count them");
    }
    json_decref(o);
    buffer_fini(&why);
    return is_good;
}

static void change(struct request *r)
{
    bool is_preview;

    if (!read_change(r, &is_preview))
        return;
    if (!r->filter.queue.states)
        r->filter.queue.states = r->endpoint->states;
    if (is_preview)
        queue_count(request_port(r), &r->filter.queue, on_count, r->token);
    else
        queue_change(request_port(r), &r->filter.queue, r->endpoint->change,
                     span_of(r->who), on_changed, r->token);
    request_wait(r);
}
