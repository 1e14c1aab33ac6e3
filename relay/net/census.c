/*
 * census - how many sessions does each client have?
 */
#include "relay/net/census.h"

#include "policy/vocabulary/error.h"
#include "policy/vocabulary/memory.h"

#include <stdlib.h>
#include <uthash.h>
#include <uv.h>

struct client_count {
    struct host_address address;
    uint32_t sessions;
    UT_hash_handle hh;
};

struct census {
    uv_mutex_t lock;
    struct client_count *clients;
};

struct census *census_new(void)
{
    struct census *c = NEW(struct census);

    ASSERT(uv_mutex_init(&c->lock) == 0);
    return c;
}

void census_free(struct census *c)
{
    if (!c)
        return;
    ASSERT(!c->clients);
    uv_mutex_destroy(&c->lock);
    free(c);
}

/* The macros of uthash are long; what they do is one look-up and one insertion.
 * NOLINTBEGIN(readability-function-size) */
static struct client_count *find(struct census *c, const struct host_address *a)
{
    struct client_count *e;

    HASH_FIND(hh, c->clients, a, sizeof *a, e);
    return e;
}

bool census_enter(struct census *c, const struct host_address *a, uint32_t most)
{
    struct client_count *e;
    bool welcome;

    uv_mutex_lock(&c->lock);
    e = find(c, a);
    welcome = !e || !most || e->sessions < most;
    if (welcome && !e) {
        e = NEW(struct client_count);
        e->address = *a;
        HASH_ADD(hh, c->clients, address, sizeof e->address, e);
    }
    if (welcome)
        e->sessions++;
    uv_mutex_unlock(&c->lock);
    return welcome;
}

/* NOLINTEND(readability-function-size) */

void census_leave(struct census *c, const struct host_address *a)
{
    struct client_count *e;

    uv_mutex_lock(&c->lock);
    e = find(c, a);
    ASSERT(e);
    if (--e->sessions == 0) {
        HASH_DEL(c->clients, e);
        free(e);
    }
    uv_mutex_unlock(&c->lock);
}
