/*
 * entrance - the listening sockets, and the way from them to a worker.
 */
#include "relay/main/entrance.h"

#include "policy/vocabulary/memory.h"
#include "policy/vocabulary/remedy.h"
#include "relay/inbound/intake.h"
#include "relay/main/doorstep.h"
#include "relay/net/gauge.h"
#include "relay/net/listener.h"

#include <stdlib.h>

enum { LISTENERS_MOST = 64 };

struct entrance {
    uv_loop_t *loop;
    struct worker *const *workers;
    unsigned worker_count, next_worker;
    struct census *census;
    struct gauge *gauge;
    struct settings *settings;
    struct listener *listeners[LISTENERS_MOST];
    size_t listener_count;
    struct doorstep *doorstep;
};

/* One connection on its way to a worker. */
struct arrival {
    int fd;
    struct settings *settings;
    size_t listener;
    struct host_address client;
};

struct entrance *entrance_new(uv_loop_t *loop, struct worker *const *workers,
                              unsigned worker_count, struct census *census,
                              struct gauge *gauge, struct doorstep *doorstep)
{
    struct entrance *e = NEW(struct entrance);

    e->loop = loop;
    e->workers = workers;
    e->worker_count = worker_count;
    e->census = census;
    e->gauge = gauge;
    e->doorstep = doorstep;
    return e;
}

static void task_accept(struct worker *w, void *arg)
{
    struct arrival *a = arg;

    intake_accept(w->intake, a->fd, a->settings, a->listener, &a->client);
    settings_release(a->settings);
    free(a);
}

/* The fewest sessions; among equals, by turns. */
static struct worker *least_busy(struct entrance *e)
{
    struct worker *best = NULL;

    for (unsigned i = 0; i < e->worker_count; i++) {
        struct worker *w = e->workers[(e->next_worker + i) % e->worker_count];

        if (!best || atomic_load(&w->sessions) < atomic_load(&best->sessions))
            best = w;
    }
    e->next_worker++;
    return best;
}

static void turn_away(struct entrance *e, const struct listener_settings *ls,
                      int fd, const struct host_address *peer,
                      enum gauge_counter why, const char *words)
{
    gauge_count(e->gauge, why);
    gauge_refused(e->gauge, gauge_listener(e->gauge, ls->title),
                  GAUGE_AT_CONNECT);
    intake_turn_away(fd, peer, words);
}

static void on_accepted(void *user, const struct listener *l, int fd,
                        const struct host_address *peer)
{
    struct entrance *e = user;
    const struct listener_settings *ls =
        &e->settings->listeners[listener_index(l)];
    struct arrival *a;
    struct worker *w;

    if (intake_is_for_proxies(ls)) {
        if (!networks_have(&ls->proxy, peer)) {
            turn_away(e, ls, fd, peer, GAUGE_STRANGE_PROXY,
                      "421 4.7.0 You are no proxy of ours");
            return;
        } /* the intake counts whom the proxy names */
    } else if (!census_enter(e->census, peer,
                             e->settings->limits.sessions_per_client)) {
        turn_away(e, ls, fd, peer, GAUGE_CROWDED, INTAKE_TOO_MANY);
        return;
    }
    a = NEW(struct arrival);
    *a = (struct arrival){ fd, settings_hold(e->settings), listener_index(l),
                           *peer };
    w = least_busy(e);
    atomic_fetch_add(&w->sessions, 1);
    worker_post(w, task_accept, a);
}

/* Out of those that are open, if its address is among them. */
static struct listener *take_open(struct entrance *e,
                                  const struct listener_settings *l)
{
    for (size_t k = 0; k < e->listener_count; k++) {
        struct listener *open = e->listeners[k];

        if (open && listener_is_at(open, &l->host, l->port)) {
            e->listeners[k] = NULL;
            return open;
        }
    }
    return NULL;
}

static void close_rest(struct entrance *e)
{
    for (size_t k = 0; k < e->listener_count; k++)
        if (e->listeners[k])
            listener_close(e->listeners[k]);
    e->listener_count = 0;
}

static void complain(struct buffer *out_why, const struct listener_settings *l,
                     int rc)
{
    if (out_why->len)
        return;
    buffer_printf(out_why, "%s:%u:%u: cannot listen on %.*s",
                  l->place.file ? l->place.file : "built-in configuration",
                  l->place.line, l->place.column, SPAN_FMT(l->address));
    remedy_put_listening(out_why, rc);
}

int entrance_open(struct entrance *e, struct settings *s, struct buffer *out_why)
{
    struct listener *now[LISTENERS_MOST];
    size_t count = 0;
    int failed = 0, rc;

    for (size_t i = 0; i < s->listener_count && count < LISTENERS_MOST; i++) {
        const struct listener_settings *l = &s->listeners[i];
        struct listener *open = take_open(e, l);

        if (!open && (rc = listener_open(&open, e->loop, &l->host, l->port,
                                         doorstep_take(e->doorstep, l->title,
                                                       &l->host, l->port),
                                         on_accepted, e)) < 0) {
            rc = doorstep_reason(e->doorstep, &l->host, l->port, rc);
            complain(out_why, l, rc);
            failed = rc;
            continue;
        }
        listener_set_index(open, i);
        now[count++] = open;
    }
    close_rest(e);
    for (size_t k = 0; k < count; k++)
        e->listeners[k] = now[k];
    e->listener_count = count;
    settings_hold(s);
    settings_release(e->settings);
    e->settings = s;
    return failed;
}

bool entrance_is_whole(const struct entrance *e)
{
    return e->settings && e->listener_count == e->settings->listener_count;
}

void entrance_close(struct entrance *e)
{
    close_rest(e);
}

void entrance_free(struct entrance *e)
{
    if (!e)
        return;
    ASSERT(e->listener_count == 0);
    settings_release(e->settings);
    free(e);
}
