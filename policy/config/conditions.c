/*
 * conditions - one line of a rule: a key and its values, understood.
 *
 * One reader for each fact. Values that are none of their kind are faults and
 * left out; the rule is not used then.
 */
#include "policy/config/conditions.h"

#include "policy/config/headertests.h"
#include "policy/config/lists.h"
#include "policy/config/moments.h"
#include "policy/config/tables.h"
#include "policy/config/value.h"
#include "policy/config/zones.h"

/* FNV-1a over the texts, order and all, and in the last bit whether they are
 * denied: equal texts, equal identity. */
static uint64_t identity_of(const struct syntax_entry *e, enum condition_fact f,
                            bool is_negated)
{
    uint64_t hash = (14695981039346656037u ^ (unsigned char)f) * 1099511628211u;

    for (size_t i = 0; i < e->value_count; i++) {
        struct span s = e->values[i].text;

        for (size_t n = 0; n <= s.len; n++)
            hash = (hash ^ (n < s.len ? (unsigned char)s.at[n] : 0)) *
                   1099511628211u;
    }
    return (hash & ~1ull) | is_negated;
}

enum { SHOWN_MOST = 60 };

/* not-client = {"10.0.0.0/8", "192.0.2.1", ... 14 more} */
static struct span text_of(struct reading *r, const struct syntax_entry *e)
{
    struct buffer b = { 0 };
    struct span text;
    size_t i = 0;

    buffer_put(&b, e->key);
    buffer_put_string(&b, e->value_count > 1 ? " = {" : " = ");
    for (; i < e->value_count && b.len < SHOWN_MOST; i++) {
        struct span value = e->values[i].text;

        buffer_put_string(&b, i ? ", \"" : "\"");
        buffer_put(&b, span_first(value, SHOWN_MOST));
        buffer_put_string(&b, value.len > SHOWN_MOST ? "...\"" : "\"");
    }
    if (i < e->value_count)
        buffer_printf(&b, ", ... %zu more", e->value_count - i);
    buffer_put_string(&b, e->value_count > 1 ? "}" : "");
    text = arena_copy(r->arena, buffer_span(&b));
    buffer_fini(&b);
    return text;
}

/* "none", a client without a name, is not a name. */
static bool is_none(const struct condition *c, struct span text)
{
    return c->fact == FACT_CLIENT_NAME && span_is(text, SPAN("none"));
}

static void read_patterns(struct reading *r, const struct syntax_entry *e,
                          struct condition *c)
{
    enum pattern_use use = c->fact == FACT_FROM || c->fact == FACT_TO
                               ? PATTERN_OF_MAILBOX
                               : PATTERN_OF_NAME;
    struct pattern *all = arena_take(r->arena, e->value_count * sizeof *all);
    struct buffer why = { 0 };
    size_t count = 0;

    for (size_t i = 0; i < e->value_count; i++) {
        buffer_clear(&why);
        if (is_none(c, e->values[i].text))
            c->or_none = true;
        else if (pattern_parse(r->arena, e->values[i].text, use, &all[count],
                               &why))
            count++;
        else
            faults_add(&r->faults, e->values[i].place, "%s %s%s",
                       faults_quote(&r->faults, e->values[i].text),
                       buffer_string(&why),
                       c->fact == FACT_CLIENT_NAME
                           ? ", or none for a client without a name"
                           : "");
    }
    buffer_fini(&why);
    patterns_init(&c->patterns, all, count);
}

/* --- single values ---------------------------------------------------------
 */

enum { TLS_BITS_LEAST = 40, TLS_BITS_MOST = 512 };

static void read_tls(struct reading *r, const struct syntax_entry *e,
                     struct condition *c)
{
    const struct syntax_text *t = keys_only_text(r, e);
    bool wanted = true;
    uint64_t bits = 0;

    if (!t || value_boolean(t->text, &wanted)) {
        /* tls = false is the negation of tls = true */
        c->is_negated = c->is_negated == wanted;
        return;
    }
    c->tls_version = condition_tls_version(t->text);
    if (!c->tls_version && (!span_number(t->text, &bits) ||
                            bits < TLS_BITS_LEAST || bits > TLS_BITS_MOST))
        faults_add(&r->faults, t->place,
                   "%s is not right for tls, which takes true, false, the "
                   "oldest version (\"TLSv1.2\", \"TLSv1.3\") or the least "
                   "bits of the cipher (128)",
                   faults_quote(&r->faults, t->text));
    c->tls_bits = (unsigned)bits;
}

static void read_size(struct reading *r, const struct syntax_entry *e,
                      struct condition *c)
{
    const struct syntax_text *t = keys_only_text(r, e);

    if (t && (!value_size(t->text, &c->at_least) || c->at_least == 0))
        faults_add(&r->faults, t->place,
                   "%s is not right for size, which takes that or more, such "
                   "as 10MB",
                   faults_quote(&r->faults, t->text));
}

static void read_today(struct reading *r, const struct syntax_entry *e,
                       struct condition *c)
{
    const struct syntax_text *t = keys_only_text(r, e);

    if (t && (!span_number(t->text, &c->at_least) || c->at_least == 0))
        faults_add(&r->faults, t->place,
                   "%s is not right for today, which takes how many recipients "
                   "a login or client has had since midnight, or more, such as "
                   "1000",
                   faults_quote(&r->faults, t->text));
}

/* --- tags and listeners ----------------------------------------------------
 */

