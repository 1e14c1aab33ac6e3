/*
 * fetches - what a fetch section says: a provider whose customer we are.
 *
 * How the provider is reached is a route with one next hop, under the rules for TLS and
 * logins that hold for every route. What comes from there is received as if a listener of
 * the fetch's title had accepted the connection; it offers neither TLS nor logins, since
 * the connection has had both. RFC 2645.
 */
#include "policy/config/fetches.h"

#include "policy/config/accounts.h"
#include "policy/config/hops.h"
#include "policy/config/lists.h"
#include "policy/config/protection.h"
#include "policy/config/sections.h"
#include "policy/config/titles.h"
#include "policy/config/valuecheck.h"

enum {
    ODMR_PORT = 366,
    /* One ATRN line, with its verb and line end. RFC 5321 4.5.3.1.4 */
    DOMAINS_MOST = 512 - (sizeof "ATRN \r\n" - 1),
};

/* A fetch while its keys are read. */
struct draft {
    struct fetch_settings fetch;
    struct account own; /* user, password-file and mechanisms of this fetch */
    struct hop hop;
};

static void read_from(struct reading *r, const struct key *key,
                      const struct syntax_entry *e, void *object)
{
    const struct syntax_text *t = keys_only_text(r, e);
    struct draft *d = object;

    (void)key;
    if (!t || !hops_read_provider(r, t, ODMR_PORT, &d->hop))
        return;
    d->fetch.route.via = arena_take(r->arena, sizeof d->hop);
    d->fetch.route.via[0] = d->hop;
    d->fetch.route.via_count = 1;
}

static void read_login(struct reading *r, const struct key *key,
                       const struct syntax_entry *e, void *object)
{
    const struct syntax_text *t = keys_only_text(r, e);

    (void)key;
    if (t)
        ((struct draft *)object)->fetch.route.account =
            accounts_find(r, t->text, t->place);
}

#define IN(field)  offsetof(struct draft, fetch.field)
#define OWN(field) offsetof(struct draft, own.field)

/* clang-format off */
static const struct key fetch_keys[] = {
    { "from",            KEY_OWN,  .read = read_from },
    { "login",           KEY_OWN,  .read = read_login },
    { "user",            KEY_TEXT, OWN(user) },
    { "password-file",   KEY_TEXT, OWN(password_file),
      .check = valuecheck_path },
    { "mechanisms",      KEY_OWN,  OWN(mechanisms), .read = lists_mechanisms },
    { "domains",         KEY_LIST, IN(domains), IN(domain_count),
      .check = valuecheck_domain },
    { "every",           KEY_DURATION, IN(every_ms), .normal = "0",
      .high = DURATION_MOST },
    { "tls",             KEY_WORD, IN(route.tls),
      .words = protection_words },
    { "tls-name",        KEY_TEXT, IN(route.tls_name),
      .check = protection_check_name },
    { "certificate",     KEY_TEXT, IN(route.certificate),
      .check = valuecheck_path },
    { "certificate-key", KEY_TEXT, IN(route.certificate_key),
      .check = valuecheck_path },
};
/* clang-format on */

static const struct key_table table = KEY_TABLE("a fetch", fetch_keys);

/* What it receives is told from what a listener does by its title. */
static void check_title(struct reading *r, const struct syntax_entry *section,
                        struct span title)
{
    const struct settings *s = r->settings;

    for (size_t i = 0; i < s->listener_count; i++)
        if (title.len && span_is(s->listeners[i].title, title))
            faults_add(&r->faults, section->title.place,
                       "the listener at %s has the title %s already, and a "
                       "rule tells them apart by it",
                       faults_place(&r->faults, s->listeners[i].place),
                       faults_quote(&r->faults, title));
}

static void check_login(struct reading *r, const struct syntax_entry *section,
                        const struct draft *d)
{
    if (keys_find(section->entries, "mechanisms") &&
        !keys_find(section->entries, "user"))
        faults_add(&r->faults, keys_place(section, "mechanisms"),
                   "mechanisms go with user and password-file; an account has "
                   "its own");
    if (!d->fetch.route.via[0].account)
        faults_add(&r->faults, section->place,
                   "a provider gives mail only to whom it knows: login = "
                   "ACCOUNT, or user and password-file");
}

static void check_domains(struct reading *r, const struct syntax_entry *section,
                          const struct fetch_settings *f)
{
    size_t len = 0;

    for (size_t i = 0; i < f->domain_count; i++) {
        len += f->domains[i].len + (i > 0);
        for (size_t j = 0; j < i; j++)
            if (span_is(f->domains[i], f->domains[j]))
                faults_add(&r->faults, keys_place(section, "domains"),
                           "%s stands twice",
                           faults_quote(&r->faults, f->domains[i]));
    }
    if (len > DOMAINS_MOST)
        faults_add(&r->faults, keys_place(section, "domains"),
                   "these are more than one ATRN can name (%d bytes with the "
                   "commas): write another fetch for the rest",
                   DOMAINS_MOST);
}

static void read_fetch(struct reading *r, const struct syntax_entry *section,
                       struct fetch_settings *f)
{
    struct draft d = { .fetch.title = f->title };
    struct route *route = &d.fetch.route;
    size_t faults_before = r->faults.fault_count;

    d.fetch.place = route->place = section->place;
    route->title = f->title;
    keys_set_defaults(r, &table, &d);
    keys_read(r, &table, section->entries, &d);
    if (!keys_find(section->entries, "from"))
        faults_add(&r->faults, section->place,
                   "a fetch needs a provider: from = \"smtps://HOST\"");
    accounts_take_own(r, &d.own, "login", section, &route->account);
    d.fetch.listener = (struct listener_settings){ .title = f->title,
                                                   .is_fetch = true,
                                                   .place = section->place };
    if (r->faults.fault_count == faults_before) {
        protection_set_tls(route, section);
        protection_share_account(route);
        check_login(r, section, &d);
        check_domains(r, section, &d.fetch);
        protection_check(r, route, section);
    }
    *f = d.fetch;
}

void fetches_read(struct reading *r, const struct syntax_entry *first,
                  size_t count)
{
    struct fetch_settings *list = arena_take(r->arena, count * sizeof *list);
    const struct syntax_entry *e = first;
    struct titles titles = { 0 };

    for (size_t i = 0; i < count; i++, e = e->next_of_kind) {
        list[i].title = titles_take(&titles, r, "fetch", e);
        read_fetch(r, e, &list[i]);
        check_title(r, e, list[i].title);
    }
    titles_fini(&titles);
    r->settings->fetches = list;
    r->settings->fetch_count = count;
}
