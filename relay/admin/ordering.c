/*
 * ordering - what people want of mail that waits, over HTTP.
 *
 * The body is read whole and checked before anything is asked of the queue. An order whose
 * client has left goes on: what it changed is written down in any case.
 *
 * No filter is no order for everything: who means all of it says so, with "all". But for a
 * retry, which loses nothing and is done to the whole queue every day (postqueue -f).
 */
#include "relay/admin/ordering.h"

#include "policy/route.h"
#include "policy/vocabulary/limits.h"
#include "relay/admin/demand.h"
#include "relay/admin/endpoints.h"
#include "relay/admin/listing.h"

enum { PROGRESS_MOST = 64 * 1024, PROGRESS_WAITING = 16 * 1024 };

/* What a body says. */
struct wish {
    json_t *body;
    bool is_preview, is_sure, is_all, has_progress;
    struct span route, why;
};

/* ------------------------------------------------------------ answers ---- */

static json_t *preview_json(const struct queue_preview *s)
{
    json_t *o = listing_count(&s->count);
    json_t *first = json_array(), *busiest = json_array();

    for (size_t i = 0; i < s->row_count; i++)
        ASSERT(json_array_append_new(first, listing_row(&s->rows[i], false)) ==
               0);
    for (size_t i = 0; i < s->busiest_count; i++)
        ASSERT(json_array_append_new(
                   busiest,
                   json_pack("{s:o, s:I}", "name",
                             listing_text(s->busiest[i].name), "recipients",
                             (json_int_t)s->busiest[i].recipients)) == 0);
    ASSERT(json_object_set_new(o, "preview", json_true()) == 0);
    ASSERT(json_object_set_new(o, "first", first) == 0);
    ASSERT(json_object_set_new(o, "destinations", busiest) == 0);
    ASSERT(json_object_set_new(o, "destination_count",
                               json_integer((json_int_t)s->destinations)) == 0);
    return o;
}

static void on_preview(void *user, uint64_t token, int rc,
                       const struct queue_preview *s)
{
    struct request *r = request_find(user, token);

    if (r && rc < 0)
        request_refuse_queue(r, rc);
    else if (r)
        request_answer_json(r, preview_json(s));
}

static void push_line(struct request *r, json_t *take_o)
{
    struct buffer line = { 0 };

    listing_put_object(&line, take_o);
    (void)request_push(r, buffer_span(&line));
    buffer_fini(&line);
}

/* Who does not read them is told less; there is always room for the end. */
static void on_progress(void *user, uint64_t token, int rc,
                        const struct queue_count *n)
{
    struct request *r = request_find(user, token);

    (void)rc;
    if (r && r->is_push && r->answer.len - r->sent < PROGRESS_WAITING)
        push_line(r, json_pack("{s:o}", "progress", listing_count(n)));
}

static void on_changed(void *user, uint64_t token, int rc,
                       const struct queue_count *n)
{
    struct request *r = request_find(user, token);
    struct buffer why = { 0 };
    json_t *o;

    if (!r)
        return;
    if (rc < 0 && !r->is_push) {
        request_refuse_queue(r, rc);
        return;
    }
    if (rc < 0) {
        buffer_printf(&why, "the queue cannot answer: %s", error_text(rc));
        o = json_pack("{s:s}", "error", buffer_string(&why));
        buffer_fini(&why);
    } else {
        o = listing_count(n);
        ASSERT(json_object_set_new(o, "changed", json_true()) == 0);
        if (n->active)
            ASSERT(json_object_set_new(
                       o, "being_sent",
                       json_integer((json_int_t)n->active)) == 0);
    }
    if (!r->is_push) {
        request_answer_json(r, o);
        return;
    }
    push_line(r, o);
    request_push_end(r);
}

/* ----------------------------------------------------------- the body ---- */

static bool read_text(struct request *r, const json_t *body, const char *name,
                      size_t most, struct span *out)
{
    const char *text = "";

    if (!demand_text(r, body, name, most, &text))
        return false;
    *out = span_of(text);
    return true;
}

