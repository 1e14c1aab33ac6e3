/*
 * policyserver - requests to policy servers, over connections that are kept.
 *
 *   SEEKS -> DIALS  [link_found]      its name has addresses
 *   SEEKS, DIALS -> IDLE [link_join]  connected
 *   IDLE -> ASKS    [link_send]       the next request in line
 *   ASKS -> IDLE    [link_input]      a whole reply
 *   any  -> GONE    [link_drop]       from then on nothing points to it, and
 *                                     its last callback frees it
 *
 * What connects carries no request yet: whoever is first in line gets whatever
 * is free first. When nothing can be connected, and nothing is, all that wait
 * have failed; when something is, they wait for it.
 */
#include "relay/inbound/policyserver.h"

#include "policy/config/value.h"
#include "policy/vocabulary/memory.h"
#include "relay/inbound/policyreply.h"
#include "relay/net/conn.h"
#include "relay/net/race.h"
#include "relay/net/resolver.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

enum {
    LINKS_MOST = 8,
    IDLE_MS = 60 * 1000,
    CONNECT_MS = 10 * 1000,
    TARGETS_MOST = 8,
};

struct policyserver;

struct policy_request {
    struct policy_request *next, **here; /* in line; here NULL: it is asked */
    struct policyserver *server;
    struct link *link; /* that asks it */
    struct span text;  /* behind it, on the same block */
    bool is_second;    /* of two attempts */
    policyserver_fn *done;
    void *user;
};

enum link_state { SEEKS, DIALS, IDLE, ASKS, GONE };

struct link {
    struct link *next, **here;
    struct policyserver *server;
    enum link_state state;
    struct resolver_query *query; /* SEEKS */
    struct race *race;            /* DIALS */
    struct conn conn;             /* IDLE, ASKS */
    struct policy_request *request;
    struct buffer in; /* of its reply */
    bool is_kept;     /* it has carried a request before this one */
    int64_t since_ms; /* IDLE */
};

struct policyserver {
    struct policyserver *next;
    struct policyservers *all;
    struct link *links;
    size_t count;                         /* of them */
    struct policy_request *first, **last; /* in line */
    int64_t used_ms;
    struct span address; /* behind it, on the same block */
};

struct policyservers {
    struct worker *worker;
    struct policyserver *servers;
};

/* ------------------------------------------------------------- requests ---- */

static void put_in_line(struct policy_request *r, struct policy_request **here)
{
    struct policyserver *s = r->server;

    r->link = NULL;
    r->here = here;
    r->next = *here;
    *here = r;
    if (r->next)
        r->next->here = &r->next;
    else
        s->last = &r->next;
}

static void take_from_line(struct policy_request *r)
{
    *r->here = r->next;
    if (r->next)
        r->next->here = r->here;
    else
        r->server->last = r->here;
    r->here = NULL;
    r->next = NULL;
}

static void request_end(struct policy_request *r, const char *why,
                        struct span action)
{
    policyserver_fn *done = r->done;
    void *user = r->user;

    free(r);
    done(user, why, action);
}

/* Those that were in line when it began: whoever hears it may ask again. */
static void fail_line(struct policyserver *s, const char *why)
{
    size_t count = 0;

    for (struct policy_request *r = s->first; r; r = r->next)
        count++;
    while (count-- > 0 && s->first) {
        struct policy_request *r = s->first;

        take_from_line(r);
        request_end(r, why, SPAN(""));
    }
}

/* ---------------------------------------------------------------- links ---- */

static void serve(struct policyserver *s);
static void link_lost(struct link *l, const char *why);

static void link_free(struct link *l)
{
    buffer_fini(&l->in);
    free(l);
}

/* Its request, if it has one, is the caller's. */
static void link_drop(struct link *l)
{
    enum link_state was = l->state;

    l->state = GONE;
    *l->here = l->next;
    if (l->next)
        l->next->here = l->here;
    l->server->count--;
    if (l->query)
        resolver_cancel(l->query);
    if (l->race)
        race_cancel(l->race);
    if (was == IDLE || was == ASKS)
        conn_close(&l->conn);
    else
        link_free(l);
}

static void link_rest(struct link *l)
{
    l->request = NULL;
    l->state = IDLE;
    l->since_ms = wall_ms();
}

static void link_send(struct link *l)
{
    struct policy_request *r = l->server->first;
    struct buffer out = { 0 };

    take_from_line(r);
    r->link = l;
    l->request = r;
    l->state = ASKS;
    buffer_put(&out, r->text);
    (void)conn_send(&l->conn, &out); /* the read side tells of a dead one */
    buffer_fini(&out);
}

/* A whole reply ends the request; the link goes on with the next one first, since whoever
 * hears the answer may ask at once. */
