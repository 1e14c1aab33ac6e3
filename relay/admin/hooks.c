/*
 * hooks - those who are told over HTTPS what became of mail, as people see them.
 */
#include "relay/admin/hooks.h"

#include "relay/admin/listing.h"

static const char *const states[] = {
    [ADMIN_WEBHOOK_OK] = "ok",
    [ADMIN_WEBHOOK_WAITING] = "waiting",
    [ADMIN_WEBHOOK_FAILING] = "failing",
};

static json_t *number(uint64_t n)
{
    return json_integer((json_int_t)n);
}

static json_t *object_of(const struct admin_webhook *w)
{
    json_t *o = json_object(), *events = json_array();

    for (unsigned i = 0; i < WEBHOOK_EVENTS; i++)
        if (w->events & 1u << i)
            ASSERT(json_array_append_new(
                       events, json_string(settings_webhook_events[i])) == 0);
    listing_set(o, "name", listing_text(w->name));
    listing_set(o, "host", listing_text(w->host));
    listing_set(o, "events", events);
    listing_set(o, "state", json_string(states[w->state]));
    listing_set(o, "behind", number(w->behind));
    listing_set(o, "sent", number(w->sent));
    listing_set(o, "lost", number(w->lost));
    listing_set(o, "failures", number(w->failures));
    listing_set(o, "status", w->status ? number(w->status) : json_null());
    listing_set(o, "last", listing_moment(w->last_ms));
    listing_set(o, "next", listing_moment(w->next_ms));
    listing_set(o, "last_error",
                w->error.len ? listing_text(w->error) : json_null());
    return o;
}

static void put_line(void *user, const struct admin_webhook *w)
{
    struct request *r = user;

    listing_put_object(&r->answer, object_of(w));
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