/* A move needs a route that there is today. */
static bool read_route(struct request *r, struct wish *w)
{
    const struct settings *settings = request_settings(r);
    struct buffer title = { 0 };
    bool is_there;

    if (!read_text(r, w->body, "route", LIMIT_PATH, &w->route))
        return false;
    if (w->route.len == 0) {
        request_refuse(r, 400, "$.route: should be the title of a route");
        return false;
    }
    is_there = settings && route_titled(settings, w->route);
    if (!is_there) {
        buffer_put_escaped(&title, w->route);
        request_refuse(r, 404, "there is no route \"%s\"",
                       buffer_string(&title));
        buffer_fini(&title);
    }
    return is_there;
}

static bool takes_why(enum queue_change change)
{
    return change == CHANGE_BOUNCE || change == CHANGE_HOLD ||
           change == CHANGE_DELETE;
}

/* What belongs to this order alone. */
static bool read_own(struct request *r, struct wish *w)
{
    if (r->endpoint->change == CHANGE_MOVE)
        return read_route(r, w);
    if (takes_why(r->endpoint->change))
        return read_text(r, w->body, "why", LIMIT_REPLY_STORED / 2, &w->why);
    return true;
}

static bool read_filters(struct request *r, struct wish *w)
{
    static const char *const others[] = { "yes", "preview", "progress", "all",
                                          NULL };
    static const char *const of_move[] = { "yes", "preview", "progress",
                                           "all", "route",   NULL };
    static const char *const with_why[] = { "yes", "preview", "progress",
                                            "all", "why",     NULL };
    const char *const *except = r->endpoint->change == CHANGE_MOVE ? of_move
                                : takes_why(r->endpoint->change) ? with_why
                                                                 : others;
    struct buffer why = { 0 };
    bool is_good =
        filter_add_json(&r->filter, w->body, except, request_now_ms(r), &why);

    if (!is_good)
        request_refuse(r, 400, "%s", buffer_string(&why));
    buffer_fini(&why);
    return is_good;
}

/* Is it said what is meant? */
static bool is_meant(struct request *r, const struct wish *w)
{
    if (w->is_all && r->filter.seen)
        request_refuse(r, 400, "$.all: goes with no filter");
    else if (!w->is_all && !w->is_preview && !r->filter.seen &&
             r->endpoint->change != CHANGE_RETRY)
        request_refuse(r, 400,
                       "this would concern the whole queue: name what is "
                       "meant, or add \"all\": true");
    else
        return true;
    return false;
}

/* False: refused. */
static bool read_wish(struct request *r, struct wish *w)
{
    w->body = demand_read(r);
    if (!w->body)
        return false;
    if (!demand_switch(r, w->body, "yes", &w->is_sure) ||
        !demand_switch(r, w->body, "preview", &w->is_preview) ||
        !demand_switch(r, w->body, "all", &w->is_all) ||
        !demand_switch(r, w->body, "progress", &w->has_progress) ||
        !read_own(r, w) || !read_filters(r, w))
        return false;
    if (w->is_preview || w->is_sure || r->filter.queue.id)
        return is_meant(r, w);
    request_refuse(r, 400,
                   "this may concern many messages: add \"yes\": true, or "
                   "\"preview\": true to count them");
    return false;
}

static void order(struct request *r, const struct wish *w)
{
    struct queue_order o = {
        .change = r->endpoint->change,
        .filter = &r->filter.queue,
        .who = span_of(r->who),
        .route = w->route,
        .why = w->why,
        .progress = w->has_progress ? on_progress : NULL,
    };

    queue_order(request_port(r), &o, on_changed, r->token);
    if (w->has_progress)
        request_push_begin(r, PROGRESS_MOST);
    else
        request_wait(r);
}

void ordering_change(struct request *r)
{
    struct wish w = { 0 };

    if (read_wish(r, &w)) {
        if (!r->filter.queue.states)
            r->filter.queue.states = r->endpoint->states;
        if (w.is_preview) {
            queue_preview(request_port(r), &r->filter.queue, on_preview,
                          r->token);
            request_wait(r);
        } else {
            order(r, &w);
        }
    }
    json_decref(w.body);
}
