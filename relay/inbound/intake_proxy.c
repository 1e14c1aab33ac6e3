/*
 * intake_proxy - connections that a balancer's PROXY header comes before.
 *
 * The header is read off the bare socket, looked at before it is taken, so that
 * not a byte of what is behind it leaves the kernel: a session, or a TLS
 * handshake, begins with exactly that. A header that is malformed or does not
 * come within five seconds ends the connection with a line in the log.
 *
 *   waiting --header--> intake_admit as the client that was named
 *      +--garbage, silence, end, going down--> closed
 */
#include "relay/inbound/intake_private.h"

#include "policy/vocabulary/memory.h"
#include "relay/inbound/proxy.h"
#include "relay/net/census.h"
#include "relay/net/gauge.h"
#include "relay/net/log.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

enum { HEADER_MS = 5000, PEEK_SIZE = 512 };

struct newcomer {
    uv_poll_t poll;
    struct intake *intake;
    int fd;                    /* -1: a session has it */
    struct settings *settings; /* held */
    size_t listener;
    struct host_address balancer;
    struct proxy proxy;
    int64_t deadline_ms;
    bool is_closing, is_welcome; /* the header was read */
    struct newcomer *next, **here;
};

static void complain(const struct newcomer *n, const char *why)
{
    struct buffer address = { 0 };

    host_address_print(&address, &n->balancer);
    log_text(LOG_WARNING, "PROXY header from %s: %s", buffer_string(&address),
             why);
    buffer_fini(&address);
}

static unsigned listener_gauge(const struct newcomer *n)
{
    return gauge_listener(n->intake->worker->gauge,
                          n->settings->listeners[n->listener].title);
}

/* Whom the header names is one client among all; a balancer's own check is not
 * counted. */
static void admit(struct newcomer *n)
{
    struct intake *i = n->intake;
    const struct proxy *p = &n->proxy;
    uint32_t most = n->settings->limits.sessions_per_client;

    if (p->has_source && !census_enter(i->census, &p->source, most)) {
        gauge_count(i->worker->gauge, GAUGE_CROWDED);
        gauge_refused(i->worker->gauge, listener_gauge(n), GAUGE_AT_CONNECT);
        intake_turn_away(n->fd, &p->source, INTAKE_TOO_MANY);
        intake_gone(i);
        return;
    }
    intake_admit(i, n->fd, n->settings, n->listener,
                 p->has_source ? &p->source : &n->balancer, p->has_source);
}

static void on_closed(uv_handle_t *handle)
{
    struct newcomer *n = handle->data;

    *n->here = n->next;
    if (n->next)
        n->next->here = n->here;
    if (n->is_welcome) {
        admit(n);
    } else {
        (void)close(n->fd);
        intake_gone(n->intake);
    }
    settings_release(n->settings);
    free(n);
}

static void end_wait(struct newcomer *n)
{
    if (n->is_closing)
        return;
    n->is_closing = true;
    uv_close((uv_handle_t *)&n->poll, on_closed);
}

static void fail(struct newcomer *n, const char *why)
{
    complain(n, why);
    end_wait(n);
}

/* Shows what is there to the parser, then takes what belongs to the header. */
static void read_header(struct newcomer *n)
{
    char bytes[PEEK_SIZE];
    ssize_t got = recv(n->fd, bytes, sizeof bytes, MSG_PEEK | MSG_DONTWAIT);
    enum proxy_said said;
    size_t used;

    if (got < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (got <= 0) {
        fail(n, got == 0 ? "the connection ended before it" : strerror(errno));
        return;
    }
    said = proxy_feed(&n->proxy, span_make(bytes, (size_t)got), &used);
    if (recv(n->fd, bytes, used, MSG_DONTWAIT) != (ssize_t)used)
        said = PROXY_BAD;
    if (said == PROXY_BAD)
        fail(n, "malformed");
    n->is_welcome = said == PROXY_DONE;
    if (n->is_welcome)
        end_wait(n);
}

static void on_readable(uv_poll_t *poll, int status, int events)
{
    struct newcomer *n = poll->data;

    (void)events;
    if (n->is_closing)
        return;
    if (status < 0)
        fail(n, error_text(status));
    else
        read_header(n);
}

void intake_proxy_wait(struct intake *i, int fd, struct settings *settings,
                       size_t listener, const struct host_address *balancer)
{
    struct newcomer *n = NEW(struct newcomer);
    int rc;

    n->intake = i;
    n->fd = fd;
    n->settings = settings_hold(settings);
    n->listener = listener;
    n->balancer = *balancer;
    n->deadline_ms = wall_ms() + HEADER_MS;
    n->next = i->newcomers;
    n->here = &i->newcomers;
    if (n->next)
        n->next->here = &n->next;
    i->newcomers = n;
    i->count++;
    rc = uv_poll_init(&i->worker->loop, &n->poll, fd);
    ASSERT(rc == 0); /* a fresh socket, not watched by anybody */
    n->poll.data = n;
    if (i->cut_ms)
        end_wait(n);
    else if ((rc = uv_poll_start(&n->poll, UV_READABLE, on_readable)) < 0)
        fail(n, error_text(rc));
}

void intake_proxy_tick(struct intake *i, int64_t now_ms)
{
    for (struct newcomer *n = i->newcomers; n; n = n->next)
        if (!n->is_closing && now_ms >= n->deadline_ms)
            fail(n, "none came in time");
}

void intake_proxy_shut_down(struct intake *i)
{
    for (struct newcomer *n = i->newcomers; n; n = n->next)
        end_wait(n);
}
