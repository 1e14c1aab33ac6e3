/*
 * events - what happens, told over HTTP while it happens.
 *
 * A follower is a reader of the feed and a request that is pushed to. A timer, which runs
 * only while there is one, empties the feed into the requests. From who has not read what
 * was pushed nothing more is taken: then the feed leaves out and counts.
 */
#include "relay/admin/events.h"

#include "policy/vocabulary/memory.h"
#include "relay/admin/admin_private.h"
#include "relay/admin/flow.h"
#include "relay/net/feed.h"

#include <stdlib.h>

enum {
    PUSH_MS = 150,
    TICK_MS = 1000,
    UNREAD_MOST = 64 * 1024, /* so much may be unread when more is taken */
    PUSH_MOST = UNREAD_MOST + FEED_HOLDS + 4096,
};

struct follower {
    struct follower *next;
    struct events *events;
    struct feed_reader *feed;
    uint64_t token;
    uint64_t tick; /* of the loop's time: the next one */
};

struct events {
    uv_loop_t *loop;
    uv_timer_t timer;
    struct admin *admin;
    struct follower *followers;
};

/* ------------------------------------------------------------ pushing ---- */

static void put_tick(const struct request *r, struct buffer *b)
{
    json_t *o = flow_now(request_flow(r));
    char *text = json_dumps(o, JSON_COMPACT);

    ASSERT(text);
    buffer_printf(b, "event: tick\ndata: %s\n\n", text);
    free(text);
    json_decref(o);
}

static void push(struct follower *f, struct request *r)
{
    uint64_t now = uv_now(f->events->loop);
    struct buffer b = { 0 };

    if (r->answer.len - r->sent > UNREAD_MOST)
        return;
    feed_take(f->feed, &b);
    if (now >= f->tick) {
        f->tick = now + TICK_MS;
        feed_put_omitted(f->feed, &b);
        put_tick(r, &b);
    }
    if (b.len) {
        bool has_room = request_push(r, buffer_span(&b));

        ASSERT(has_room);
    }
    buffer_fini(&b);
}

static void on_timer(uv_timer_t *timer)
{
    struct events *e = timer->data;

    for (struct follower *f = e->followers; f; f = f->next) {
        struct request *r = request_find(e->admin, f->token);

        ASSERT(r); /* on_gone takes it out */
        push(f, r);
    }
}

/* ---------------------------------------------------------- followers ---- */

static void on_gone(struct request *r, void *user)
{
    struct follower *f = user, **at = &f->events->followers;

    (void)r;
    while (*at != f)
        at = &(*at)->next;
    *at = f->next;
    if (!f->events->followers)
        (void)uv_timer_stop(&f->events->timer);
    feed_close(f->feed);
    free(f);
}

/* False: answered with what is wrong. */
static bool read_filter(struct request *r, struct feed_filter *out)
{
    const char *kinds = request_parameter(r, "kinds");
    const char *match = request_parameter(r, "match");
    struct buffer why = { 0 };
    bool is_good = true;

    out->match = span_of(match);
    if (out->match.len > FEED_MATCH_MOST) {
        request_refuse(r, 400, "match: longer than %d bytes", FEED_MATCH_MOST);
        is_good = false;
    } else if (kinds && !feed_read_kinds(span_of(kinds), &out->kinds, &why)) {
        request_refuse(r, 400, "kinds: %s", buffer_string(&why));
        is_good = false;
    }
    buffer_fini(&why);
    return is_good;
}

void events_get(struct request *r)
{
    struct events *e = r->admin->events;
    struct feed_filter filter = { 0 };
    struct feed_reader *feed;
    struct follower *f;

    if (!read_filter(r, &filter))
        return;
    feed = feed_open(&filter);
    if (!feed) {
        request_refuse(r, 503, "%d look on already", FEED_READERS_MOST);
        return;
    }
    f = NEW(struct follower);
    *f = (struct follower){ e->followers, e, feed, r->token, uv_now(e->loop) };
    if (!e->followers)
        (void)uv_timer_start(&e->timer, on_timer, PUSH_MS, PUSH_MS);
    e->followers = f;
    r->gone = on_gone;
    r->gone_user = f;
    /* a comment, so that the header leaves at once; who is cut off comes back in 2 s */
    buffer_put_string(&r->answer, ": what happens\nretry: 2000\n\n");
    request_push_begin(r, PUSH_MOST);
}

/* -------------------------------------------------- beginning and end ---- */

struct events *events_open(uv_loop_t *loop, struct admin *a)
{
    struct events *e = NEW(struct events);

    e->loop = loop;
    e->admin = a;
    (void)uv_timer_init(loop, &e->timer);
    e->timer.data = e;
    return e;
}

static void on_closed(uv_handle_t *handle)
{
    free(handle->data);
}

void events_close(struct events *e)
{
    ASSERT(!e->followers);
    uv_close((uv_handle_t *)&e->timer, on_closed);
}
