/*
 * admin - HTTP for the people who run the relay, on the main loop.
 *
 * libmicrohttpd without threads: its epoll descriptor is in a uv_poll, its next
 * timeout in a uv_timer, and every wait suspends the connection. Answers of the
 * queue come by the port's wake -> uv_async -> queue_port_drain -> a callback
 * in endpoints.c, which finds its request by token.
 *
 * A suspended connection is not watched, so a client that goes away is noticed
 * when its answer is there. On closing, all waits are cut and their late
 * answers find nobody.
 *
 * Caps: BODY_MOST for a body (request.c), MEMORY for the header, CONNECTIONS at once,
 * SILENCE_S; of answers: response.c.
 */
#include "relay/admin/admin_private.h"
#include "relay/admin/flow.h"
#include "relay/admin/metrics.h"
#include "relay/net/gauge.h"
#include "relay/net/worker.h"

#include "policy/vocabulary/memory.h"
#include "relay/admin/endpoints.h"
#include "relay/admin/response.h"

#include <stdio.h>
#include <stdlib.h>

enum {
    BODY_READ_MOST = 1024 * 1024, /* thrown away before the 413, then cut */
    MEMORY = 32 * 1024,
    CONNECTIONS = 100,
    SILENCE_S = 30,
};

/* ---------------------------------------------------------- the loop ----- */

static void on_timer(uv_timer_t *t);

/* Lets libmicrohttpd do what it can, and finds out when it wants to again. */
static void admin_turn(struct admin *a)
{
    MHD_UNSIGNED_LONG_LONG ms;

    if (a->is_closing)
        return;
    (void)MHD_run(a->daemon);
    if (MHD_get_timeout(a->daemon, &ms) == MHD_YES)
        (void)uv_timer_start(&a->timer, on_timer, ms, 0);
    else
        (void)uv_timer_stop(&a->timer);
}

static void on_timer(uv_timer_t *t)
{
    admin_turn(t->data);
}

static void on_ready(uv_poll_t *p, int status, int events)
{
    (void)status;
    (void)events;
    admin_turn(p->data);
}

static void on_async(uv_async_t *async)
{
    struct admin *a = async->data;

    if (a->is_closing)
        return;
    queue_port_drain(a->port);
    admin_turn(a);
}

/* Any thread. */
static void on_wake(void *user)
{
    struct admin *a = user;

    (void)uv_async_send(&a->async);
}

static const struct queue_port_events port_events = { .wake = on_wake };

/* ---------------------------------------------------------- receiving ---- */

/* So much is read, of what is too much as well. */
static size_t body_read_most(const struct request *r)
{
    return r->body.cap > BODY_READ_MOST ? r->body.cap : BODY_READ_MOST;
}

static void refuse_body(struct request *r)
{
    request_refuse(r, 413, "the body is over %zu bytes", r->body.cap);
}

/* So large that it is not even read to its end, which would let the client see
 * the answer for sure. */
static bool has_huge_body(struct request *r)
{
    const char *length = MHD_lookup_connection_value(
        r->connection, MHD_HEADER_KIND, MHD_HTTP_HEADER_CONTENT_LENGTH);
    uint64_t n;

    return length &&
           (!span_number(span_of(length), &n) || n > body_read_most(r));
}

/* The header is there. Answers at once where nothing more needs to be read. */
static void request_begin(struct request *r, const char *method,
                          const char *path)
{
    const union MHD_ConnectionInfo *info = MHD_get_connection_info(
        r->connection, MHD_CONNECTION_INFO_CONNECTION_FD);
    uid_t uid = 0;

    if (!info || !doorway_lets_in(info->connect_fd, &uid))
        request_refuse(r, 403, "only root and the relay's own user may ask");
    else if (endpoints_find(r, method, path) && has_huge_body(r))
        refuse_body(r);
    (void)snprintf(r->who, sizeof(r->who), "uid=%lu", (unsigned long)uid);
}

/* Called with the header, then with each part of the body, then at its end, and
 * again after each wait. */
static enum MHD_Result on_access(void *user, struct MHD_Connection *c,
                                 const char *path, const char *method,
                                 const char *version, const char *upload,
                                 size_t *upload_len, void **request)
{
    struct request *r = *request;

    (void)version;
    if (!r) {
        *request = r = request_new(user, c);
        request_begin(r, method, path);
        return r->state == REQUEST_ANSWERS ? response_send(r) : MHD_YES;
    }
    if (*upload_len) {
        r->body_bytes += *upload_len;
        buffer_put(&r->body, span_make(upload, *upload_len));
        *upload_len = 0;
        return r->body_bytes > body_read_most(r) ? MHD_NO : MHD_YES;
    }
    if (r->state == REQUEST_READS) {
        r->state = REQUEST_THINKS;
        if (r->body.overflow)
            refuse_body(r);
        else
            endpoints_run(r);
    }
    return r->state == REQUEST_ANSWERS ? response_send(r) : MHD_YES;
}

static void on_completed(void *user, struct MHD_Connection *c, void **request,
                         enum MHD_RequestTerminationCode how)
{
    (void)user;
    (void)c;
    (void)how;
    if (*request)
        request_free(*request);
    *request = NULL;
}

/* ------------------------------------------------------ open and close --- */

static void on_handle_closed(uv_handle_t *h)
{
    struct admin *a = h->data;

    if (--a->open_handles)
        return;
    queue_busy_free(a->busy);
    if (a->closed)
        a->closed(a->closed_user);
    free(a);
}