static size_t link_input(void *user, struct span in)
{
    struct link *l = user;
    struct policyserver *s = l->server;
    struct policy_request *r = l->request;
    struct buffer reply;
    struct span action;
    size_t used = 0;

    if (l->state == ASKS) {
        l->in.cap = POLICYREPLY_MOST;
        buffer_put(&l->in, span_first(in, POLICYREPLY_MOST - l->in.len));
    }
    switch (l->state == ASKS
                ? policyreply_read(buffer_span(&l->in), &action, &used)
                : POLICYREPLY_GARBAGE) {
    case POLICYREPLY_UNFINISHED:
        return in.len;
    case POLICYREPLY_GARBAGE:
        link_lost(l, "it answers what is no answer");
        return in.len;
    case POLICYREPLY_WHOLE:
        break;
    }
    reply = l->in;
    l->in = (struct buffer){ 0 };
    l->is_kept = true;
    link_rest(l);
    if (used < reply.len)
        link_drop(
            l); /* more than was asked for: nothing after it can be trusted */
    serve(s);
    request_end(r, NULL, action);
    buffer_fini(&reply);
    return in.len;
}

static void link_ended(void *user, int rc)
{
    link_lost(user, rc < 0 ? error_text(rc) : "it has closed the connection");
}

static void link_drained(void *user)
{
    (void)user;
}

static void link_closed(void *user)
{
    link_free(user);
}

static const struct conn_events link_events = {
    .input = link_input,
    .ended = link_ended,
    .drained = link_drained,
    .closed = link_closed,
};

/* Others that wait for the same server may have been as dead for as long. */
static void drop_idle(struct policyserver *s)
{
    for (struct link *l = s->links, *next; l; l = next) {
        next = l->next;
        if (l->state == IDLE)
            link_drop(l);
    }
}

static void link_lost(struct link *l, const char *why)
{
    struct policyserver *s = l->server;
    struct policy_request *r = l->request;
    bool again = r && l->is_kept && l->in.len == 0 && !r->is_second;

    link_drop(l);
    if (again) {
        r->is_second = true;
        drop_idle(s);
        put_in_line(r, &s->first);
    } else if (r) {
        request_end(r, why, SPAN(""));
    }
    serve(s);
}

/* It was never joined. Whoever waits goes on waiting for the others, if there are any. */
static void link_failed(struct link *l, const char *why)
{
    struct policyserver *s = l->server;

    link_drop(l);
    if (s->count == 0)
        fail_line(s, why);
}

static int link_join(struct link *l, int fd)
{
    int rc = conn_open(&l->conn, l->server->all->worker, fd, &link_events, l);

    link_rest(l);
    return rc;
}

/* ------------------------------------------------------------ connecting ---- */

static void link_raced(void *user, const struct race_result *result)
{
    struct link *l = user;
    struct policyserver *s = l->server;
    int rc = result->rc;

    l->race = NULL;
    if (rc == 0)
        rc = link_join(l, result->fd);
    if (rc < 0)
        link_failed(l, error_text(rc));
    else
        serve(s);
}

static void link_found(void *user, const struct mx_answer *a)
{
    struct link *l = user;
    struct race_target targets[TARGETS_MOST];
    struct span host;
    uint16_t port;
    size_t count = 0;

    l->query = NULL;
    if (a->kind != RESOLVER_OK || a->count == 0 ||
        !value_host_port(l->server->address, &host, &port)) {
        link_failed(l, "its name has no address");
        return;
    }
    for (; count < TARGETS_MOST && count < a->hosts->count; count++)
        targets[count] =
            (struct race_target){ .address = a->hosts->addresses[count],
                                  .port = port };
    race_order(targets, count);
    l->state = DIALS;
    l->race = race_start(&l->server->all->worker->loop, targets, count,
                         CONNECT_MS, false, link_raced, l);
}

/* A unix socket answers at once, or nobody listens. */
static int open_socket(struct span path)
{
    struct sockaddr_un to = { .sun_family = AF_UNIX };
    int fd, rc;

    if (path.len >= sizeof to.sun_path)
        return -ENAMETOOLONG;
    memcpy(to.sun_path, path.at, path.len);
    fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return -errno;
    if (connect(fd, (struct sockaddr *)&to, sizeof to) == 0)
        return fd;
    rc = -errno;
    (void)close(fd);
    return rc;
}

static int link_dial(struct link *l)
{
    struct policyserver *s = l->server;
    struct span host;
    uint16_t port;
    int fd;

    if (s->address.at[0] == '/') {
        fd = open_socket(s->address);
        return fd < 0 ? fd : link_join(l, fd);
    }
    if (!value_host_port(s->address, &host, &port))
        return ERROR_SYNTAX;
    l->query = resolver_host(s->all->worker->resolver, host, link_found, l);
    return 0;
}

