/*
 * routes - what a route section says.
 */
#include "policy/config/routes.h"

#include "policy/config/accounts.h"
#include "policy/config/hops.h"
#include "policy/config/sections.h"
#include "policy/config/titles.h"
#include "policy/pattern.h"

enum { FOLD_LEAST = 72, FOLD_MOST = LIMIT_LINE };

static const char *const tls_words[] = {
    [ROUTE_TLS_NONE] = "none",         [ROUTE_TLS_OPTIONAL] = "optional",
    [ROUTE_TLS_REQUIRED] = "required", [ROUTE_TLS_VERIFY] = "verify",
    [ROUTE_TLS_DANE] = "dane",         NULL,
};

static const char *const convert_words[] = {
    [CONVERT_NEVER] = "never",
    [CONVERT_UNSIGNED] = "unsigned",
    [CONVERT_ALWAYS] = "always",
    NULL,
};

/* --- patterns --------------------------------------------------------------
 */

/* The form that route.c looks up: folded, "*." in front of what is below. */
static bool check_to(struct reading *r, const struct syntax_text *t,
                     struct span *value)
{
    struct buffer b = { 0 };
    struct pattern p = { .kind = PATTERN_NULL };
    bool ok = pattern_parse(r->arena, t->text, PATTERN_OF_MAILBOX, &p, &b);

    if (ok && (p.kind == PATTERN_NULL || p.kind == PATTERN_EXPRESSION)) {
        buffer_put_string(&b, "is not what a route can be found by: a domain, "
                              "*.domain, an address, or *");
        ok = false;
    }
    if (ok) {
        buffer_put_string(&b, p.kind == PATTERN_BELOW ? "*." : "");
        buffer_put(&b, p.text);
        *value = arena_copy(r->arena, buffer_span(&b));
    } else {
        faults_add(&r->faults, t->place, "%s %s",
                   faults_quote(&r->faults, t->text), buffer_string(&b));
    }
    buffer_fini(&b);
    return ok;
}

static bool check_from(struct reading *r, const struct syntax_text *t,
                       struct span *value)
{
    struct buffer why = { 0 };
    struct pattern ignored;
    bool ok =
        pattern_parse(r->arena, t->text, PATTERN_OF_MAILBOX, &ignored, &why);

    (void)value;
    if (!ok)
        faults_add(&r->faults, t->place, "%s %s",
                   faults_quote(&r->faults, t->text), buffer_string(&why));
    buffer_fini(&why);
    return ok;
}

/* --- what a route has of its own -------------------------------------------
 */

/* A route while its keys are read. */
struct draft {
    struct route route;
    struct account own; /* user and password-file of this route */
};

static void read_via(struct reading *r, const struct key *key,
                     const struct syntax_entry *e, void *object)
{
    (void)key;
    hops_read(r, e, &((struct draft *)object)->route);
}

static void read_account(struct reading *r, const struct key *key,
                         const struct syntax_entry *e, void *object)
{
    const struct syntax_text *t = keys_only_text(r, e);

    (void)key;
    if (t)
        ((struct draft *)object)->route.account =
            accounts_find(r, t->text, t->place);
}

/* What a certificate is held against: a name, or an address. */
static bool check_tls_name(struct reading *r, const struct syntax_text *t,
                           struct span *value)
{
    struct host_address ignored;

    return host_address_parse(t->text, &ignored) ||
           sections_check_domain(r, t, value);
}

/* --- the section -----------------------------------------------------------
 */

#define IN(field) offsetof(struct draft, route.field)

