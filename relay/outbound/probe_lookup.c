/*
 * probe_lookup - a probe's stages mx, dns and address: what the names of a leg lead to.
 */
#include "relay/outbound/probe_private.h"

enum { SHOWN_MOST = 20 }; /* addresses of one host */

static json_t *addresses_of(const struct mx_host *h, uint16_t port,
                            const struct hostmemory *m, struct buffer *b,
                            size_t *out_resting)
{
    json_t *list = json_array();
    struct buffer one = { 0 };

    *out_resting = 0;
    for (size_t i = 0; i < h->count && i < SHOWN_MOST; i++) {
        struct race_target t = { .address = h->addresses[i], .port = port };

        buffer_clear(&one);
        host_address_print(&one, &h->addresses[i]);
        *out_resting += hostmemory_is_resting(m, &t, wall_ms());
        buffer_put_string(b, i ? ", " : "");
        buffer_put(b, buffer_span(&one));
        ASSERT(json_array_append_new(list, probe_text(buffer_span(&one))) == 0);
    }
    buffer_fini(&one);
    return list;
}

static void tell_host(struct probe *p, const struct mx_host *h)
{
    const struct hop *hop = itinerary_hop(&p->itinerary);
    struct buffer b = { 0 }, name = { 0 };
    json_t *detail = json_object();
    size_t resting;

    buffer_put_escaped(&name, h->name);
    probe_put(detail, "host", probe_text(h->name));
    probe_put(detail, "addresses",
              addresses_of(h, hop->port ? hop->port : 25, p->delivery->hosts,
                           &b, &resting));
    if (resting)
        probe_put(detail, "resting", json_integer((json_int_t)resting));
    probe_tell(p, "address", h->count ? PROBE_OK : PROBE_WARNING, detail,
               "%s: %s%s", buffer_string(&name),
               h->count ? buffer_string(&b) : "no address",
               resting ? " (failed lately: it is tried last)" : "");
    buffer_fini(&b);
    buffer_fini(&name);
}

static void tell_exchangers(struct probe *p, const struct mx_answer *a)
{
    json_t *detail = json_object(), *hosts = json_array();
    struct buffer b = { 0 };

    for (size_t i = 0; i < a->count; i++) {
        json_t *o = json_object();

        probe_put(o, "name", probe_text(a->hosts[i].name));
        probe_put(o, "preference", json_integer(a->hosts[i].preference));
        ASSERT(json_array_append_new(hosts, o) == 0);
        buffer_put_string(&b, i ? ", " : "");
        buffer_put_escaped(&b, a->hosts[i].name);
        buffer_printf(&b, " (%u)", a->hosts[i].preference);
    }
    probe_put(detail, "dnssec", json_boolean(a->is_secure));
    probe_put(detail, "hosts", hosts);
    probe_tell(p, "mx", PROBE_OK, detail, "mail for %.*s goes to %s%s",
               SPAN_FMT(p->target.domain), buffer_string(&b),
               a->is_secure ? "; signed, and the signature holds"
                            : "; not signed with DNSSEC");
    buffer_fini(&b);
}

void probe_lookup_tell(void *user, const struct mx_answer *a)
{
    struct probe *p = user;
    const struct hop *hop = itinerary_hop(&p->itinerary);
    bool is_mx = hop->kind == HOP_MX;
    bool is_answer = a->kind == RESOLVER_OK && a->count;
    struct buffer why = { 0 };

    if (is_answer && is_mx)
        tell_exchangers(p, a);
    for (size_t i = 0; is_answer && !hop->is_literal && i < a->count; i++)
        tell_host(p, &a->hosts[i]);
    buffer_put_escaped(&why, a->why);
    if (!is_answer && (!is_mx || a->kind == RESOLVER_FAILED))
        probe_fail(p, is_mx ? "mx" : "dns", FAILURE_LOOKUP, NULL,
                   "%.*s cannot be looked up: %s",
                   SPAN_FMT(is_mx ? p->target.domain : hop->host),
                   why.len ? buffer_string(&why) : "no address");
    buffer_fini(&why);
}
