/*
 * policylink - a connection to a policy server.
 *
 *   SEEKS -> DIALS  [link_found]      its name has addresses
 *   SEEKS, DIALS -> IDLE [link_join]  connected
 *   IDLE -> ASKS    [policylink_send] the next request in line
 *   ASKS -> IDLE    [link_input]      a whole reply
 *   any  -> GONE    [policylink_drop] from then on nothing points to it, and
 *                                     its last callback frees it
 *
 * What connects carries no request yet: whoever is first in line gets whatever
 * is free first. When nothing can be connected, and nothing is, all that wait
 * have failed; when something is, they wait for it.
 */
#include "relay/inbound/policyserver_private.h"

#include "policy/config/value.h"
#include "policy/vocabulary/memory.h"
#include "relay/inbound/policyreply.h"
#include "relay/net/race.h"
#include "relay/net/resolver.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

enum {
    CONNECT_MS = 10 * 1000,
    TARGETS_MOST = 8,
};

static void link_lost(struct policylink *l, const char *why);

static void policylink_free(struct policylink *l)
{
    buffer_fini(&l->in);
    free(l);
}

void policylink_drop(struct policylink *l)
{
    enum policylink_state was = l->state;

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
        policylink_free(l);
}

static void policylink_rest(struct policylink *l)
{
    l->request = NULL;
    l->state = IDLE;
    l->since_ms = wall_ms();
}

void policylink_send(struct policylink *l)
{
    struct policy_request *r = l->server->first;
    struct buffer out = { 0 };

    policyserver_unline(r);
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
    struct policylink *l = user;
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
    policylink_rest(l);
    if (used < reply.len)
        policylink_drop(
            l); /* more than was asked for: nothing after it can be trusted */
    policyserver_serve(s);
    policyserver_end(r, NULL, action);
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
    policylink_free(user);
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
    for (struct policylink *l = s->links, *next; l; l = next) {
        next = l->next;
        if (l->state == IDLE)
            policylink_drop(l);
    }
}

static void link_lost(struct policylink *l, const char *why)
{
    struct policyserver *s = l->server;
    struct policy_request *r = l->request;
    bool again = r && l->is_kept && l->in.len == 0 && !r->is_second;

    policylink_drop(l);
    if (again) {
        r->is_second = true;
        drop_idle(s);
        policyserver_line_up(r, &s->first);
    } else if (r) {
        policyserver_end(r, why, SPAN(""));
    }
    policyserver_serve(s);
}

/* It was never joined. Whoever waits goes on waiting for the others, if there are any. */
static void link_failed(struct policylink *l, const char *why)
{
    struct policyserver *s = l->server;

    policylink_drop(l);
    if (s->count == 0)
        policyserver_fail(s, why);
}

static int link_join(struct policylink *l, int fd)
{
    int rc = conn_open(&l->conn, l->server->all->worker, fd, &link_events, l);

    policylink_rest(l);
    return rc;
}

/* ------------------------------------------------------------ connecting ---- */

static void link_raced(void *user, const struct race_result *result)
{
    struct policylink *l = user;
    struct policyserver *s = l->server;
    int rc = result->rc;

    l->race = NULL;
    if (rc == 0)
        rc = link_join(l, result->fd);
    if (rc < 0)
        link_failed(l, error_text(rc));
    else
        policyserver_serve(s);
}

static void link_found(void *user, const struct mx_answer *a)
{
    struct policylink *l = user;
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

static int link_dial(struct policylink *l)
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
    l->query = resolver_host(s->all->worker->resolver, host, true,
                             link_found, l);
    return 0;
}

int policylink_open(struct policyserver *s)
{
    struct policylink *l = NEW(struct policylink);
    int rc;

    l->server = s;
    l->next = s->links;
    l->here = &s->links;
    if (l->next)
        l->next->here = &l->next;
    s->links = l;
    s->count++;
    if ((rc = link_dial(l)) < 0)
        policylink_drop(l);
    return rc;
}
