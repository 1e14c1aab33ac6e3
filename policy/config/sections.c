/*
 * sections - the table of sections, and the keys of the simple ones.
 *
 * Sections are read in the order of the table, not of the file: a route takes
 * the retry times of the retry section wherever that stands.
 */
#include "policy/config/sections.h"

#include "policy/config/accounts.h"
#include "policy/config/credentials.h"
#include "policy/config/fetches.h"
#include "policy/config/listeners.h"
#include "policy/config/localmail.h"
#include "policy/config/routes.h"
#include "policy/config/rules.h"
#include "policy/config/value.h"
#include "policy/config/valuecheck.h"
#include "policy/config/webhooks.h"

/* Where programs and browsers come in; what they show there is seen by all between. */
static void read_http(struct reading *r, const struct key *key,
                      const struct syntax_entry *e, void *object)
{
    struct settings *s = object;
    const struct syntax_text *t = keys_only_text(r, e);

    (void)key;
    if (!t)
        return;
    if (!value_endpoint(t->text, &s->admin.http_host, &s->admin.http_port)) {
        faults_add(&r->faults, t->place,
                   "%s is not an address with a port, such as 127.0.0.1:8025",
                   faults_quote(&r->faults, t->text));
        return;
    }
    s->admin.http = arena_copy(r->arena, t->text);
    if (!host_address_is_loopback(&s->admin.http_host))
        faults_warn(&r->faults, t->place,
                    "tokens go to %s in clear text: listen on 127.0.0.1 and "
                    "put a proxy with TLS in front",
                    faults_quote(&r->faults, t->text));
}

/* --- the keys ------------------------------------------------------------- */

#define IN(field) offsetof(struct settings, field)

static const char *const metric_words[] = {
    [METRIC_NAMES_WAYPOST] = "waypost",
    [METRIC_NAMES_POSTFIX_EXPORTER] = "postfix-exporter",
    NULL,
};

/* clang-format off */
static const struct key top_keys[] = {
    { "hostname",   KEY_TEXT,     IN(hostname),   .check = valuecheck_hostname },
    { "origin",     KEY_TEXT,     IN(origin),     .check = valuecheck_domain },
    { "postmaster", KEY_TEXT,     IN(postmaster), .check = valuecheck_address },
    { "aliases",    KEY_TEXT,     IN(aliases_file), .check = valuecheck_path },
    { "workers",    KEY_NUMBER,   IN(workers),    .normal = "0", .high = 256 },
    { "drain",      KEY_DURATION, IN(drain_ms),   .normal = "60s",
      .high = 3600 * 1000ull },
    { "user",       KEY_TEXT,     IN(user),       .check = valuecheck_account },
    { "sandbox",    KEY_BOOLEAN,  IN(sandbox),    .normal = "true" },
    { "srs-secret-file", KEY_TEXT, IN(srs.secret_file),
      .check = valuecheck_path },
    { "srs-domain", KEY_TEXT,     IN(srs.domain), .check = valuecheck_domain },
};

static const struct key queue_keys[] = {
    { "path",    KEY_TEXT,     IN(queue.path), .check = valuecheck_path },
    { "reserve", KEY_SIZE,     IN(queue.reserve_bytes), .normal = "0" },
    { "history", KEY_DURATION, IN(queue.history_ms), .normal = "30d",
      .high = DURATION_MOST },
    { "history-size", KEY_SIZE, IN(queue.history_bytes), .normal = "4GB" },
};

static const struct key admin_keys[] = {
    { "socket",      KEY_TEXT, IN(admin.socket), .check = valuecheck_socket },
    { "http",        KEY_OWN,  .read = read_http },
    { "tokens",      KEY_TEXT, IN(admin.tokens), .check = valuecheck_path },
    { "allow-hosts", KEY_LIST, IN(admin.hosts), IN(admin.host_count),
      .check = valuecheck_domain },
    { "metric-names", KEY_WORD, IN(admin.metric_names), .words = metric_words },
};

