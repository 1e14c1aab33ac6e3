/*
 * intake - from accepted connection to queued message: the worker's side.
 */
#include "relay/inbound/intake_private.h"

#include "policy/vocabulary/memory.h"
#include "relay/inbound/inquest.h"
#include "relay/inbound/policyserver.h"
#include "relay/net/gauge.h"
#include "relay/net/log.h"

#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

enum { SHUT_DOWN_MS = 8000 };     /* then sessions are cut */

/* ----------------------------------------------------- the worker's side ---- */

void intake_open(struct worker *w, struct census *census)
{
    w->intake = NEW(struct intake);
    w->intake->worker = w;
    w->intake->census = census;
    w->intake->servers = policyserver_open(w);
}

bool intake_is_for_proxies(const struct listener_settings *l)
{
    return l->proxy.v4_count + l->proxy.v6_count > 0;
}

void intake_turn_away(int fd, const struct host_address *peer,
                      const char *words)
{
    struct buffer address = { 0 };
    struct buffer line = { 0 };

    buffer_printf(&line, "%s\r\n", words);
    (void)!send(fd, line.at, line.len, MSG_NOSIGNAL | MSG_DONTWAIT);
    (void)close(fd);
    host_address_print(&address, peer);
    log_put(&(struct log_line){
        .event = LOG_REFUSED, .stage = SPAN("CONNECT"), .host = SPAN("unknown"),
        .address = buffer_span(&address), .protocol = SPAN("SMTP"),
        .text = span_of(words) });
    buffer_fini(&address);
    buffer_fini(&line);
}

/* Nobody asks any more, and the resolver goes next. */
static void become_empty(struct intake *i)
{
    policyserver_hang_up(i->servers);
    i->empty(i->worker);
}

void intake_gone(struct intake *i)
{
    i->count--;
    atomic_fetch_sub(&i->worker->sessions, 1);
    if (i->count == 0 && i->empty)
        become_empty(i);
}

struct visit *intake_begin(struct intake *i, struct settings *settings,
                           const struct listener_settings *listener,
                           const struct host_address *client,
                           const struct session_client *more)
{
    struct visit *v = NEW(struct visit);
    struct session_client who = *more;

    who.address = *client;
    if (!who.name.len)
        who.name = SPAN("unknown");
    who.id = queue_new_id(i->worker->queue);
    who.self = &v->session;

    v->intake = i;
    v->client = *client;
    v->settings = settings_hold(settings);
    v->listener = listener;
    v->gauge = gauge_listener(i->worker->gauge, listener->title);
    gauge_opened(i->worker->gauge, v->gauge);
    v->world = intake_world;
    v->world.user = v;
    v->token = registry_put(&i->registry, v);
    inquest_attach(v);
    v->next = i->visits;
    v->here = &i->visits;
    if (v->next)
        v->next->here = &v->next;
    i->visits = v;
    intake_login_offer(v, &who);
    v->session = session_new(v->settings, v->listener, &who, &v->world,
                             wall_ms());
    return v;
}

void intake_set_off(struct visit *v)
{
    if (!v->conn.is_closing && v->intake->cut_ms)
        session_shut_down(v->session, SESSION_GOING_DOWN, wall_ms());
    intake_pump_attend(v);
}

void intake_admit(struct intake *i, int fd, struct settings *settings,
                  size_t listener, const struct host_address *client,
                  bool is_counted)
{
    struct visit *v = intake_begin(i, settings, &settings->listeners[listener],
                                   client, &(struct session_client){ .uid = 0 });

    v->is_counted = is_counted;
    if (conn_open(&v->conn, i->worker, fd, &intake_pump_events, v) < 0)
        conn_close(&v->conn);
    intake_set_off(v);
}

void intake_accept(struct intake *i, int fd, struct settings *settings,
                   size_t listener, const struct host_address *client)
{
    if (intake_is_for_proxies(&settings->listeners[listener])) {
        intake_proxy_wait(i, fd, settings, listener, client);
        return;
    }
    i->count++;
    intake_admit(i, fd, settings, listener, client, true);
}

void intake_tick(struct intake *i)
{
    int64_t now = wall_ms();

    intake_proxy_tick(i, now);
    inquest_tick(i, now);
    policyserver_tick(i->servers, now);
    for (struct visit *v = i->visits, *next; v; v = next) {
        next = v->next;
        if (v->conn.is_closing)
            continue;
        if (v->conn.is_lingering ? now >= v->cut_ms
                                 : i->cut_ms && now >= i->cut_ms) {
            conn_close(&v->conn);
        } else if (!v->conn.is_lingering && !v->is_storing &&
                   now >= session_deadline_ms(v->session)) {
            session_timeout(v->session, now);
            intake_pump_go_on(v); /* after a pause: what came meanwhile */
        }
    }
}

void intake_eased(struct intake *i)
{
    for (struct visit *v = i->visits, *next; v; v = next) {
        next = v->next;
        if (v->body)
            intake_pump_go_on(v);
    }
}

static const struct listener_settings *find_listener(const struct settings *s,
                                                     struct span title)
{
    for (size_t n = 0; n < s->listener_count; n++)
        if (span_is(s->listeners[n].title, title))
            return &s->listeners[n];
    for (size_t n = 0; n < s->fetch_count; n++)
        if (span_is(s->fetches[n].title, title))
            return &s->fetches[n].listener;
    if (s->sendmail.is_on && span_is(s->sendmail.listener.title, title))
        return &s->sendmail.listener;
    return NULL;
}

/* A session whose listener is gone ends under the settings it began with. */
void intake_reload(struct intake *i)
{
    struct settings *now = i->worker->settings;

    for (struct visit *v = i->visits; v; v = v->next) {
        const struct listener_settings *l =
            find_listener(now, v->listener->title);

        if (!l || intake_pump_is_over(v))
            continue;
        session_reload(v->session, now, l);
        settings_release(v->settings);
        v->settings = settings_hold(now);
        v->listener = l;
    }
}

void intake_shut_down(struct intake *i, void (*empty)(struct worker *w))
{
    int64_t now = wall_ms();

    i->empty = empty;
    i->cut_ms = now + SHUT_DOWN_MS;
    for (struct visit *v = i->visits, *next; v; v = next) {
        next = v->next;
        if (intake_pump_is_over(v))
            continue;
        session_shut_down(v->session, SESSION_GOING_DOWN, now);
        intake_pump_attend(v);
    }
    intake_proxy_shut_down(i);
    if (i->count == 0)
        become_empty(i);
}

void intake_close(struct intake *i)
{
    ASSERT(i->count == 0);
    inquest_close(i);
    policyserver_close(i->servers);
    registry_fini(&i->registry);
    buffer_fini(&i->scratch);
    free(i);
}
