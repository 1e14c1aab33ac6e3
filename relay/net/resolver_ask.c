/*
 * resolver_ask - the questions that a resolver is asked.
 */
#include "relay/net/resolver_private.h"

struct resolver_query *resolver_mx(struct resolver *r, struct span domain,
                                   resolver_mx_fn *done, void *user)
{
    return resolver_query_ask(
        resolver_query_new(r, LOOKUP_MX, domain, done, user));
}

struct resolver_query *resolver_host(struct resolver *r, struct span host,
                                     bool may_be_bogus, resolver_mx_fn *done,
                                     void *user)
{
    struct resolver_query *q =
        resolver_query_new(r, LOOKUP_HOST, host, done, user);

    q->lookup.takes_bogus = may_be_bogus;
    return resolver_query_ask(q);
}

static struct resolver_query *ask_raw(struct resolver *r, struct span name,
                                      enum dns_type type, resolver_mx_fn *done,
                                      void *user)
{
    struct resolver_query *q =
        resolver_query_new(r, LOOKUP_RAW, name, done, user);

    q->lookup.type = type;
    return resolver_query_ask(q);
}

struct resolver_query *resolver_tlsa(struct resolver *r, struct span name,
                                     resolver_mx_fn *done, void *user)
{
    return ask_raw(r, name, DNS_TLSA, done, user);
}

struct resolver_query *resolver_alias(struct resolver *r, struct span name,
                                      resolver_mx_fn *done, void *user)
{
    return ask_raw(r, name, DNS_CNAME, done, user);
}

struct resolver_query *resolver_text(struct resolver *r, struct span name,
                                     resolver_mx_fn *done, void *user)
{
    return ask_raw(r, name, DNS_TXT, done, user);
}

struct resolver_query *resolver_list(struct resolver *r, struct span name,
                                     resolver_mx_fn *done, void *user)
{
    return resolver_query_ask(
        resolver_query_new(r, LOOKUP_LIST, name, done, user));
}

struct resolver_query *resolver_name(struct resolver *r,
                                     const struct host_address *address,
                                     resolver_mx_fn *done, void *user)
{
    struct buffer name = { 0 };
    struct resolver_query *q;

    host_reversed_print(&name, address);
    buffer_put_string(&name, host_address_is_v4(address) ? ".in-addr.arpa"
                                                         : ".ip6.arpa");
    q = resolver_query_new(r, LOOKUP_NAME, buffer_span(&name), done, user);
    q->lookup.address = *address;
    buffer_fini(&name);
    return resolver_query_ask(q);
}
