/*
 * protection - TLS and logins of a route: what holds where nothing is written, and
 * what does not go together.
 *
 * What counts are the hosts that are connected to: the members of via, or where a
 * pickup's mail is delivered to.
 */
#include "policy/config/protection.h"

#include "policy/config/accounts.h"
#include "policy/config/hops.h"
#include "policy/config/valuecheck.h"

const char *const protection_words[] = {
    [ROUTE_TLS_NONE] = "none",         [ROUTE_TLS_OPTIONAL] = "optional",
    [ROUTE_TLS_REQUIRED] = "required", [ROUTE_TLS_VERIFY] = "verify",
    [ROUTE_TLS_DANE] = "dane",         [ROUTE_TLS_DANE_ONLY] = "dane-only",
    NULL,
};

/* The hops that are connected to. */
struct reach {
    struct hop *hops;
    size_t count;
};

static struct reach reach_of(const struct route *route)
{
    if (route->offline.deliver_to)
        return (struct reach){ route->offline.deliver_to, 1 };
    return (struct reach){ route->via, route->via_count };
}

/* Counts the hops of which this is so. */
typedef bool hop_is_fn(const struct hop *hop);

static bool is_socket(const struct hop *hop)
{
    return hop->path.len;
}

/* Nothing there to connect to. */
static bool is_nobody(const struct hop *hop)
{
    return hop->kind == HOP_PICKUP || hop->kind == HOP_MAILDIR;
}

static bool is_lmtp(const struct hop *hop)
{
    return hop->kind == HOP_LMTP;
}

static bool is_smtps(const struct hop *hop)
{
    return hop->kind == HOP_SMTPS;
}

static bool is_literal(const struct hop *hop)
{
    return hop->is_literal;
}

static bool has_account(const struct hop *hop)
{
    return hop->account;
}

static size_t count_hops(const struct route *route, hop_is_fn *is)
{
    struct reach to = reach_of(route);
    size_t count = 0;

    for (size_t i = 0; i < to.count; i++)
        count += is(&to.hops[i]);
    return count;
}

static bool is_all(const struct route *route, hop_is_fn *is)
{
    return count_hops(route, is) == reach_of(route).count;
}

bool protection_check_name(struct reading *r, const struct syntax_text *t,
                           struct span *value)
{
    struct host_address ignored;

    return host_address_parse(t->text, &ignored) ||
           valuecheck_domain(r, t, value);
}

enum route_tls protection_default(const struct route *route)
{
    if (is_all(route, is_socket))
        return ROUTE_TLS_NONE;
    if (route->account || count_hops(route, has_account) ||
        count_hops(route, is_smtps))
        return ROUTE_TLS_VERIFY;
    if (route->via[0].kind == HOP_MX)
        return ROUTE_TLS_DANE;
    return is_all(route, is_lmtp) ? ROUTE_TLS_NONE : ROUTE_TLS_OPTIONAL;
}

static void check_tls(struct reading *r, const struct route *route,
                      const struct syntax_entry *section)
{
    bool is_must = route->tls == ROUTE_TLS_REQUIRED ||
                   route->tls == ROUTE_TLS_VERIFY ||
                   route->tls == ROUTE_TLS_DANE_ONLY;

    if (route->tls == ROUTE_TLS_NONE && count_hops(route, is_smtps))
        faults_add(&r->faults, keys_place(section, "tls"),
                   "smtps:// is TLS from the first byte; smtp:// is without");
    if (is_must && keys_find(section->entries, "tls") &&
        count_hops(route, is_socket))
        faults_add(&r->faults, keys_place(section, "tls"),
                   "there is no TLS on a socket of this machine");
    if (route->tls == ROUTE_TLS_DANE_ONLY && count_hops(route, is_literal))
        faults_add(&r->faults, keys_place(section, "tls"),
                   "an address has no TLSA records: dane-only wants names in "
                   "via");
    if (route->tls_name.len && route->tls != ROUTE_TLS_VERIFY)
        faults_add(&r->faults, keys_place(section, "tls-name"),
                   "tls-name is only looked at with tls = verify");
    if (!route->certificate.len != !route->certificate_key.len)
        faults_add(&r->faults,
                   keys_place(section, route->certificate.len
                                           ? "certificate"
                                           : "certificate-key"),
                   "certificate and certificate-key go together");
    else if (route->certificate.len && route->tls == ROUTE_TLS_NONE)
        faults_add(&r->faults, keys_place(section, "certificate"),
                   "without TLS no certificate is shown");
}

