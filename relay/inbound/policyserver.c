/*
 * policyserver - requests to policy servers, and the line in which they wait.
 *
 * Who is first in line gets whatever connection is free first; more are opened
 * while there are more who wait, up to a cap. Connections are policylink.c's.
 */
#include "relay/inbound/policyserver_private.h"

#include "policy/vocabulary/memory.h"

#include <stdlib.h>

enum {
    LINKS_MOST = 8,
    IDLE_MS = 60 * 1000,
};

/* ------------------------------------------------------------- requests ---- */

void policyserver_line_up(struct policy_request *r,
                          struct policy_request **here)
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

void policyserver_unline(struct policy_request *r)
{
    *r->here = r->next;
    if (r->next)
        r->next->here = r->here;
    else
        r->server->last = r->here;
    r->here = NULL;
    r->next = NULL;
}

void policyserver_end(struct policy_request *r, const char *why,
                      struct span action)
{
    policyserver_fn *done = r->done;
    void *user = r->user;

    free(r);
    done(user, why, action);
}

static struct policy_request *take_first(struct policyserver *s)
{
    struct policy_request *r = s->first;

    s->first = r->next;
    if (s->first)
        s->first->here = &s->first;
    else
        s->last = &s->first;
    r->here = NULL;
    r->next = NULL;
    return r;
}

/* Those that were in line when it began: whoever hears it may ask again. */
void policyserver_fail(struct policyserver *s, const char *why)
{
    size_t count = 0;

    for (struct policy_request *r = s->first; r; r = r->next)
        count++;
    while (count-- > 0 && s->first)
        policyserver_end(take_first(s), why, SPAN(""));
}

/* -------------------------------------------------------------- serving ---- */

static struct policylink *find_link(const struct policyserver *s,
                                    enum policylink_state state)
{
    struct policylink *l = s->links;

    while (l && l->state != state)
        l = l->next;
    return l;
}

static size_t on_their_way(const struct policyserver *s)
{
    size_t n = 0;

    for (const struct policylink *l = s->links; l; l = l->next)
        n += l->state == SEEKS || l->state == DIALS;
    return n;
}

/* Gives what is free to who waits, and opens more where that is not enough. Negative: none
 * can be opened, and none is there. Nobody is told of anything. */
static int try_to_serve(struct policyserver *s)
{
    size_t waiting = 0;
    struct policylink *l;
    int rc = 0;

    while (s->first && (l = find_link(s, IDLE)))
        policylink_send(l);
    for (const struct policy_request *r = s->first; r; r = r->next)
        waiting++;
    while (s->first && s->count < LINKS_MOST && on_their_way(s) < waiting) {
        if ((rc = policylink_open(s)) < 0)
            break;
        if ((l = find_link(s, IDLE))) { /* a socket's, at once */
            policylink_send(l);
            waiting--;
        }
    }
    return s->first && s->count == 0 ? rc : 0;
}

void policyserver_serve(struct policyserver *s)
{
    int rc = try_to_serve(s);

    if (rc < 0)
        policyserver_fail(s, error_text(rc));
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
    policyserver_line_up(r, s->last);
    if (try_to_serve(s) == 0)
        return r;
    policyserver_unline(r);
    free(r);
    return NULL;
}

void policyserver_cancel(struct policy_request *take_r)
{
    struct policy_request *r = take_r;
    struct policyserver *s = r->server;

    if (r->here)
        policyserver_unline(r);
    else
        policylink_drop(r->link); /* its answer may still come */
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
        policylink_drop(s->links);
}

void policyserver_tick(struct policyservers *all, int64_t now_ms)
{
    struct policyserver *s, **here = &all->servers;

    while ((s = *here)) {
        for (struct policylink *l = s->links, *next; l; l = next) {
            next = l->next;
            if (l->state == IDLE && now_ms - l->since_ms >= IDLE_MS)
                policylink_drop(l);
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
