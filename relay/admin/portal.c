/*
 * portal - one way in: a listening socket, its server, and who is there.
 *
 * libmicrohttpd without threads: its epoll descriptor is in a uv_poll, its next timeout in
 * a uv_timer. It counts connections, and those of one client address; a silent one is
 * closed by it, one that sends a byte now and then by us: shutdown(2) makes the server see
 * the end of it.
 */
#include "relay/admin/portal.h"

#include "policy/vocabulary/memory.h"
#include "relay/admin/admin_private.h"
#include "relay/admin/reception.h"
#include "relay/net/listener.h"

#include <netinet/in.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
    MEMORY =
        32 * 1024, /* of a connection: the header, and what is being sent */
    SILENCE_S = 30,
    HEADER_MS = 30000,
    BODY_MS = 120000,
    TICK_MS = 1000,
};

struct portal {
    struct admin *admin;
    bool is_local, is_closing;
    struct MHD_Daemon *daemon;
    uv_poll_t poll;
    uv_timer_t timer, tick;
    unsigned open_handles;
    struct visit *visits;
    void (*closed)(void *user);
    void *closed_user;
};

/* ----------------------------------------------------------- the loop ---- */

static void on_timer(uv_timer_t *t)
{
    portal_turn(t->data);
}

void portal_turn(struct portal *p)
{
    MHD_UNSIGNED_LONG_LONG ms;

    if (!p || p->is_closing)
        return;
    (void)MHD_run(p->daemon);
    if (MHD_get_timeout(p->daemon, &ms) == MHD_YES)
        (void)uv_timer_start(&p->timer, on_timer, ms, 0);
    else
        (void)uv_timer_stop(&p->timer);
}

static void on_ready(uv_poll_t *poll, int status, int events)
{
    (void)status;
    (void)events;
    portal_turn(poll->data);
}

/* ------------------------------------------------------------- visits ---- */

/* Nobody looks at the connection of a request that waits for news: who has left is looked
 * for here, so that what was begun for him ends. */
static void cut_left(struct admin *a)
{
    for (struct request *r = a->requests; r; r = r->next)
        if (r->is_push && r->gone && request_is_left(r))
            request_cut(r);
}

static void on_tick(uv_timer_t *t)
{
    struct portal *p = t->data;
    uint64_t now_ms = uv_now(t->loop);

    for (struct visit *v = p->visits; v; v = v->next) {
        if (!v->deadline_ms || now_ms < v->deadline_ms)
            continue;
        v->deadline_ms = 0;
        (void)shutdown(v->fd, SHUT_RDWR);
    }
    cut_left(p->admin);
    if (!p->is_local)
        admin_look_at_tokens(p->admin, false);
    if (!p->visits)
        (void)uv_timer_stop(t);
}

static void expect(struct visit *v, uint64_t ms)
{
    v->deadline_ms = uv_now(v->portal->tick.loop) + ms;
}

void portal_await_header(struct visit *v)
{
    expect(v, HEADER_MS);
}

void portal_await_body(struct visit *v)
{
    expect(v, BODY_MS);
}

void portal_await_nothing(struct visit *v)
{
    v->deadline_ms = 0;
}

static struct visit *visit_new(struct portal *p, struct MHD_Connection *c)
{
    const union MHD_ConnectionInfo *info =
        MHD_get_connection_info(c, MHD_CONNECTION_INFO_CONNECTION_FD);
    struct visit *v = NEW(struct visit);
    struct sockaddr_storage peer = { 0 };
    socklen_t len = sizeof(peer);
    uint16_t port;

    ASSERT(info);
    v->portal = p;
    v->fd = info->connect_fd;
    if (!p->is_local && getpeername(v->fd, (struct sockaddr *)&peer, &len) == 0)
        host_address_from_socket(&v->client, &port, &peer);
    v->next = p->visits;
    v->at = &p->visits;
    if (v->next)
        v->next->at = &v->next;
    p->visits = v;
    portal_await_header(v);
    if (!uv_is_active((uv_handle_t *)&p->tick) && !p->is_closing)
        (void)uv_timer_start(&p->tick, on_tick, TICK_MS, TICK_MS);
    return v;
}

