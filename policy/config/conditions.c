/*
 * conditions - one line of a rule: a key and its values, understood.
 *
 * One reader for each fact. Values that are none of their kind are faults and
 * left out; the rule is not used then.
 */
#include "policy/config/conditions.h"

#include "policy/config/lists.h"
#include "policy/config/value.h"
#include "policy/vocabulary/utf8.h"

enum { SHA256_DIGITS = 64 };

/* FNV-1a over the texts, order and all: equal texts, equal identity. */
static uint64_t identity_of(const struct syntax_entry *e)
{
    uint64_t hash = 14695981039346656037u;

    for (size_t i = 0; i <= e->value_count; i++) {
        struct span s = i ? e->values[i - 1].text : e->key;

        for (size_t n = 0; n <= s.len; n++)
            hash = (hash ^ (n < s.len ? (unsigned char)s.at[n] : 0)) *
                   1099511628211u;
    }
    return hash;
}

static void read_patterns(struct reading *r, const struct syntax_entry *e,
                          struct condition *c)
{
    enum pattern_use use =
        c->fact == FACT_HELO ? PATTERN_OF_NAME : PATTERN_OF_MAILBOX;
    struct pattern *all = arena_take(r->arena, e->value_count * sizeof *all);
    struct buffer why = { 0 };
    size_t count = 0;

    for (size_t i = 0; i < e->value_count; i++) {
        buffer_clear(&why);
        if (pattern_parse(r->arena, e->values[i].text, use, &all[count], &why))
            count++;
        else
            faults_add(&r->faults, e->values[i].place, "%s %s",
                       faults_quote(&r->faults, e->values[i].text),
                       buffer_string(&why));
    }
    buffer_fini(&why);
    patterns_init(&c->patterns, all, count);
}

/* --- logins and certificates ------------------------------------------------
 */

static bool is_text(struct span s)
{
    return s.len && s.len <= LIMIT_LOGIN && utf8_is_valid(s);
}

static void read_logins(struct reading *r, const struct syntax_entry *e,
                        struct condition *c)
{
    struct span *all = arena_take(r->arena, e->value_count * sizeof *all);
    size_t count = 0;

    for (size_t i = 0; i < e->value_count; i++) {
        if (is_text(e->values[i].text))
            all[count++] = e->values[i].text;
        else
            faults_add(&r->faults, e->values[i].place,
                       "%s is not a login, *@example.org, or * for anyone who "
                       "is logged in",
                       faults_quote(&r->faults, e->values[i].text));
    }
    names_init(&c->names, r->arena, all, count);
}

/* sha256: and hexadecimal digits, with or without colons; as facts say it. */
static bool fold_fingerprint(struct span s, struct buffer *out)
{
    const struct span prefix = SPAN("sha256:");

    if (!span_starts_nocase(s, prefix))
        return false;
    buffer_put(out, prefix);
    for (size_t i = prefix.len; i < s.len; i++) {
        char digit = ascii_lower(s.at[i]);

        if (digit == ':')
            continue;
        if (!(digit >= '0' && digit <= '9') && !(digit >= 'a' && digit <= 'f'))
            return false;
        buffer_put_byte(out, digit);
    }
    return out->len == prefix.len + SHA256_DIGITS;
}

/* A name, *.name, or * alone. */
static bool is_certificate_name(struct span s)
{
    if (span_is(s, SPAN("*")))
        return true;
    if (span_starts_nocase(s, SPAN("*.")))
        s = span_skip(s, 2);
    return is_text(s) && span_find(s, '*') == s.len &&
           span_find(s, ':') == s.len;
}

static void read_certificates(struct reading *r, const struct syntax_entry *e,
                              struct condition *c)
{
    size_t size = e->value_count * sizeof(struct span);
    struct span *prints = arena_take(r->arena, size);
    struct span *names = arena_take(r->arena, size);
    size_t print_count = 0, name_count = 0;
    struct buffer folded = { 0 };

    for (size_t i = 0; i < e->value_count; i++) {
        const struct syntax_text *t = &e->values[i];

        buffer_clear(&folded);
        if (fold_fingerprint(t->text, &folded))
            prints[print_count++] = arena_copy(r->arena, buffer_span(&folded));
        else if (is_certificate_name(t->text))
            names[name_count++] = t->text;
        else
            faults_add(&r->faults, t->place,
                       "%s is not sha256: with %d hexadecimal digits, a name "
                       "in a certificate, *.name, or *",
                       faults_quote(&r->faults, t->text), SHA256_DIGITS);
    }
    buffer_fini(&folded);
    names_init(&c->fingerprints, r->arena, prints, print_count);
    names_init(&c->names, r->arena, names, name_count);
}

static void read_tls(struct reading *r, const struct syntax_entry *e,
                     struct condition *c)
{
    const struct syntax_text *t = keys_only_text(r, e);
    bool wanted = false;

    if (t && !value_boolean(t->text, &wanted))
        faults_add(&r->faults, t->place,
                   "%s is not right for tls, which takes true or false",
                   faults_quote(&r->faults, t->text));
    /* tls = false is the negation of tls = true */
    c->is_negated = !wanted;
}

void conditions_read(struct reading *r, const struct key *key,
                     const struct syntax_entry *e, struct condition *c)
{
    c->fact = (enum condition_fact)key->low;
    c->is_negated = key->high;
    c->identity = identity_of(e);
    switch (c->fact) {
    case FACT_CLIENT:
        lists_read_networks(r, e, &c->networks);
        break;
    case FACT_FROM:
    case FACT_TO:
    case FACT_HELO:
        read_patterns(r, e, c);
        break;
    case FACT_LOGIN:
        read_logins(r, e, c);
        break;
    case FACT_CERTIFICATE:
        read_certificates(r, e, c);
        break;
    case FACT_TLS:
        read_tls(r, e, c);
        break;
    }
}