/* EXTERNAL alone is a matter of the certificate. */
static void check_external(struct reading *r, const struct route *route,
                           const struct syntax_entry *section)
{
    struct reach to = reach_of(route);

    for (size_t i = 0; i < to.count && !route->certificate.len; i++) {
        const struct account *a = to.hops[i].account;

        if (!a || accounts_show_secret(a))
            continue;
        faults_add(&r->faults,
                   keys_place(section, route->account ? "account" : "via"),
                   "account %s shows a certificate, and this route has none: "
                   "certificate = FILE  certificate-key = FILE",
                   faults_quote(&r->faults, a->title));
        return;
    }
}

/* A secret must not be read on the way, unless that was asked for. */
static void check_secrets(struct reading *r, const struct route *route,
                          const struct syntax_entry *section)
{
    struct place place = keys_place(section, "tls");
    struct reach to = reach_of(route);

    if (route->tls == ROUTE_TLS_REQUIRED || route->tls == ROUTE_TLS_VERIFY ||
        route->tls == ROUTE_TLS_DANE_ONLY)
        return;
    for (size_t i = 0; i < to.count; i++) {
        const struct hop *hop = &to.hops[i];

        if (!hop->account || !accounts_show_secret(hop->account) ||
            hop->kind == HOP_SMTPS || hops_are_local(hop))
            continue;
        if (route->tls == ROUTE_TLS_NONE)
            faults_warn(&r->faults, place,
                        "the secret for %s goes over the network in clear "
                        "text",
                        faults_quote(&r->faults, hop->text));
        else
            faults_add(&r->faults, place,
                       "the secret for %s could go over the network in clear "
                       "text: tls = verify (or required, or none if that is "
                       "meant)",
                       faults_quote(&r->faults, hop->text));
        return;
    }
}

/* What is said only to a host that is connected to. A customer who fetches connects
 * himself: the most that can be asked of him is TLS. */
static void check_nobody(struct reading *r, const struct route *route,
                         const struct syntax_entry *section)
{
    static const char *const names[] = { "tls-name", "account", "user",
                                         "certificate" };
    const char *kind = route->via[0].kind == HOP_MAILDIR ? "maildir" : "pickup";
    bool is_none = route->via[0].kind == HOP_MAILDIR;

    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        if (keys_find(section->entries, names[i]))
            faults_add(&r->faults, keys_place(section, names[i]),
                       "%s is for a host that is connected to, and a %s is "
                       "none%s",
                       names[i], kind,
                       is_none ? "" : " without offline { deliver-to }");
    if (keys_find(section->entries, "tls") &&
        route->tls > (is_none ? ROUTE_TLS_NONE : ROUTE_TLS_REQUIRED))
        faults_add(&r->faults, keys_place(section, "tls"),
                   is_none ? "there is no TLS into a maildir"
                           : "whoever fetches from a pickup is not looked up: "
                             "tls = none, optional or required");
}

void protection_set_tls(struct route *route, const struct syntax_entry *section)
{
    if (!keys_find(section->entries, "tls"))
        route->tls = protection_default(route);
}

void protection_share_account(struct route *route)
{
    struct reach to = reach_of(route);

    for (size_t i = 0; i < to.count; i++)
        if (!to.hops[i].account)
            to.hops[i].account = route->account;
}

void protection_check(struct reading *r, const struct route *route,
                      const struct syntax_entry *section)
{
    if (is_all(route, is_nobody)) {
        check_nobody(r, route, section);
        return;
    }
    check_tls(r, route, section);
    check_external(r, route, section);
    check_secrets(r, route, section);
}
