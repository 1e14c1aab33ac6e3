/*
 * hooks - those who are told over HTTPS what became of mail, as people see them.
 */
#include "relay/admin/hooks.h"

#include "relay/admin/listing.h"

#include <stdlib.h>

static const char *const states[] = {
    [ADMIN_WEBHOOK_OK] = "ok",
    [ADMIN_WEBHOOK_WAITING] = "waiting",
    [ADMIN_WEBHOOK_FAILING] = "failing",
};

static void put(json_t *object, const char *key, json_t *value)
{
    ASSERT(value && json_object_set_new(object, key, value) == 0);
}

static json_t *number(uint64_t n)
{
    return json_integer((json_int_t)n);
}

static json_t *moment(int64_t ms)
{
    return ms ? json_integer(ms / 1000) : json_null();
}

static json_t *object_of(const struct admin_webhook *w)
{
    json_t *o = json_object(), *events = json_array();

    for (unsigned i = 0; i < WEBHOOK_EVENTS; i++)
        if (w->events & 1u << i)
            ASSERT(json_array_append_new(
                       events, json_string(settings_webhook_events[i])) == 0);
    put(o, "name", listing_text(w->name));
    put(o, "host", listing_text(w->host));
    put(o, "events", events);
    put(o, "state", json_string(states[w->state]));
    put(o, "behind", number(w->behind));
    put(o, "sent", number(w->sent));
    put(o, "lost", number(w->lost));
    put(o, "failures", number(w->failures));
    put(o, "status", w->status ? number(w->status) : json_null());
    put(o, "last", moment(w->last_ms));
    put(o, "next", moment(w->next_ms));
    put(o, "last_error", w->error.len ? listing_text(w->error) : json_null());
    return o;
}

static void put_line(void *user, const struct admin_webhook *w)
{
    struct request *r = user;
    json_t *o = object_of(w);
    char *text = json_dumps(o, JSON_COMPACT | JSON_ENSURE_ASCII);

    ASSERT(text);
    buffer_put_string(&r->answer, text);
    buffer_put_byte(&r->answer, '\n');
    free(text);
    json_decref(o);
}

static void add(void *user, const struct admin_webhook *w)
{
    ASSERT(json_array_append_new(user, object_of(w)) == 0);
}

json_t *hooks_array(const struct request *r)
{
    const struct admin_webhooks *w = request_webhooks(r);
    json_t *all = json_array();

    if (w)
        w->list(w->user, add, all);
    return all;
}

void hooks_list(struct request *r)
{
    const struct admin_webhooks *w = request_webhooks(r);

    if (w)
        w->list(w->user, put_line, r);
    request_go_on(r);
}

void hooks_retry(struct request *r)
{
    static const struct span order = SPAN_INIT("/retry");
    const struct admin_webhooks *w = request_webhooks(r);
    struct span name = r->name;

    if (!span_ends_nocase(name, order))
        request_refuse(r, 404, "there is nothing at this path");
    else if (name.len -= order.len, !w || !w->retry(w->user, name, put_line, r))
        request_refuse(r, 404, "there is no webhook \"%.*s\"", SPAN_FMT(name));
    else
        request_answer(r, 200);
}
