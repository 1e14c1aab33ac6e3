/*
 * providers - those that mail is fetched from, over HTTP.
 */
#include "relay/admin/providers.h"

#include "relay/admin/listing.h"

#include <stdlib.h>

static void put(json_t *object, const char *key, json_t *value)
{
    ASSERT(value && json_object_set_new(object, key, value) == 0);
}

static json_t *moment(int64_t ms)
{
    return ms ? json_integer(ms / 1000) : json_null();
}

static void put_line(struct buffer *b, const struct admin_fetch *f)
{
    bool is_known = f->result.len > 0;
    json_t *o = json_object();
    char *text;

    put(o, "name", listing_text(f->name));
    put(o, "from", listing_text(f->from));
    put(o, "state", json_string(f->is_running ? "running" : "idle"));
    put(o, "every", json_integer(f->every_ms / 1000));
    put(o, "last", moment(f->last_ms));
    put(o, "next", moment(f->next_ms));
    put(o, "ok", is_known ? json_boolean(f->is_ok) : json_null());
    put(o, "messages", json_integer(f->messages));
    put(o, "refused", json_integer(f->refused));
    put(o, "result", is_known ? listing_text(f->result) : json_null());
    text = json_dumps(o, JSON_COMPACT | JSON_ENSURE_ASCII);
    ASSERT(text);
    buffer_put_string(b, text);
    buffer_put_byte(b, '\n');
    free(text);
    json_decref(o);
}

static void each(void *user, const struct admin_fetch *f)
{
    put_line(&((struct request *)user)->answer, f);
}

void providers_list(struct request *r)
{
    const struct admin_fetches *f = request_fetches(r);

    if (f)
        f->list(f->user, each, r);
    request_go_on(r);
}

static void on_fetched(void *admin, uint64_t token, const struct admin_fetch *f)
{
    struct request *r = request_find(admin, token);

    if (!r)
        return;
    put_line(&r->answer, f);
    request_answer(r, 200);
    request_soon(r);
}

void providers_fetch(struct request *r)
{
    const struct admin_fetches *f = request_fetches(r);

    switch (f ? f->begin(f->user, r->name, on_fetched, r->admin, r->token)
              : ADMIN_FETCH_UNKNOWN) {
    case ADMIN_FETCH_BEGUN:
        request_wait(r);
        return;
    case ADMIN_FETCH_UNKNOWN:
        request_refuse(r, 404, "there is no fetch \"%.*s\"", SPAN_FMT(r->name));
        return;
    case ADMIN_FETCH_NOT_NOW:
        request_refuse(r, 503, "the relay is going down");
        return;
    }
}