/* clang-format off */
static const struct key route_keys[] = {
    { "to",          KEY_LIST,     IN(to), IN(to_count), .check = check_to },
    { "from",        KEY_LIST,     IN(from), IN(from_count), .check = check_from },
    { "via",         KEY_OWN,      .read = read_via },
    { "tls",         KEY_WORD,     IN(tls), .words = tls_words, .grows = true },
    { "tls-name",    KEY_TEXT,     IN(tls_name), .check = check_tls_name },
    { "certificate", KEY_TEXT,     IN(certificate),
      .check = sections_check_path },
    { "certificate-key", KEY_TEXT, IN(certificate_key),
      .check = sections_check_path },
    { "account",     KEY_OWN,      .read = read_account },
    { "user",        KEY_TEXT,     offsetof(struct draft, own.user) },
    { "password-file", KEY_TEXT,   offsetof(struct draft, own.password_file),
      .check = sections_check_path },
    { "convert",     KEY_WORD,     IN(convert), .normal = "unsigned",
      .words = convert_words },
    { "fold",        KEY_NUMBER,   IN(fold), .normal = "0", .high = FOLD_MOST },
    { "chunking",    KEY_BOOLEAN,  IN(chunking), .normal = "true" },
    { "xforward",    KEY_BOOLEAN,  IN(xforward), .normal = "false" },
    { "connections", KEY_NUMBER,   IN(connections), .normal = "20",
      .low = 1, .high = 10000 },
    { "messages-per-connection", KEY_NUMBER, IN(messages_per_connection),
      .normal = "0", .high = 1000000 },
    { "idle",        KEY_DURATION, IN(idle_ms), .normal = "2s",
      .high = 300 * 1000ull },
    SECTIONS_RETRY_KEYS(IN(retry), NULL, NULL, NULL, NULL, NULL),
};
/* clang-format on */

static const struct key_table table = KEY_TABLE("a route", route_keys);

/* Without `to` the title is the pattern. */
static void take_title_as_pattern(struct reading *r, struct route *route,
                                  const struct syntax_entry *section)
{
    struct span value = section->title.text;

    if (value.len == 0 || !check_to(r, &section->title, &value))
        return;
    route->to = arena_take(r->arena, sizeof *route->to);
    route->to[0] = value;
    route->to_count = 1;
}

/* user and password-file are an account without a title. */
static void take_own_account(struct reading *r, struct draft *d,
                             const struct syntax_entry *section)
{
    bool has_user = keys_find(section->entries, "user"),
         has_file = keys_find(section->entries, "password-file");
    struct account *own;

    if (!has_user && !has_file)
        return;
    if (keys_find(section->entries, "account")) {
        faults_add(&r->faults,
                   keys_place(section, has_user ? "user" : "password-file"),
                   "the account has its own user and secret");
        return;
    }
    if (!d->own.user.len || !has_file) {
        faults_add(&r->faults,
                   keys_place(section, has_user ? "user" : "password-file"),
                   "user and password-file go together");
        return;
    }
    own = arena_take(r->arena, sizeof *own);
    *own = d->own;
    own->place = keys_place(section, "user");
    d->route.account = own;
}

/* --- TLS -------------------------------------------------------------------
 */

/* Counts the hops of which this is so. */
typedef bool hop_is_fn(const struct hop *hop);

static bool is_socket(const struct hop *hop)
{
    return hop->path.len;
}

static bool is_lmtp(const struct hop *hop)
{
    return hop->kind == HOP_LMTP;
}

static bool is_smtps(const struct hop *hop)
{
    return hop->kind == HOP_SMTPS;
}

static bool has_account(const struct hop *hop)
{
    return hop->account;
}

static size_t count_hops(const struct route *route, hop_is_fn *is)
{
    size_t count = 0;

    for (size_t i = 0; i < route->via_count; i++)
        count += is(&route->via[i]);
    return count;
}

static enum route_tls default_tls(const struct route *route)
{
    if (count_hops(route, is_socket) == route->via_count)
        return ROUTE_TLS_NONE;
    if (route->account || count_hops(route, has_account) ||
        count_hops(route, is_smtps))
        return ROUTE_TLS_VERIFY;
    if (route->via[0].kind == HOP_MX)
        return ROUTE_TLS_DANE;
    return count_hops(route, is_lmtp) == route->via_count ? ROUTE_TLS_NONE
                                                          : ROUTE_TLS_OPTIONAL;
}

