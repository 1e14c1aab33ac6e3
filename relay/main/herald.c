/*
 * herald - tells those that the webhooks name what became of mail.
 *
 * Which webhooks there are, when each has its turn, and what people may ask of them.
 */
#include "relay/main/herald_private.h"

#include "policy/vocabulary/memory.h"
#include "relay/net/log.h"
#include "relay/net/worker.h"
#include "relay/outbound/weburl.h"

#include <stdlib.h>

/* ----------------------------------------------------------- schedule ---- */

static void on_timer(uv_timer_t *timer)
{
    herald_look(timer->data);
}

void herald_look(struct herald *h)
{
    uint64_t now = uv_now(h->loop), first = UINT64_MAX;

    if (h->is_stopping)
        return;
    for (struct hook *k = h->hooks; k; k = k->next) {
        if (k->state != HOOK_RESTS)
            continue;
        if (k->due <= now)
            herald_round(k);
        else if (k->due < first)
            first = k->due;
    }
    if (first == UINT64_MAX)
        (void)uv_timer_stop(&h->timer);
    else
        (void)uv_timer_start(&h->timer, on_timer, first - now, 0);
}

struct hook *herald_find(struct herald *h, uint64_t token)
{
    struct hook *k = h->hooks;

    while (k && k->token != token)
        k = k->next;
    return k;
}

/* ----------------------------------------------------------- settings ---- */

static unsigned what_of(unsigned events)
{
    static const unsigned what[WEBHOOK_EVENTS] = {
        [WEBHOOK_DELIVERED] = WHAT_DELIVERED,
        [WEBHOOK_FAILED] = WHAT_FAILED,
        [WEBHOOK_EXPIRED] = WHAT_EXPIRED,
        [WEBHOOK_DISCARDED] = WHAT_DISCARDED,
        [WEBHOOK_DELETED] = WHAT_DELETED,
        [WEBHOOK_RETURNED] = WHAT_RETURNED,
        [WEBHOOK_CHANGED] = WHAT_CHANGED,
    };
    unsigned all = 0;

    for (unsigned i = 0; i < WEBHOOK_EVENTS; i++)
        if (events & 1u << i)
            all |= what[i];
    return all;
}

static void replace(struct span *own, struct span s)
{
    free((char *)own->at);
    *own = span_make(span_dup(s), s.len);
}

static struct hook **find_place(struct hook **list, struct span title)
{
    while (*list && !span_is((*list)->title, title))
        list = &(*list)->next;
    return list;
}

static struct hook *find(struct hook *list, struct span title)
{
    return *find_place(&list, title);
}

static void hook_free(struct hook *k)
{
    herald_give_up(k);
    free((char *)k->title.at);
    free((char *)k->url.at);
    free((char *)k->secret_file.at);
    free((char *)k->authorities.at);
    buffer_fini(&k->error);
    free(k);
}

/* As it is configured now; it is tried at once, since somebody may have mended it. */
static void configure(struct hook *k, const struct webhook_settings *s)
{
    if (k->state == HOOK_POSTS && !span_is(k->url, s->url))
        herald_give_up(k);
    replace(&k->title, s->title);
    replace(&k->url, s->url);
    replace(&k->secret_file, s->secret_file);
    replace(&k->authorities, s->authorities);
    k->events = s->events;
    k->what = what_of(s->events);
    k->batch = s->batch;
    k->due = uv_now(k->herald->loop);
}

static void forget(struct herald *h, struct span title)
{
    queue_note_put(h->queue, SPAN("webhook"), title, SPAN(""), 0);
}

void herald_reload(struct herald *h, const struct settings *s)
{
    struct hook *old = h->hooks, **end = &h->hooks;

    h->hooks = NULL;
    for (size_t i = 0; i < s->webhook_count; i++) {
        struct hook **at = find_place(&old, s->webhooks[i].title), *k = *at;

        if (k) {
            *at = k->next;
        } else {
            k = NEW(struct hook);
            k->herald = h;
        }
        configure(k, &s->webhooks[i]);
        k->next = NULL;
        *end = k;
        end = &k->next;
    }
    for (struct hook *k = old, *next; k; k = next) {
        next = k->next;
        forget(h, k->title);
        hook_free(k);
    }
    herald_look(h);
}

/* --------------------------------------------------------- what people ask - */