/* the numbers are those of limits.h; a test holds them against each other */
static const struct key limits_keys[] = {
    { "message",      KEY_SIZE,     IN(limits.message_bytes), .normal = "50MB",
      .low = 1024, .high = 1ull << 40 },
    { "header",       KEY_SIZE,     IN(limits.header_bytes), .normal = "256KB",
      .low = 1024, .high = 64ull << 20 },
    { "command-line", KEY_NUMBER,   IN(limits.command_line), .normal = "2048",
      .low = 512, .high = 65536 },
    { "recipients",   KEY_NUMBER,   IN(limits.recipients), .normal = "1000",
      .low = 1, .high = 100000 },
    { "hops",         KEY_NUMBER,   IN(limits.hops), .normal = "100",
      .low = 1, .high = 1000ull },
    { "sessions-per-client", KEY_NUMBER, IN(limits.sessions_per_client),
      .normal = "50", .low = 1, .high = 1000000 },
    { "errors",       KEY_NUMBER,   IN(limits.errors), .normal = "20",
      .low = 1, .high = 1000000 },
    { "silence",      KEY_DURATION, IN(limits.silence_ms), .normal = "5min",
      .low = 1000, .high = 24ull * 3600 * 1000 },
    { "data-rate",    KEY_NUMBER,   IN(limits.data_rate), .normal = "500",
      .high = 1u << 30 },
    { "login-failures", KEY_NUMBER, IN(limits.login_failures), .normal = "5",
      .low = 1, .high = 1000 },
    { "handshake",    KEY_DURATION, IN(limits.handshake_ms), .normal = "60s",
      .low = 1000, .high = 3600 * 1000ull },
    { "future-release", KEY_DURATION, IN(limits.future_release_ms),
      .normal = "30d", .high = 365ull * 24 * 3600 * 1000 },
};

static const struct key retry_keys[] = {
    SECTIONS_RETRY_KEYS(IN(retry), "60s", "1h", "5d", "2d", "4h"),
};

static const char *const resolver_modes[] = { "system", "recurse", "forward",
                                              NULL };

static const struct key resolver_keys[] = {
    { "mode",         KEY_WORD, IN(resolver.mode), .normal = "system",
      .words = resolver_modes },
    { "server",       KEY_LIST, IN(resolver.servers),
      IN(resolver.server_count), .check = valuecheck_server },
    { "insecure",     KEY_LIST, IN(resolver.insecure),
      IN(resolver.insecure_count), .check = valuecheck_domain },
    { "root-hints",   KEY_TEXT, IN(resolver.root_hints), .check = valuecheck_path },
    { "trust-anchor", KEY_TEXT, IN(resolver.trust_anchor), .check = valuecheck_path },
};

static const char *const log_forms[] = { "postfix", "json", NULL };

static const struct key log_keys[] = {
    { "form",   KEY_WORD,    IN(log.form), .normal = "postfix",
      .words = log_forms },
    { "tag",    KEY_TEXT,    IN(log.tag), .normal = "waypost",
      .check = valuecheck_tag },
    { "syslog", KEY_BOOLEAN, IN(log.syslog), .normal = "false" },
    { "file",   KEY_TEXT,    IN(log.file), .check = valuecheck_path },
};
/* clang-format on */

/* --- checks of whole sections -------------------------------------------- */

void sections_check_retry(struct reading *r, const struct retry_settings *retry,
                          const struct syntax_entry *section)
{
    if (retry->first_ms > retry->most_ms &&
        (keys_find(section->entries, "first") ||
         keys_find(section->entries, "most")))
        faults_add(&r->faults,
                   keys_place(section, keys_find(section->entries, "first")
                                           ? "first"
                                           : "most"),
                   "the first wait is longer than the longest");
}

static void check_retry(struct reading *r, const struct syntax_entry *section)
{
    sections_check_retry(r, &r->settings->retry, section);
}

static void check_log(struct reading *r, const struct syntax_entry *section)
{
    if (r->settings->log.file.len && r->settings->log.syslog)
        faults_add(&r->faults, keys_place(section, "file"),
                   "the log goes to a file or to syslog, not to both");
}

static void check_resolver(struct reading *r,
                           const struct syntax_entry *section)
{
    const struct resolver_settings *s = &r->settings->resolver;

    if (s->mode == RESOLVER_FORWARD && !keys_find(section->entries, "server"))
        faults_add(&r->faults, keys_place(section, "mode"),
                   "mode forward needs a server to forward to");
    if (s->mode != RESOLVER_FORWARD && keys_find(section->entries, "server"))
        faults_add(&r->faults, keys_place(section, "server"),
                   "a server is asked only with mode = forward");
    if (s->mode != RESOLVER_RECURSE &&
        keys_find(section->entries, "root-hints"))
        faults_add(&r->faults, keys_place(section, "root-hints"),
                   "root hints are used only with mode = recurse");
}

/* --- the sections ----------------------------------------------------------
 */

typedef void section_check_fn(struct reading *r,
                              const struct syntax_entry *section);
/* Sections that may stand many times, in file order. */
typedef void section_many_fn(struct reading *r,
                             const struct syntax_entry *first, size_t count);

