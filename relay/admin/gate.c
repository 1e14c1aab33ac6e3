/*
 * gate - may this request come in, as far as its header tells?
 */
#include "relay/admin/gate.h"

#include "policy/vocabulary/network.h"

#include <stddef.h>

/* ------------------------------------------------------------- names ---- */

/* Without port; an IPv6 address keeps its brackets. */
static struct span without_port(struct span authority)
{
    size_t close = span_find(authority, ']');
    size_t colon = span_find_last(authority, ':');

    if (colon == authority.len || (close < authority.len && colon < close))
        return authority;
    return span_first(authority, colon);
}

static bool is_address(struct span name)
{
    struct host_address ignored;

    if (name.len > 2 && name.at[0] == '[' && name.at[name.len - 1] == ']')
        name = span_skip(span_first(name, name.len - 1), 1);
    return host_address_parse(name, &ignored);
}

/* It was given to us: by the configuration. */
static bool is_given(const struct gate *g, struct span name)
{
    if (g->hostname.len && span_is_nocase(name, g->hostname))
        return true;
    for (size_t i = 0; i < g->host_count; i++)
        if (span_is_nocase(name, g->hosts[i]))
            return true;
    return false;
}

/* On the unix socket a name without a dot too, which programs make up (http://x/): a
 * stranger cannot have such a one point to us. */
static bool is_ours(const struct gate *g, struct span host, bool is_local)
{
    struct span name = without_port(host);

    if (name.len && name.at[name.len - 1] == '.')
        name = span_first(name, name.len - 1);
    return span_is_nocase(name, SPAN("localhost")) || is_address(name) ||
           is_given(g, name) ||
           (is_local && name.len && span_find(name, '.') == name.len);
}

/* The page is one of ours: of the very authority that is asked, or (there is a proxy in
 * front) of a name that was given to us. */
static bool is_own_page(const struct gate *g, struct span origin,
                        const char *host)
{
    struct span authority;

    if (span_starts_nocase(origin, SPAN("http://")))
        authority = span_skip(origin, 7);
    else if (span_starts_nocase(origin, SPAN("https://")))
        authority = span_skip(origin, 8);
    else
        return false;
    return (host && span_is_nocase(authority, span_of(host))) ||
           is_given(g, without_port(authority));
}

/* ---------------------------------------------------------- judgement ---- */

static struct gate_refusal refuse(int status, const char *text)
{
    return (struct gate_refusal){ status, text };
}

static bool is_foreign(const struct gate *g, const struct gate_request *q)
{
    if (q->origin && !is_own_page(g, span_of(q->origin), q->host))
        return true;
    return q->site && !span_is_nocase(span_of(q->site), SPAN("same-origin")) &&
           !span_is_nocase(span_of(q->site), SPAN("none"));
}

struct gate_refusal gate_meet(const struct gate *g,
                              const struct gate_request *q)
{
    /* RFC 9112 6.3: such bodies end differently for different readers. */
    if (q->lengths > 1 || q->codings > 1 || (q->lengths && q->codings))
        return refuse(400, "the length of the body is said twice");
    if (q->coding && !span_is_nocase(span_of(q->coding), SPAN("chunked")))
        return refuse(400, "the only transfer coding here is chunked");
    if (q->names > 1)
        return refuse(400, "the host is said twice");
    if (q->host && !is_ours(g, span_of(q->host), q->is_local))
        return refuse(421, "this is no host of that name; names beside "
                           "localhost, addresses and the hostname are to be "
                           "in admin { allow-hosts }");
    if (q->is_change && is_foreign(g, q))
        return refuse(403, "a page of another site may change nothing here");
    return refuse(0, NULL);
}

struct gate_refusal gate_read(const struct gate_request *q)
{
    static const char *const forms[] = { "application/x-www-form-urlencoded",
                                         "multipart/form-data", "text/plain" };
    struct span media = span_of(q->media ? q->media : ""), rest;

    if (!q->is_change || q->is_local)
        return refuse(0, NULL);
    media = span_trim(span_split(media, ';', &rest));
    if (span_is_nocase(media, SPAN("application/json")))
        return refuse(0, NULL);
    for (size_t i = 0; i < sizeof(forms) / sizeof(forms[0]); i++)
        if (span_is_nocase(media, span_of(forms[i])))
            return refuse(403, "a form may change nothing here; the body "
                               "should be application/json");
    return refuse(415, "the body should be application/json");
}

struct gate_refusal gate_pass(enum role has, enum role needs)
{
    if (has >= needs)
        return refuse(0, NULL);
    if (needs == ROLE_LOCAL)
        return refuse(403, "this is possible only over the unix socket");
    if (has == ROLE_ANYONE)
        return refuse(401, "a token is needed: Authorization: Bearer TOKEN");
    return refuse(403, "this needs a token with the role operator");
}

struct span gate_token(const char *authorization)
{
    struct span s = span_of(authorization ? authorization : "");

    if (!span_starts_nocase(s, SPAN("Bearer ")))
        return SPAN("");
    return span_trim(span_skip(s, 7));
}

/* ------------------------------------------------------------- making ---- */

void gate_name(struct gate *g, struct span hostname, const struct span *hosts,
               size_t count)
{
    gate_fini(g);
    g->hostname = arena_copy(&g->arena, hostname);
    g->hosts = arena_take(&g->arena, (count + 1) * sizeof(*g->hosts));
    for (size_t i = 0; i < count; i++)
        g->hosts[i] = arena_copy(&g->arena, hosts[i]);
    g->host_count = count;
}

void gate_fini(struct gate *g)
{
    arena_reset(&g->arena);
    *g = (struct gate){ 0 };
}