static int start_handles(struct admin *a, int epoll_fd)
{
    int rc = uv_poll_init(a->loop, &a->poll, epoll_fd);

    if (rc < 0)
        return rc;
    a->poll.data = a;
    a->open_handles++;
    rc = uv_timer_init(a->loop, &a->timer);
    ASSERT(rc == 0);
    a->timer.data = a;
    a->open_handles++;
    rc = uv_async_init(a->loop, &a->async, on_async);
    if (rc < 0)
        return rc;
    a->async.data = a;
    a->open_handles++;
    return uv_poll_start(&a->poll, UV_READABLE, on_ready);
}

static int start_server(struct admin *a)
{
    const union MHD_DaemonInfo *info;

    /* clang-format off */
    a->daemon = MHD_start_daemon(
        MHD_USE_EPOLL | MHD_ALLOW_SUSPEND_RESUME, 0, NULL, NULL, on_access, a,
        MHD_OPTION_LISTEN_SOCKET, a->doorway.fd,
        MHD_OPTION_NOTIFY_COMPLETED, on_completed, NULL,
        MHD_OPTION_CONNECTION_LIMIT, (unsigned)CONNECTIONS,
        MHD_OPTION_CONNECTION_TIMEOUT, (unsigned)SILENCE_S,
        MHD_OPTION_CONNECTION_MEMORY_LIMIT, (size_t)MEMORY,
        MHD_OPTION_END);
    /* clang-format on */
    if (!a->daemon)
        return -ENOMEM;
    a->doorway.fd = -1; /* the server closes it */
    info = MHD_get_daemon_info(a->daemon, MHD_DAEMON_INFO_EPOLL_FD);
    ASSERT(info);
    return start_handles(a, info->epoll_fd);
}

/* Once a second: what flowed so far, and who is busy. */
static void ask_flow(void *user, struct flow_totals *out)
{
    struct admin *a = user;
    struct gauge_sum *s = NEW(struct gauge_sum); /* large for a stack */
    const uint64_t *n = s->counters;
    struct queue_stats stats;

    queue_busy_look(a->queue, a->busy);
    queue_stats(a->queue, &stats);
    if (a->gauges.sum)
        a->gauges.sum(a->gauges.user, s);
    *out = (struct flow_totals){ {
        [FLOW_ACCEPTED] = n[GAUGE_ACCEPTED],
        [FLOW_REFUSED] = gauge_sum_refused(s),
        [FLOW_DELIVERED] = n[GAUGE_SENT],
        [FLOW_DEFERRED] = n[GAUGE_DEFERRED],
        [FLOW_RETURNED] = n[GAUGE_BOUNCED] + n[GAUGE_EXPIRED],
        [FLOW_READY] = stats.messages_ready,
        [FLOW_WAITING] = stats.messages_deferred,
        [FLOW_HELD] = stats.messages_held,
    } };
    free(s);
}

int admin_open(struct admin **out_admin, uv_loop_t *loop, struct queue *q,
               const struct admin_options *o, struct buffer *out_why)
{
    struct admin *a = NEW(struct admin);
    int rc;

    a->loop = loop;
    a->queue = q;
    a->status = o->status;
    a->user = o->user;
    a->fetches = o->fetches;
    a->explains = o->explains;
    a->gauges = o->gauges;
    a->probes = o->probes;
    a->started_ns = uv_hrtime();
    a->started_ms = wall_ms();
    a->busy = queue_busy_new(METRICS_DESTINATIONS);
    rc = doorway_open(&a->doorway, o->socket, out_why);
    if (rc < 0) {
        queue_busy_free(a->busy);
        free(a);
        return rc;
    }
    rc = start_server(a);
    if (rc < 0) {
        buffer_printf(out_why, "cannot start the admin server: %s",
                      error_text(rc));
        admin_close(a, NULL, NULL);
        return rc;
    }
    a->port = queue_port_open(q, &port_events, a);
    a->flow = flow_open(loop, ask_flow, a);
    admin_turn(a);
    *out_admin = a;
    return 0;
}

void admin_close(struct admin *a, void (*closed)(void *user), void *user)
{
    uv_handle_t *handles[] = { (uv_handle_t *)&a->poll,
                               (uv_handle_t *)&a->timer,
                               (uv_handle_t *)&a->async };
    const unsigned most = sizeof(handles) / sizeof(handles[0]);
    unsigned open = a->open_handles;

    a->is_closing = true;
    flow_close(a->flow);
    a->flow = NULL;
    a->closed = closed;
    a->closed_user = user;
    /* The port first: after it no wake comes for a handle that is closed. */
    if (a->port)
        queue_port_close(a->port);
    for (struct request *r = a->requests; r; r = r->next)
        if (r->state == REQUEST_WAITS && r->is_push)
            request_push_end(r);
        else if (r->state == REQUEST_WAITS)
            request_refuse(r, 503, "the relay is going down");
    if (open)
        (void)uv_poll_stop(&a->poll);
    if (a->daemon)
        MHD_stop_daemon(a->daemon);
    doorway_fini(&a->doorway);
    for (unsigned i = 0; i < open && i < most; i++)
        uv_close(handles[i], on_handle_closed);
    if (!open) {
        if (closed)
            closed(user);
        queue_busy_free(a->busy);
        free(a);
    }
}
