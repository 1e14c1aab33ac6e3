/*
 * dials - what the running relay tells of itself: counts, certificates, listeners.
 */
#include "relay/main/dials.h"

#include "relay/main/station_private.h"
#include "relay/net/gauge.h"
#include "relay/net/tls.h"

static void add_up(void *user, struct gauge_sum *io_sum)
{
    const struct station *st = user;

    gauge_read(st->gauge, io_sum);
    for (unsigned i = 0; i < st->crew.count; i++)
        gauge_read(st->crew.workers[i]->gauge, io_sum);
}

struct asking {
    admin_certificate_fn *each;
    void *user;
};

static void tell_certificate(void *user, struct span file, struct span names,
                             int64_t ends_ms)
{
    const struct asking *a = user;

    a->each(a->user, &(struct admin_certificate){ file, names, ends_ms });
}

static void tell_certificates(void *user, admin_certificate_fn *each,
                              void *each_user)
{
    const struct station *st = user;
    struct asking a = { each, each_user };

    if (st->strongbox.tls)
        tls_material_each(st->strongbox.tls, tell_certificate, &a);
}

static void tell_listeners(void *user, admin_listener_fn *each, void *each_user)
{
    const struct settings *s = ((const struct station *)user)->settings;

    for (size_t i = 0; i < s->listener_count; i++)
        each(each_user, &(struct admin_listener){ s->listeners[i].title,
                                                  s->listeners[i].address });
}

const struct admin_gauges dials_admin = {
    .sum = add_up,
    .certificates = tell_certificates,
    .listeners = tell_listeners,
};