static void check_tls(struct reading *r, const struct route *route,
                      const struct syntax_entry *section)
{
    bool is_must =
        route->tls == ROUTE_TLS_REQUIRED || route->tls == ROUTE_TLS_VERIFY;

    if (route->tls == ROUTE_TLS_NONE && count_hops(route, is_smtps))
        faults_add(&r->faults, keys_place(section, "tls"),
                   "smtps:// is TLS from the first byte; smtp:// is without");
    if (is_must && keys_find(section->entries, "tls") &&
        count_hops(route, is_socket))
        faults_add(&r->faults, keys_place(section, "tls"),
                   "there is no TLS on a socket of this machine");
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
    for (size_t i = 0; i < route->via_count && !route->certificate.len; i++) {
        const struct account *a = route->via[i].account;

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

    if (route->tls == ROUTE_TLS_REQUIRED || route->tls == ROUTE_TLS_VERIFY)
        return;
    for (size_t i = 0; i < route->via_count; i++) {
        const struct hop *hop = &route->via[i];

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

/* --- the key ---------------------------------------------------------------
 */

static void put_part(struct buffer *b, const char *name, struct span value)
{
    if (value.len == 0)
        return;
    buffer_printf(b, " %s=", name);
    hops_print_name(b, value);
}

/* What must not share a connection has different keys. */
static void make_key(struct reading *r, struct route *route)
{
    const struct account *a = route->account;
    struct buffer b = { 0 };

    hops_print(&b, route);
    if (route->tls != default_tls(route))
        put_part(&b, "tls", span_of(tls_words[route->tls]));
    if (a) {
        put_part(&b, "account", a->title.len ? a->title : a->user);
        /* a title has no bare colon */
        if (a->title.len == 0) {
            buffer_put_byte(&b, ':');
            hops_print_name(&b, a->password_file);
        }
    }
    put_part(&b, "name", route->tls_name);
    put_part(&b, "cert", route->certificate);
    route->key = arena_copy(r->arena, buffer_span(&b));
    buffer_fini(&b);
}

static void finish(struct reading *r, const struct syntax_entry *section,
                   struct draft *d)
{
    struct route *route = &d->route;

    take_own_account(r, d, section);
    if (route->via_count == 0)
        return;
    if (!keys_find(section->entries, "tls"))
        route->tls = default_tls(route);
    make_key(r, route);
    for (size_t i = 0; i < route->via_count; i++)
        if (!route->via[i].account)
            route->via[i].account = route->account;
}

static void read_route(struct reading *r, const struct syntax_entry *section,
                       struct route *route)
{
    struct draft draft = { .route.title = route->title };
    size_t faults_before = r->faults.fault_count;

    draft.route.place = section->place;
    draft.route.retry = r->settings->retry;
    keys_set_defaults(r, &table, &draft);
    keys_read(r, &table, section->entries, &draft);
    if (!keys_find(section->entries, "to"))
        take_title_as_pattern(r, &draft.route, section);
    if (!keys_find(section->entries, "via"))
        faults_add(&r->faults, section->place,
                   "a route needs a next hop: via = {\"mx\"} or via = "
                   "{\"smtp://HOST:PORT\"}");
    if (draft.route.fold && draft.route.fold < FOLD_LEAST)
        faults_add(&r->faults, keys_place(section, "fold"),
                   "lines are folded at %d to %d characters, or not at all "
                   "(0)",
                   FOLD_LEAST, FOLD_MOST);
    sections_check_retry(r, &draft.route.retry, section);
    finish(r, section, &draft);
    *route = draft.route;
    /* with a key misread, what it would mean for the others is not known */
    if (r->faults.fault_count > faults_before)
        return;
    check_tls(r, route, section);
    check_external(r, route, section);
    check_secrets(r, route, section);
}

void routes_read(struct reading *r, const struct syntax_entry *first,
                 size_t count)
{
    struct route *routes = arena_take(r->arena, count * sizeof *routes);
    const struct syntax_entry *e = first;
    struct titles titles = { 0 };

    for (size_t i = 0; i < count; i++, e = e->next_of_kind) {
        routes[i].title = titles_take(&titles, r, "route", e);
        read_route(r, e, &routes[i]);
    }
    titles_fini(&titles);
    r->settings->routes = routes;
    r->settings->route_count = count;
}
