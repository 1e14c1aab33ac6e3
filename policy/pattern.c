/*
 * pattern - does this mailbox, or this name, match one of these?
 *
 * Patterns of a kind are sorted by a hash that runs from a name's end to its
 * start; so one pass over a domain gives the hash of each of its parent
 * domains, and a thousand patterns cost as many steps as there are labels,
 * times ten. Nothing is allocated to match but what expressions need.
 */
#include "policy/pattern.h"

#include "policy/vocabulary/utf8.h"

#include <stdlib.h>

/* FNV-1a, from the last byte to the first. */
enum { HASH_START = 2166136261u };

static uint32_t hash_step(uint32_t hash, char c)
{
    return (hash ^ (unsigned char)c) * 16777619u;
}

uint32_t pattern_hash(struct span s)
{
    uint32_t hash = HASH_START;

    while (s.len)
        hash = hash_step(hash, s.at[--s.len]);
    return hash;
}

/* --- reading ------------------------------------------------------------- */

static bool parse_expression(struct arena *a, struct span text,
                             struct pattern *out, struct buffer *why)
{
    struct expression *e = expression_parse(a, text, why);

    if (e)
        *out = (struct pattern){ .kind = PATTERN_EXPRESSION,
                                 .text = arena_copy(a, text),
                                 .hash = pattern_hash(text),
                                 .expression = e };
    return e != NULL;
}

/* A domain as it is compared; of a name in HELO any printable one. */
static bool fold(struct span domain, enum pattern_use use, struct buffer *out)
{
    if (domain_fold(domain, out) == 0)
        return true;
    if (use != PATTERN_OF_NAME || domain.len == 0 || domain.len > LIMIT_DOMAIN)
        return false;
    for (size_t i = 0; i < domain.len; i++) {
        if (strchr("*@<>/\" ", domain.at[i]))
            return false;
        buffer_put_byte(out, ascii_lower(domain.at[i]));
    }
    return true;
}

static bool parse_domain(struct arena *a, struct span text,
                         enum pattern_use use, struct pattern *out,
                         struct buffer *why)
{
    struct buffer folded = { 0 };
    bool is_below = span_starts_nocase(text, SPAN("*."));
    bool ok = fold(span_skip(text, is_below ? 2 : 0), use, &folded);

    if (ok)
        *out =
            (struct pattern){ .kind = is_below ? PATTERN_BELOW : PATTERN_DOMAIN,
                              .text = arena_copy(a, buffer_span(&folded)),
                              .hash = pattern_hash(buffer_span(&folded)) };
    else if (text.len && (text.at[0] == '.' || text.at[0] == '@'))
        buffer_put_string(why, text.at[0] == '.'
                                   ? "is not a domain; *.domain is what is "
                                     "below one"
                                   : "is not a domain: write it without @");
    else
        buffer_put_string(why, use == PATTERN_OF_NAME
                                   ? "is not a host's name, *.name, * or "
                                     "'/expression/'"
                                   : "is not a domain, *.domain, address, *, "
                                     "<> or '/expression/'");
    buffer_fini(&folded);
    return ok;
}

static bool parse_address(struct arena *a, struct span text,
                          struct pattern *out, struct buffer *why)
{
    struct address address;
    struct subject s;

    if (span_starts_nocase(text, SPAN("*@"))) {
        buffer_printf(why, "would match nobody: \"%.*s\" alone is all of its "
                           "addresses", SPAN_FMT(span_skip(text, 2)));
        return false;
    }
    if (address_parse(text, &address) != ADDRESS_OK) {
        buffer_put_string(why, "is not an address");
        return false;
    }
    subject_of_address(&s, &address);
    subject_fold(&s);
    *out = (struct pattern){ .kind = PATTERN_ADDRESS,
                             .text = arena_copy(a, s.mailbox),
                             .hash = s.mailbox_hash };
    return true;
}

bool pattern_parse(struct arena *a, struct span text, enum pattern_use use,
                   struct pattern *out_pattern, struct buffer *out_why)
{
    bool of_mailbox = use == PATTERN_OF_MAILBOX;

    if (span_is(text, SPAN("*")) || (of_mailbox && span_is(text, SPAN("<>")))) {
        *out_pattern = (struct pattern){ .kind = text.len == 1 ? PATTERN_ANY
                                                               : PATTERN_NULL,
                                         .text = arena_copy(a, text),
                                         .hash = pattern_hash(text) };
        return true;
    }
    if (span_starts_nocase(text, SPAN("table:"))) {
        buffer_put_string(out_why, "names a table, which has no place here");
        return false;
    }
    if (text.len > 2 && text.at[0] == '/' && text.at[text.len - 1] == '/')
        return parse_expression(a, span_make(text.at + 1, text.len - 2),
                                out_pattern, out_why);
    if (of_mailbox && text.len && text.at[0] != '@' &&
        span_find(text, '@') < text.len)
        return parse_address(a, text, out_pattern, out_why);
    return parse_domain(a, text, use, out_pattern, out_why);
}

static int by_kind_and_hash(const void *left, const void *right)
{
    const struct pattern *a = left, *b = right;

    if (a->kind != b->kind)
        return a->kind < b->kind ? -1 : 1;
    return a->hash < b->hash ? -1 : a->hash > b->hash;
}

