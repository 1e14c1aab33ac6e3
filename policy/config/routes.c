/*
 * routes - what a route section says.
 */
#include "policy/config/routes.h"

#include "policy/config/absences.h"
#include "policy/config/accounts.h"
#include "policy/config/destinations.h"
#include "policy/config/hops.h"
#include "policy/config/protection.h"
#include "policy/config/rates.h"
#include "policy/config/sections.h"
#include "policy/config/tables.h"
#include "policy/config/titles.h"
#include "policy/config/valuecheck.h"
#include "policy/config/verify.h"
#include "policy/pattern.h"

enum { FOLD_LEAST = 72, FOLD_MOST = LIMIT_LINE };

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

static void read_to(struct reading *r, const struct key *key,
                    const struct syntax_entry *e, void *object)
{
    struct route *route = (struct route *)((char *)object + key->offset);
    struct syntax_entry rest;

    tables_take_all(r, e, TABLE_OF_ROUTES, &rest, &route->to_tables,
                    &route->to_table_count);
    route->to = arena_take(r->arena, rest.value_count * sizeof *route->to);
    for (size_t i = 0; i < rest.value_count; i++)
        if (check_to(r, &rest.values[i], &route->to[route->to_count]))
            route->to_count++;
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
    const struct syntax_entry *offline; /* the section; NULL: none */
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

static void read_offline(struct reading *r, const struct key *key,
                         const struct syntax_entry *e, void *object)
{
    struct draft *d = object;

    (void)key;
    d->offline = e;
    absences_read(r, e, &d->route);
}

static void read_rate(struct reading *r, const struct key *key,
                      const struct syntax_entry *e, void *object)
{
    struct route *route = &((struct draft *)object)->route;

    (void)key;
    rates_read(r, e, &route->rates, &route->rate_count);
    rates_check(r, e, route->rates, route->rate_count,
                "a route's rate counts messages");
    if (route->rate_count <= RATES_MOST)
        return;
    faults_add(&r->faults, e->values[RATES_MOST].place,
               "a route has %d rates at most", RATES_MOST);
    route->rate_count = RATES_MOST;
}

static void read_verify(struct reading *r, const struct key *key,
                        const struct syntax_entry *e, void *object)
{
    (void)key;
    verify_read(r, e, &((struct draft *)object)->route);
}

/* --- the section -----------------------------------------------------------
 */

#define IN(field) offsetof(struct draft, route.field)

/* clang-format off */
static const struct key route_keys[] = {
    { "to",          KEY_OWN,      offsetof(struct draft, route),
      .read = read_to },
    { "from",        KEY_LIST,     IN(from), IN(from_count), .check = check_from },
    { "via",         KEY_OWN,      .read = read_via },
    { "tls",         KEY_WORD, IN(tls), .words = protection_words, },
    { "tls-name",    KEY_TEXT,     IN(tls_name), .check = protection_check_name },
    { "certificate", KEY_TEXT,     IN(certificate),
      .check = valuecheck_path },
    { "certificate-key", KEY_TEXT, IN(certificate_key),
      .check = valuecheck_path },
    { "account",     KEY_OWN,      .read = read_account },
    { "user",        KEY_TEXT,     offsetof(struct draft, own.user) },
    { "password-file", KEY_TEXT,   offsetof(struct draft, own.password_file),
      .check = valuecheck_path },
    { "convert",     KEY_WORD,     IN(convert), .normal = "unsigned",
      .words = convert_words },
    { "fold",        KEY_NUMBER,   IN(fold), .normal = "0", .high = FOLD_MOST },
    { "chunking",    KEY_BOOLEAN,  IN(chunking), .normal = "true" },
    { "xforward",    KEY_BOOLEAN,  IN(xforward), .normal = "false" },
    { "connections", KEY_NUMBER,   IN(connections), .normal = "20",
      .low = 1, .high = 10000 },
    { "rate",        KEY_OWN,      .read = read_rate },
    { "messages-per-connection", KEY_NUMBER, IN(messages_per_connection),
      .normal = "0", .high = 1000000 },
    { "idle",        KEY_DURATION, IN(idle_ms), .normal = "2s",
      .high = 300 * 1000ull },
    { "quota",       KEY_SIZE,     IN(quota_bytes), .normal = "0" },
    { "verify",      KEY_OWN,      .read = read_verify },
    { "verify-known", KEY_DURATION, IN(verify.known_ms), .normal = "7d",
      .low = 1000, .high = DURATION_MOST },
    { "verify-refused", KEY_DURATION, IN(verify.refused_ms), .normal = "1h",
      .low = 1000, .high = DURATION_MOST },
    { "verify-unknown", KEY_WORD,  IN(verify.unknown), .normal = "defer",
      .words = verify_unknown_words },
    { "offline",     KEY_SECTION,  .read = read_offline },
    /* for a pickup others hold where none is written: absences.h */
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

static void finish(struct reading *r, const struct syntax_entry *section,
                   struct draft *d)
{
    struct route *route = &d->route;

    accounts_take_own(r, &d->own, "account", section, &route->account);
    if (route->via_count == 0)
        return;
    absences_set_defaults(route, section);
    protection_set_tls(route, section);
    destinations_name(r, section, route);
    protection_share_account(route);
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
    absences_check(r, route, draft.offline);
    verify_check(r, route, section);
    protection_check(r, route, section);
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
    if (r->faults.fault_count == 0)
        destinations_check(r, routes, count);
    r->settings->routes = routes;
    r->settings->route_count = count;
}