static uint64_t behind(const struct hook *k)
{
    if (!k->has_place || k->told >= k->newest)
        return 0;
    return k->newest - (k->told + 1 < k->oldest ? k->oldest - 1 : k->told);
}

static void describe(const struct hook *k, struct buffer *host,
                     struct admin_webhook *out)
{
    weburl_put_host(host, k->url);
    *out = (struct admin_webhook){
        .name = k->title,
        .host = buffer_span(host),
        .state = k->failures              ? ADMIN_WEBHOOK_FAILING
                 : k->state == HOOK_POSTS ? ADMIN_WEBHOOK_WAITING
                                          : ADMIN_WEBHOOK_OK,
        .events = k->events,
        .behind = behind(k),
        .sent = k->sent,
        .lost = k->lost,
        .failures = k->failures,
        .status = k->status,
        .last_ms = k->good_ms,
        .error = buffer_span(&k->error),
    };
    if (k->failures && k->state == HOOK_RESTS)
        out->next_ms = wall_ms() + (int64_t)(k->due - uv_now(k->herald->loop));
}

static void tell_of(const struct hook *k, admin_webhook_fn *each, void *user)
{
    struct buffer host = { 0 };
    struct admin_webhook what;

    describe(k, &host, &what);
    each(user, &what);
    buffer_fini(&host);
}

static void list(void *user, admin_webhook_fn *each, void *each_user)
{
    struct herald *h = user;

    for (struct hook *k = h->hooks; k; k = k->next)
        tell_of(k, each, each_user);
}

static bool retry(void *user, struct span name, admin_webhook_fn *each,
                  void *each_user)
{
    struct herald *h = user;
    struct hook *k = find(h->hooks, name);

    if (!k)
        return false;
    k->due = uv_now(h->loop);
    herald_look(h);
    tell_of(k, each, each_user);
    return true;
}

const struct admin_webhooks herald_admin = { .list = list, .retry = retry };

/* ----------------------------------------------------- beginning and end --- */

/* Any thread. */
static void on_wake(void *user)
{
    (void)uv_async_send(&((struct herald *)user)->async);
}

static void on_async(uv_async_t *async)
{
    struct herald *h = async->data;

    if (h->port)
        queue_port_drain(h->port);
}

static const struct queue_port_events port_events = { .wake = on_wake };

static void on_note(void *user, struct span title, struct span value)
{
    struct herald *h = user;
    struct hook *k = find(h->hooks, title);

    if (k)
        k->has_place = span_number(value, &k->told);
    else
        forget(h, title);
}

struct herald *herald_open(uv_loop_t *loop, struct queue *q,
                           const struct settings *s)
{
    struct herald *h = NEW(struct herald);
    int rc;

    h->loop = loop;
    h->queue = q;
    (void)uv_timer_init(loop, &h->timer);
    ASSERT(uv_async_init(loop, &h->async, on_async) == 0);
    h->timer.data = h->async.data = h;
    h->open_handles = 2;
    h->port = queue_port_open(q, &port_events, h);
    h->desk = webpost_desk_open(loop);
    h->is_stopping = true; /* until the places are known */
    herald_reload(h, s);
    rc = queue_notes(q, SPAN("webhook"), on_note, h);
    if (rc < 0)
        log_text(LOG_WARNING,
                 "how far the webhooks have got cannot be read (%s): they "
                 "begin with now",
                 error_text(rc));
    h->is_stopping = false;
    herald_look(h);
    return h;
}

void herald_stop(struct herald *h)
{
    h->is_stopping = true;
    (void)uv_timer_stop(&h->timer);
    for (struct hook *k = h->hooks; k; k = k->next)
        herald_give_up(k);
}

static void on_closed(uv_handle_t *handle)
{
    struct herald *h = handle->data;

    if (--h->open_handles == 0)
        free(h);
}

void herald_close(struct herald *h)
{
    h->is_stopping = true;
    for (struct hook *k = h->hooks, *next; k; k = next) {
        next = k->next;
        hook_free(k);
    }
    h->hooks = NULL;
    webpost_desk_close(h->desk);
    queue_port_close(h->port);
    h->port = NULL;
    uv_close((uv_handle_t *)&h->timer, on_closed);
    uv_close((uv_handle_t *)&h->async, on_closed);
}
