/*
 * lists - values that are sets: networks, logins, certificates, ways to log in.
 *
 * Owns nothing.
 */
#include "policy/config/lists.h"

#include "policy/vocabulary/utf8.h"

enum { SHA256_DIGITS = 64 };

void lists_read_networks(struct reading *r, const struct syntax_entry *e,
                         struct networks *out)
{
    struct network *all = arena_take(r->arena, e->value_count * sizeof *all);
    size_t count = 0;

    for (size_t i = 0; i < e->value_count; i++) {
        if (network_parse(e->values[i].text, &all[count]))
            count++;
        else
            faults_add(&r->faults, e->values[i].place,
                       "%s is not a network such as 10.0.0.0/8, 192.0.2.1 or "
                       "2001:db8::/32 (no bits set below its length)",
                       faults_quote(&r->faults, e->values[i].text));
    }
    networks_init(out, r->arena, all, count);
}

void lists_networks(struct reading *r, const struct key *key,
                    const struct syntax_entry *e, void *object)
{
    lists_read_networks(r, e,
                        (struct networks *)((char *)object + key->offset));
}

static void unknown_mechanism(struct reading *r, const struct syntax_text *t)
{
    struct buffer known = { 0 };

    mechanisms_print(&known, MECHANISM_ALL);
    faults_add(&r->faults, t->place,
               "%s is not a way to log in that this version knows, which are: "
               "%s",
               faults_quote(&r->faults, t->text), buffer_string(&known));
    buffer_fini(&known);
}

void lists_mechanisms(struct reading *r, const struct key *key,
                      const struct syntax_entry *e, void *object)
{
    unsigned set = 0;

    for (size_t i = 0; i < e->value_count; i++) {
        unsigned one = mechanism_find(e->values[i].text);

        if (one)
            set |= one;
        else
            unknown_mechanism(r, &e->values[i]);
    }
    *(unsigned *)((char *)object + key->offset) = set;
}

/* --- logins and certificates ------------------------------------------------
 */

static bool is_text(struct span s)
{
    return s.len && s.len <= LIMIT_LOGIN && utf8_is_valid(s);
}

void lists_read_logins(struct reading *r, const struct syntax_entry *e,
                       struct names *out)
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
    names_init(out, r->arena, all, count);
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

void lists_read_certificates(struct reading *r, const struct syntax_entry *e,
                             struct names *out_fingerprints,
                             struct names *out_names)
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
    names_init(out_fingerprints, r->arena, prints, print_count);
    names_init(out_names, r->arena, names, name_count);
}