static int link_open(struct policyserver *s)
{
    struct link *l = NEW(struct link);
    int rc;

    l->server = s;
    l->next = s->links;
    l->here = &s->links;
    if (l->next)
        l->next->here = &l->next;
    s->links = l;
    s->count++;
    if ((rc = link_dial(l)) < 0)
        link_drop(l);
    return rc;
}

/* -------------------------------------------------------------- serving ---- */

static struct link *find_link(const struct policyserver *s,
                              enum link_state state)
{
    struct link *l = s->links;

    while (l && l->state != state)
        l = l->next;
    return l;
}

static size_t on_their_way(const struct policyserver *s)
{
    size_t n = 0;

    for (const struct link *l = s->links; l; l = l->next)
        n += l->state == SEEKS || l->state == DIALS;
    return n;
}

/* Gives what is free to who waits, and opens more where that is not enough. Negative: none
 * can be opened, and none is there. Nobody is told of anything. */
static int try_to_serve(struct policyserver *s)
{
    size_t waiting = 0;
    struct link *l;
    int rc = 0;

    while (s->first && rc == 0) {
        if ((l = find_link(s, IDLE)))
            link_send(l);
        else
            break;
    }
    for (const struct policy_request *r = s->first; r; r = r->next)
        waiting++;
    while (s->first && s->count < LINKS_MOST && on_their_way(s) < waiting) {
        if ((rc = link_open(s)) < 0)
            break;
        if ((l = find_link(s, IDLE))) { /* a socket's, at once */
            link_send(l);
            waiting--;
        }
    }
    return s->first && s->count == 0 ? rc : 0;
}

static void serve(struct policyserver *s)
{
    int rc = try_to_serve(s);

    if (rc < 0)
        fail_line(s, error_text(rc));
}

static struct policyserver *find_server(struct policyservers *all,
                                        struct span address)
{
    struct policyserver *s = all->servers;

    while (s && !span_is(s->address, address))
        s = s->next;
    if (s)
        return s;
    s = memory_zero(1, sizeof *s + address.len);
    memcpy(s + 1, address.at, address.len);
    s->address = span_make((const char *)(s + 1), address.len);
    s->all = all;
    s->last = &s->first;
    s->next = all->servers;
    all->servers = s;
    return s;
}

struct policy_request *policyserver_ask(struct policyservers *all,
                                        struct span server, struct span request,
                                        policyserver_fn *done, void *user)
{
    struct policyserver *s = server.len ? find_server(all, server) : NULL;
    struct policy_request *r;

    if (!s)
        return NULL;
    r = memory_zero(1, sizeof *r + request.len);
    if (request.len)
        memcpy(r + 1, request.at, request.len);
    r->text = span_make((const char *)(r + 1), request.len);
    r->server = s;
    r->done = done;
    r->user = user;
    s->used_ms = wall_ms();
    put_in_line(r, s->last);
    if (try_to_serve(s) == 0)
        return r;
    take_from_line(r);
    free(r);
    return NULL;
}

void policyserver_cancel(struct policy_request *take_r)
{
    struct policy_request *r = take_r;
    struct policyserver *s = r->server;

    if (r->here)
        take_from_line(r);
    else
        link_drop(r->link); /* its answer may still come */
    free(r);
    (void)try_to_serve(s); /* those who wait have a deadline */
}

/* ------------------------------------------------------------------ all ---- */

struct policyservers *policyserver_open(struct worker *w)
{
    struct policyservers *all = NEW(struct policyservers);

    all->worker = w;
    return all;
}

static void drop_all(struct policyserver *s)
{
    while (s->links)
        link_drop(s->links);
}

void policyserver_tick(struct policyservers *all, int64_t now_ms)
{
    struct policyserver *s, **here = &all->servers;

    while ((s = *here)) {
        for (struct link *l = s->links, *next; l; l = next) {
            next = l->next;
            if (l->state == IDLE && now_ms - l->since_ms >= IDLE_MS)
                link_drop(l);
        }
        if (s->links || s->first || now_ms - s->used_ms < IDLE_MS) {
            here = &s->next;
        } else {
            *here = s->next;
            free(s);
        }
    }
}

void policyserver_hang_up(struct policyservers *all)
{
    for (struct policyserver *s = all->servers; s; s = s->next)
        drop_all(s);
}

void policyserver_close(struct policyservers *take_all)
{
    struct policyserver *s;

    while ((s = take_all->servers)) {
        take_all->servers = s->next;
        ASSERT(!s->first && !s->links);
        free(s);
    }
    free(take_all);
}
