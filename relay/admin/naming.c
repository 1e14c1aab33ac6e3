/*
 * naming - which destinations does a person mean?
 */
#include "relay/admin/naming.h"

#include "policy/route.h"
#include "policy/vocabulary/address.h"

#include <fnmatch.h>

bool naming_is_meant(const char *said, struct span name)
{
    struct buffer b = { 0 };
    bool is_it;

    if (!*said || span_begins_nocase(name, span_of(said)))
        return true;
    buffer_put(&b, name);
    is_it = fnmatch(said, buffer_string(&b), FNM_CASEFOLD) == 0;
    buffer_fini(&b);
    return is_it;
}

/* A rule may send any domain by it. */
static bool has_mx(const struct settings *s)
{
    for (size_t i = 0; s && i < s->route_count; i++)
        if (s->routes[i].via_count && s->routes[i].via[0].kind == HOP_MX)
            return true;
    return false;
}

/* Each domain that goes by MX is a destination of its own: any may be named. */
static void tell_mx(const struct settings *s, struct span said, naming_fn *each,
                    void *user)
{
    struct span domain =
        span_first(span_skip(said, 3), span_find(span_skip(said, 3), ' '));
    const struct route *r = s ? route_of_lane(s, domain) : NULL;
    struct buffer name = { 0 };

    if (r && r->via_count && r->via[0].kind == HOP_MX)
        destination_name(r, domain, &name);
    each(user, span_begins_nocase(buffer_span(&name), said) ? buffer_span(&name)
                                                            : said);
    buffer_fini(&name);
}

void naming_each_route(const struct settings *s, const char *said,
                       naming_fn *each, void *user)
{
    struct span name = span_of(said);

    if (span_starts_nocase(name, SPAN("mx:"))) {
        if (has_mx(s))
            tell_mx(s, name, each, user);
        return;
    }
    for (size_t i = 0; s && i < s->route_count; i++) {
        struct span key = s->routes[i].key;
        bool is_told = false;

        for (size_t k = 0; k < i && !is_told; k++)
            is_told = span_is(s->routes[k].key, key);
        if (!is_told && span_begins_nocase(key, name))
            each(user, key);
    }
}

/* Where mail for a domain or an address goes; empty: it is none, or nowhere. */
static void put_destination_of(struct buffer *b, const struct settings *s,
                               struct span said)
{
    struct buffer text = { 0 }, lane = { 0 };
    struct address a;
    const struct route *r;

    if (span_find(said, '@') == said.len)
        buffer_put_string(&text, "postmaster@");
    buffer_put(&text, said);
    if (s && s->route_index &&
        address_parse(buffer_span(&text), &a) == ADDRESS_OK && a.domain.len &&
        lane_key(s, (struct span){ 0 }, &a, &lane) == 0 &&
        (r = route_of_lane(s, buffer_span(&lane))))
        destination_name(r, buffer_span(&lane), b);
    buffer_fini(&text);
    buffer_fini(&lane);
}

void naming_put_fault(struct buffer *b, const struct settings *s,
                      const char *said)
{
    struct buffer where = { 0 };

    put_destination_of(&where, s, span_of(said));
    buffer_printf(b, "there is no destination \"%s\": ", said);
    if (where.len)
        buffer_printf(b, "its mail goes to \"%.*s\", name that",
                      SPAN_FMT(buffer_span(&where)));
    else
        buffer_put_string(b, "waypost dest list tells their names");
    buffer_fini(&where);
}