void patterns_init(struct patterns *p, struct pattern *all, size_t count)
{
    size_t i = 0;

    *p = (struct patterns){ .all = all, .count = count };
    if (count)
        qsort(all, count, sizeof *all, by_kind_and_hash);
    for (unsigned kind = 0; kind <= PATTERN_KINDS; kind++) {
        while (i < count && all[i].kind < kind)
            i++;
        p->first[kind] = i;
    }
}

/* --- who is asked about -------------------------------------------------- */

void subject_of_address(struct subject *s, const struct address *a)
{
    s->address = a;
    s->name = span_make(NULL, 0);
    s->is_folded = false;
}

void subject_of_name(struct subject *s, struct span name)
{
    s->address = NULL;
    s->name = name;
    s->is_folded = false;
}

/* "a"@b is a@b, for whom a rule speaks. Returns the length written. */
static size_t fold_local(struct span local, char *out)
{
    bool is_quoted = local.len >= 2 && local.at[0] == '"';
    size_t n = 0;

    if (is_quoted)
        local = span_make(local.at + 1, local.len - 2);
    for (size_t i = 0; i < local.len && n < LIMIT_LOCAL_PART; i++) {
        if (is_quoted && local.at[i] == '\\' && i + 1 < local.len)
            i++;
        out[n++] = ascii_lower(local.at[i]);
    }
    return n;
}

/* The domain in lower case and A-labels; 0: it cannot be compared. */
static size_t fold_domain(struct span domain, char *out)
{
    struct buffer folded = { .cap = LIMIT_DOMAIN };
    size_t n = 0;

    if (domain.len > LIMIT_DOMAIN)
        return 0;
    if (!utf8_has_high(domain)) {
        for (; n < domain.len; n++)
            out[n] = ascii_lower(domain.at[n]);
        return n;
    }
    if (domain_fold(domain, &folded) == 0) {
        n = folded.len;
        memcpy(out, folded.at, n);
    }
    buffer_fini(&folded);
    return n;
}

static void hash_ends(struct subject *s)
{
    uint32_t hash = HASH_START;

    s->label_count = 0;
    for (size_t i = s->domain.len; i-- > 0;) {
        hash = hash_step(hash, s->domain.at[i]);
        if ((i == 0 || s->domain.at[i - 1] == '.') &&
            s->label_count < SUBJECT_LABELS) {
            s->ends[s->label_count].at = (unsigned char)i;
            s->ends[s->label_count++].hash = hash;
        }
    }
}

void subject_fold(struct subject *s)
{
    struct span domain = s->address ? s->address->domain : s->name;
    size_t n = 0;

    if (s->is_folded)
        return;
    s->is_folded = true;
    if (s->address && s->address->text.len) {
        n = fold_local(s->address->local, s->text);
        s->text[n++] = '@';
    }
    s->domain = span_make(s->text + n, fold_domain(domain, s->text + n));
    s->mailbox = span_make(s->text, n + s->domain.len);
    s->mailbox_hash = s->address ? pattern_hash(s->mailbox) : 0;
    hash_ends(s);
}

/* --- matching ------------------------------------------------------------ */

static bool has(const struct patterns *p, enum pattern_kind kind, uint32_t hash,
                struct span text)
{
    size_t low = p->first[kind], end = p->first[kind + 1], high = end;

    while (low < high) {
        size_t middle = low + (high - low) / 2;

        if (p->all[middle].hash < hash)
            low = middle + 1;
        else
            high = middle;
    }
    for (; low < end && p->all[low].hash == hash; low++)
        if (span_is(p->all[low].text, text))
            return true;
    return false;
}

static bool has_domain(const struct patterns *p, const struct subject *s)
{
    unsigned last = s->label_count - 1;

    if (s->label_count == 0)
        return false;
    if (s->ends[last].at == 0 &&
        has(p, PATTERN_DOMAIN, s->ends[last].hash, s->domain))
        return true;
    if (p->first[PATTERN_BELOW] == p->first[PATTERN_BELOW + 1])
        return false;
    for (unsigned i = 0; i < last; i++)
        if (has(p, PATTERN_BELOW, s->ends[i].hash,
                span_skip(s->domain, s->ends[i].at)))
            return true;
    return false;
}

enum answer patterns_match(const struct patterns *p, struct subject *s)
{
    enum answer answer = ANSWER_NO;

    if (s->address && s->address->text.len == 0)
        return p->first[PATTERN_NULL] < p->first[PATTERN_NULL + 1];
    if (p->first[PATTERN_ANY] < p->first[PATTERN_ANY + 1])
        return ANSWER_YES;
    subject_fold(s);
    if (has_domain(p, s) ||
        (s->address && has(p, PATTERN_ADDRESS, s->mailbox_hash, s->mailbox)))
        return ANSWER_YES;
    for (size_t i = p->first[PATTERN_EXPRESSION];
         i < p->first[PATTERN_EXPRESSION + 1]; i++) {
        enum answer one = expression_matches(p->all[i].expression,
                                             s->address ? s->mailbox : s->name);

        if (one == ANSWER_YES)
            return one;
        if (one == ANSWER_UNKNOWN)
            answer = one;
    }
    return answer;
}
