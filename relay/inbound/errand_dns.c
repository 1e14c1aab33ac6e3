/*
 * errand_dns - the client's name, and lists of senders.
 *
 * "No such domain" is an answer, and it is empty; what failed is none. The
 * resolver caches by TTL.
 */
#include "relay/inbound/inquest.h"

#include "policy/vocabulary/network.h"
#include "relay/net/resolver.h"

static void cancel(struct errand *e)
{
    resolver_cancel(e->what);
}

static bool has_begun(struct errand *e, struct resolver_query *q)
{
    e->what = q;
    e->cancel = cancel;
    return true;
}

static void answer(struct errand *e, const struct mx_answer *a,
                   struct span text)
{
    inquest_answer(e->worker, e->token,
                   a->kind == RESOLVER_FAILED ? EVIDENCE_FAILED
                                              : EVIDENCE_ANSWERED,
                   a->kind == RESOLVER_OK ? text : SPAN(""));
}

static void on_name(void *user, const struct mx_answer *a)
{
    answer(user, a, a->count ? a->hosts->name : SPAN(""));
}

bool errand_dns_name(struct errand *e)
{
    struct host_address client;

    return host_address_parse(e->key, &client) &&
           has_begun(e,
                     resolver_name(e->worker->resolver, &client, on_name, e));
}

static void on_addresses(void *user, const struct mx_answer *a)
{
    struct buffer text = { 0 };

    for (size_t i = 0; a->count && i < a->hosts->count; i++) {
        if (i)
            buffer_put_byte(&text, ' ');
        host_address_print(&text, &a->hosts->addresses[i]);
    }
    answer(user, a, buffer_span(&text));
    buffer_fini(&text);
}

bool errand_dns_addresses(struct errand *e)
{
    return has_begun(
        e, resolver_list(e->worker->resolver, e->key, on_addresses, e));
}
