/*
 * queue_act - waypost queue retry, hold, delete, bounce, move ...
 *
 * What would change more than one message is only announced; --yes does it, and a terminal
 * sees how far it is.
 */
#include "policy/vocabulary/memory.h"
#include "relay/admin/listing.h"
#include "relay/main/queue_call.h"
#include "relay/main/queue_print.h"

#include <stdio.h>
#include <string.h>
#include <sysexits.h>
#include <time.h>
#include <unistd.h>

/* An order does not stop what is under way. */
static void put_left_alone(struct buffer *b, const json_t *count)
{
    long long n = (long long)paper_number(count, "being_sent");

    if (n)
        buffer_printf(b, "%s%lld recipient%s being sent now and %s left alone.",
                      b->len ? " " : "", n, n == 1 ? " is" : "s are",
                      n == 1 ? "was" : "were");
}

/* One host of several that a route names is not the name of a destination. */
static void put_about_via(struct buffer *b, const struct queue_call *o)
{
    const char *via = json_string_value(json_object_get(o->filters, "via"));

    if (via && !strpbrk(via, "*?"))
        buffer_put_string(b, " (--via is a whole name, as `waypost dest list` "
                             "shows it, or a pattern with *.)");
}

/* A message that is named is there, but not one for this order. */
static void put_about_id(struct buffer *b, const struct queue_call *o)
{
    static const struct {
        const char *name, *what;
    } hints[] = {
        { "retry", "what is held needs release" },
        { "hold", "or it is held already" },
        { "release", "or it is not held" },
        { "undelete", "or it is not deleted" },
    };

    for (size_t i = 0; i < sizeof hints / sizeof *hints; i++)
        if (json_object_get(o->filters, "id") &&
            strcmp(o->name, hints[i].name) == 0)
            buffer_printf(b, " (%s: waypost queue show tells.)",
                          hints[i].what);
}

/* What was done, or would be. */
static void print_change(const struct queue_call *o, const json_t *count,
                         bool is_done)
{
    struct buffer b = { 0 };
    struct paper p = queue_call_paper(o, &b, count);

    if (o->json) {
        paper_print_json(count);
        return;
    }
    if (json_integer_value(json_object_get(count, "messages")) == 0) {
        put_left_alone(&b, count);
        if (!b.len) {
            buffer_put_string(&b, "Nothing matches.");
            put_about_via(&b, o);
            put_about_id(&b, o);
        }
        (void)puts(buffer_string(&b));
        buffer_fini(&b);
        return;
    }
    if (!is_done)
        queue_print_preview(&p, time(NULL), o->width);
    paper_begin(&p, is_done ? PAPER_GOOD : PAPER_DOUBTFUL);
    listing_put_count(&b, count);
    if (is_done) {
        buffer_printf(&b, ": %s.", o->done);
        put_left_alone(&b, count);
    } else {
        buffer_printf(&b, " match. Nothing was changed; with --yes: %s.",
                      o->done);
    }
    paper_end(&p, is_done ? PAPER_GOOD : PAPER_DOUBTFUL);
    buffer_put_byte(&b, '\n');
    paper_print(&b);
    buffer_fini(&b);
}

void queue_act_draw_bar(const struct queue_call *o, int64_t done)
{
    enum { CELLS = 40 };
    int64_t all = o->expected > done ? o->expected : done;
    int full = all ? (int)(done * CELLS / all) : CELLS;

    (void)fprintf(stderr, "\r[%.*s%*s] %lld of %lld", full,
                  "########################################", CELLS - full, "",
                  (long long)done, (long long)all);
    (void)fflush(stderr);
}

static bool take_line(void *user, const json_t *line)
{
    const json_t *progress = json_object_get(line, "progress");
    struct queue_call *o = user;

    if (!progress) {
        json_decref(o->answer);
        o->answer = json_deep_copy(line);
    } else if (o->has_bar) {
        queue_act_draw_bar(o, paper_number(progress, "messages"));
    }
    return true;
}

static json_t *change_body(const struct queue_call *o)
{
    json_t *body = json_deep_copy(o->filters);

    ASSERT(body);
    if (o->route)
        (void)json_object_set_new(body, "route", json_string(o->route));
    if (o->all)
        (void)json_object_set_new(body, "all", json_true());
    if (o->why)
        (void)json_object_set_new(body, "why", json_string(o->why));
    return body;
}

/* For the bar: how many is it about? */
static int64_t expect(struct queue_call *o, const char *path)
{
    json_t *body = change_body(o), *count = NULL;
    int64_t messages = 0;

    (void)json_object_set_new(body, "preview", json_true());
    if (ask_one(o->ask, path, body, &count) == EX_OK)
        messages = paper_number(count, "messages");
    json_decref(body);
    json_decref(count);
    return messages;
}

static int order(struct queue_call *o, const char *path, json_t *body)
{
    if (queue_call_is_many(o))
        return queue_many_order(o, path, body);
    if (o->has_bar) {
        (void)json_object_set_new(body, "progress", json_true());
        o->expected = expect(o, path);
    }
    return ask_stream(o->ask, path, body, take_line, o);
}

int queue_act(struct queue_call *o)
{
    bool has_id = o->ids.count == 1;
    bool is_done = o->yes || has_id;
    json_t *body = change_body(o);
    struct buffer path = { 0 };
    int rc = EX_OK;

    buffer_printf(&path, "/queue/%s", o->name);
    o->has_bar = is_done && !has_id && !o->json && isatty(STDERR_FILENO);
    (void)json_object_set_new(body, is_done ? "yes" : "preview", json_true());
    rc = order(o, buffer_string(&path), body);
    if (o->has_bar)
        (void)fputs("\r\033[K", stderr);
    if (rc == EX_OK && !o->answer) {
        (void)fputs("waypost: the relay said nothing\n", stderr);
        rc = EX_TEMPFAIL;
    }
    if (rc == EX_OK ||
        (queue_call_is_many(o) && paper_number(o->answer, "messages")))
        print_change(o, o->answer, is_done);
    if (rc == EX_OK && !o->json)
        queue_many_print_unmatched(o);
    json_decref(body);
    json_decref(o->answer);
    buffer_fini(&path);
    return rc;
}