/* clang-format off */
static const struct key_table tables[] = {
    KEY_TABLE("queue", queue_keys),       KEY_TABLE("admin", admin_keys),
    KEY_TABLE("limits", limits_keys),     KEY_TABLE("retry", retry_keys),
    KEY_TABLE("resolver", resolver_keys), KEY_TABLE("log", log_keys),
};

/* a listener asks what tls and users have, a route what account has, a fetch what
 * listeners are called */
static const struct section {
    const char *name;
    const struct key_table *table; /* of those that stand once */
    section_check_fn *check;
    section_many_fn *many;
    bool is_of_places; /* read also in brief */
} sections[] = {
    { "queue",    &tables[0],         NULL,                    NULL, true },
    { "admin",    &tables[1],         NULL,                    NULL, true },
    { "limits",   &tables[2],         NULL,                    NULL, true },
    { "sendmail", &localmail_table,   localmail_check,         NULL, true },
    { "retry",    &tables[3],         check_retry,             NULL },
    { "resolver", &tables[4],         check_resolver,          NULL },
    { "log",      &tables[5],         check_log,               NULL },
    { "tls",      &credentials_tls,   credentials_check_tls,   NULL },
    { "users",    &credentials_users, credentials_check_users, NULL },
    { "listener", NULL,               NULL,                    listeners_read },
    { "rule",     NULL,               NULL,                    rules_read },
    { "account",  NULL,               NULL,                    accounts_read },
    { "route",    NULL,               NULL,                    routes_read },
    { "fetch",    NULL,               NULL,                    fetches_read },
    { "webhook",  NULL,               NULL,                    webhooks_read },
};
/* clang-format on */

enum { SECTIONS = sizeof sections / sizeof sections[0] };

static const struct key_table top_table = {
    .what = "the top level",
    .keys = top_keys,
    .count = sizeof top_keys / sizeof top_keys[0],
    .passes_sections = true,
};

/* The sections of one kind, in file order. */
struct kind {
    struct syntax_entry *first, **end;
    size_t count;
};

static void read_once(struct reading *r, const struct section *s,
                      const struct syntax_entry *first)
{
    for (const struct syntax_entry *e = first; e; e = e->next_of_kind) {
        if (e != first)
            faults_add(&r->faults, e->place,
                       "%s stands a second time, first at %s", s->name,
                       faults_place(&r->faults, first->place));
        if (e->title.text.at)
            faults_add(&r->faults, e->title.place, "%s has no title", s->name);
    }
    if (!first)
        return;
    keys_read(r, s->table, first->entries, r->settings);
    if (s->check)
        s->check(r, first);
}

static void unknown_section(struct reading *r, const struct syntax_entry *e)
{
    const char *near =
        faults_nearest(e->key, &sections[0].name, SECTIONS, sizeof sections[0]);

    faults_add(&r->faults, e->place,
               "there is no section %s that this version knows%s%s%s",
               faults_quote(&r->faults, e->key), near ? "; \"" : "",
               near ? near : "", near ? "\" was meant?" : "");
}

static void sort(struct reading *r, struct syntax_entry *tree,
                 struct kind *kinds)
{
    for (struct syntax_entry *e = tree; e; e = e->next) {
        size_t i = 0;

        if (!e->is_section)
            continue;
        while (i < SECTIONS && !span_is(e->key, span_of(sections[i].name)))
            i++;
        if (i == SECTIONS) {
            unknown_section(r, e);
            continue;
        }
        *(kinds[i].first ? kinds[i].end : &kinds[i].first) = e;
        kinds[i].end = &e->next_of_kind;
        kinds[i].count++;
    }
}

void sections_set_defaults(struct reading *r)
{
    keys_set_defaults(r, &top_table, r->settings);
    for (size_t i = 0; i < SECTIONS; i++)
        if (sections[i].table)
            keys_set_defaults(r, sections[i].table, r->settings);
}

void sections_read(struct reading *r, struct syntax_entry *tree)
{
    struct kind kinds[SECTIONS] = { 0 };

    keys_read(r, &top_table, tree, r->settings);
    sort(r, tree, kinds);
    for (size_t i = 0; i < SECTIONS; i++) {
        if (r->source->is_brief && !sections[i].is_of_places &&
            !(r->source->has_users && sections[i].table == &credentials_users))
            continue;
        if (sections[i].many)
            sections[i].many(r, kinds[i].first, kinds[i].count);
        else
            read_once(r, &sections[i], kinds[i].first);
    }
    for (size_t i = 0; i < SECTIONS; i++)
        if (sections[i].many == rules_read && !r->source->is_brief)
            rules_resolve(r, kinds[i].first);
    localmail_finish(r, tree);
}