static void visit_free(struct visit *v)
{
    *v->at = v->next;
    if (v->next)
        v->next->at = v->at;
    free(v);
}

static void on_connection(void *user, struct MHD_Connection *c, void **visit,
                          enum MHD_ConnectionNotificationCode what)
{
    if (what == MHD_CONNECTION_NOTIFY_STARTED) {
        *visit = visit_new(user, c);
    } else if (*visit) {
        visit_free(*visit);
        *visit = NULL;
    }
}

struct visit *portal_visit(struct MHD_Connection *c)
{
    const union MHD_ConnectionInfo *info =
        MHD_get_connection_info(c, MHD_CONNECTION_INFO_SOCKET_CONTEXT);

    ASSERT(info && info->socket_context);
    return info->socket_context;
}

struct admin *portal_admin(const struct portal *p)
{
    return p->admin;
}

bool portal_is_local(const struct portal *p)
{
    return p->is_local;
}

/* ----------------------------------------------------- open and close ---- */

static void on_handle_closed(uv_handle_t *h)
{
    struct portal *p = h->data;

    if (--p->open_handles)
        return;
    if (p->closed)
        p->closed(p->closed_user);
    free(p);
}

static void start_server(struct portal *p, int fd,
                         const struct portal_limits *l)
{
    /* clang-format off */
    p->daemon = MHD_start_daemon(
        MHD_USE_EPOLL | MHD_ALLOW_SUSPEND_RESUME, 0, NULL, NULL,
        reception_access, p,
        MHD_OPTION_LISTEN_SOCKET, fd,
        MHD_OPTION_NOTIFY_COMPLETED, reception_completed, NULL,
        MHD_OPTION_NOTIFY_CONNECTION, on_connection, p,
        MHD_OPTION_CONNECTION_LIMIT, l->connections,
        MHD_OPTION_PER_IP_CONNECTION_LIMIT, l->per_client,
        MHD_OPTION_CONNECTION_TIMEOUT, (unsigned)SILENCE_S,
        MHD_OPTION_CONNECTION_MEMORY_LIMIT, (size_t)MEMORY,
        MHD_OPTION_STRICT_FOR_CLIENT, 1,
        MHD_OPTION_END);
    /* clang-format on */
}

int portal_open(struct portal **out_portal, struct admin *a, int take_fd,
                bool is_local, const struct portal_limits *limits)
{
    struct portal *p = NEW(struct portal);
    const union MHD_DaemonInfo *info;
    uv_loop_t *loop = admin_loop(a);
    int rc;

    p->admin = a;
    p->is_local = is_local;
    start_server(p, take_fd, limits);
    if (!p->daemon) {
        (void)close(take_fd);
        free(p);
        return -ENOMEM;
    }
    info = MHD_get_daemon_info(p->daemon, MHD_DAEMON_INFO_EPOLL_FD);
    ASSERT(info);
    rc = uv_poll_init(loop, &p->poll, info->epoll_fd);
    if (rc < 0) {
        MHD_stop_daemon(p->daemon);
        free(p);
        return rc;
    }
    ASSERT(uv_timer_init(loop, &p->timer) == 0);
    ASSERT(uv_timer_init(loop, &p->tick) == 0);
    p->poll.data = p->timer.data = p->tick.data = p;
    p->open_handles = 3;
    ASSERT(uv_poll_start(&p->poll, UV_READABLE, on_ready) == 0);
    *out_portal = p;
    return 0;
}

void portal_close(struct portal *p, void (*closed)(void *user), void *user)
{
    p->is_closing = true;
    p->closed = closed;
    p->closed_user = user;
    (void)uv_poll_stop(&p->poll);
    MHD_stop_daemon(p->daemon);
    uv_close((uv_handle_t *)&p->poll, on_handle_closed);
    uv_close((uv_handle_t *)&p->timer, on_handle_closed);
    uv_close((uv_handle_t *)&p->tick, on_handle_closed);
}
