/*
 * providers - those that mail is fetched from, over HTTP.
 */
#include "relay/admin/providers.h"

#include "relay/admin/listing.h"

static void put_line(struct buffer *b, const struct admin_fetch *f)
{
    bool is_known = f->result.len > 0;
    json_t *o = json_object();

    listing_set(o, "name", listing_text(f->name));
    listing_set(o, "from", listing_text(f->from));
    listing_set(o, "state", json_string(f->is_running ? "running" : "idle"));
    listing_set(o, "every", json_integer(f->every_ms / 1000));
    listing_set(o, "last", listing_moment(f->last_ms));
    listing_set(o, "next", listing_moment(f->next_ms));
    listing_set(o, "ok", is_known ? json_boolean(f->is_ok) : json_null());
    listing_set(o, "messages", json_integer(f->messages));
    listing_set(o, "refused", json_integer(f->refused));
    listing_set(o, "result", is_known ? listing_text(f->result) : json_null());
    listing_put_object(b, o);
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