static bool is_tag(struct span s, const char *marks)
{
    for (size_t i = 0; i < s.len; i++)
        if (!(s.at[i] >= '0' && s.at[i] <= '9') &&
            !(ascii_lower(s.at[i]) >= 'a' && ascii_lower(s.at[i]) <= 'z') &&
            !is_one_of(s.at[i], marks))
            return false;
    return s.len && s.len <= CONDITIONS_TAG_MOST;
}

bool conditions_is_tag(struct span s)
{
    return is_tag(s, "-_.:=");
}

static void read_tags(struct reading *r, const struct syntax_entry *e,
                      struct condition *c)
{
    struct span *all = arena_take(r->arena, e->value_count * sizeof *all);
    size_t count = 0;

    for (size_t i = 0; i < e->value_count; i++) {
        /* globs too */
        if (is_tag(e->values[i].text, "-_.:=*"))
            all[count++] = e->values[i].text;
        else
            faults_add(
                &r->faults, e->values[i].place,
                "%s is not a tag, or a pattern of tags such as \"list-*\": "
                "letters, digits, - _ . : = and at most %d of them",
                faults_quote(&r->faults, e->values[i].text),
                CONDITIONS_TAG_MOST);
    }
    names_init(&c->names, r->arena, all, count);
}

/* That there are such is seen when all were read: conditions_resolve. */
static void read_listeners(struct reading *r, const struct syntax_entry *e,
                           struct condition *c)
{
    struct span *all = arena_take(r->arena, e->value_count * sizeof *all);

    for (size_t i = 0; i < e->value_count; i++)
        all[i] = e->values[i].text;
    names_init(&c->names, r->arena, all, e->value_count);
}

static bool is_listener(const struct settings *s, struct span title)
{
    struct arena arena = { 0 };
    struct names names;
    bool found = false;

    names_init(&names, &arena, &title, 1);
    for (size_t i = 0; !found && i < s->listener_count; i++)
        found = names_have(&names, s->listeners[i].title);
    for (size_t i = 0; !found && i < s->fetch_count; i++)
        found = names_have(&names, s->fetches[i].title);
    arena_reset(&arena);
    return found;
}

void conditions_resolve(struct reading *r, const struct syntax_entry *section)
{
    static const char *const keys[] = { "listener", "not-listener" };

    for (size_t k = 0; k < sizeof keys / sizeof keys[0]; k++) {
        const struct syntax_entry *e = keys_find(section->entries, keys[k]);

        for (size_t i = 0; e && i < e->value_count; i++)
            if (!is_listener(r->settings, e->values[i].text))
                faults_add(&r->faults, e->values[i].place,
                           "there is no listener %s",
                           faults_quote(&r->faults, e->values[i].text));
    }
}

static void read_networks(struct reading *r, const struct syntax_entry *e,
                          struct condition *c)
{
    lists_read_networks(r, e, &c->networks);
}

static void read_logins(struct reading *r, const struct syntax_entry *e,
                        struct condition *c)
{
    lists_read_logins(r, e, &c->names);
}

static void read_certificates(struct reading *r, const struct syntax_entry *e,
                              struct condition *c)
{
    lists_read_certificates(r, e, &c->fingerprints, &c->names);
}

/* --- the table of facts ---------------------------------------------------- */

static const struct fact_row {
    void (*read)(struct reading *r, const struct syntax_entry *e,
                 struct condition *c);
    bool takes_tables;  /* "table:FILE" may stand among its values ... */
    enum table_use use; /* ... and holds such */
} facts[] = {
    /* clang-format off */
    [FACT_CLIENT]      = { read_networks,     true, TABLE_OF_HOSTS },
    [FACT_FROM]        = { read_patterns,     true, TABLE_OF_MAILBOXES },
    [FACT_TO]          = { read_patterns,     true, TABLE_OF_MAILBOXES },
    [FACT_HELO]        = { read_patterns,     true, TABLE_OF_NAMES },
    [FACT_CLIENT_NAME] = { read_patterns,     true, TABLE_OF_NAMES },
    [FACT_LOGIN]       = { read_logins,       true, TABLE_OF_TEXTS },
    [FACT_CERTIFICATE] = { read_certificates, true, TABLE_OF_TEXTS },
    [FACT_ATTACHMENT]  = { headertests_read_attachments, true, TABLE_OF_TEXTS },
    [FACT_TAG]         = { read_tags,         true, TABLE_OF_TEXTS },
    [FACT_TLS]         = { read_tls,          false },
    [FACT_LISTENER]    = { read_listeners,    false },
    [FACT_SIZE]        = { read_size,         false },
    [FACT_TIME]        = { moments_read,      false },
    [FACT_TODAY]       = { read_today,        false },
    [FACT_HEADER]      = { headertests_read_headers, false },
    [FACT_DNSBL]       = { zones_read,        false },
    /* clang-format on */
};

void conditions_read(struct reading *r, const struct key *key,
                     const struct syntax_entry *e, struct condition *c)
{
    struct syntax_entry rest; /* values that name no table */
    const struct fact_row *row;

    c->fact = (enum condition_fact)key->low;
    c->is_negated = key->high;
    c->identity = identity_of(e, c->fact, c->is_negated);
    c->text = text_of(r, e);
    row = &facts[c->fact];
    if (row->takes_tables) {
        tables_take_all(r, e, row->use, &rest, &c->tables, &c->table_count);
        e = &rest;
    }
    row->read(r, e, c);
}
