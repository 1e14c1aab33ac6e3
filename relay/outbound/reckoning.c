/*
 * reckoning - a login's slow answer, computed beside the loop.
 */
#include "relay/outbound/reckoning.h"

#include "policy/vocabulary/error.h"
#include "policy/vocabulary/memory.h"
#include "relay/outbound/login.h"

#include <stdlib.h>

struct reckoning {
    uv_work_t work;
    struct delivery *delivery;
    struct login *login;
    uint64_t token; /* who asked; may be gone */
    reckoning_fn *done;
};

/* On another thread. */
static void compute(uv_work_t *work)
{
    struct reckoning *r = work->data;

    login_compute(r->login);
}

static void on_computed(uv_work_t *work, int rc)
{
    struct reckoning *r = work->data;
    struct delivery *d = r->delivery;
    void *user = registry_find(&d->registry, r->token);

    ASSERT(rc == 0); /* nobody cancels it */
    if (user) {
        registry_drop(&d->registry, r->token);
        r->done(user, r->login);
    } else {
        login_free(r->login);
    }
    free(r);
    delivery_left(d);
}

uint64_t reckoning_start(struct delivery *d, struct login *take_l,
                         reckoning_fn *done, void *user)
{
    struct reckoning *r = NEW(struct reckoning);

    r->work.data = r;
    r->delivery = d;
    r->login = take_l;
    r->token = registry_put(&d->registry, user);
    r->done = done;
    d->count++; /* as one more that must leave before the end */
    ASSERT(uv_queue_work(&d->worker->loop, &r->work, compute, on_computed) ==
           0);
    return r->token;
}
