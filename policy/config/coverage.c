/*
 * coverage - does one condition hold wherever another one does?
 *
 * Each fact has its own "holds all of". What is negated turns it round: whoever
 * is not in the wide set is not in the narrow one. Owns nothing.
 */
#include "policy/config/coverage.h"

/* --- patterns --------------------------------------------------------------
 */

/* Without the expressions, which see a mailbox and cannot judge a domain. */
static struct patterns without_expressions(const struct patterns *p)
{
    struct patterns plain = *p;

    plain.first[PATTERN_EXPRESSION + 1] = plain.first[PATTERN_EXPRESSION];
    return plain;
}

static bool has_kind(const struct patterns *p, enum pattern_kind kind)
{
    return p->first[kind] < p->first[kind + 1];
}

static bool has_name(const struct patterns *p, struct span name)
{
    struct patterns plain = without_expressions(p);
    struct subject s;

    subject_of_name(&s, name);
    return patterns_match(&plain, &s) == ANSWER_YES;
}

/* No name begins with a star, so *.example.org stands for any below. */
static bool has_below(const struct patterns *p, struct span domain)
{
    struct buffer name = { 0 };
    bool has;

    buffer_put_string(&name, "*.");
    buffer_put(&name, domain);
    has = has_name(p, buffer_span(&name));
    buffer_fini(&name);
    return has;
}

static bool has_mailbox(const struct patterns *p, struct span text)
{
    struct address a;
    struct subject s;

    if (address_parse(text, &a) != ADDRESS_OK)
        return false;
    subject_of_address(&s, &a);
    return patterns_match(p, &s) == ANSWER_YES;
}

static bool has_expression(const struct patterns *p, struct span text)
{
    if (has_kind(p, PATTERN_ANY))
        return true;
    for (size_t i = p->first[PATTERN_EXPRESSION];
         i < p->first[PATTERN_EXPRESSION + 1]; i++)
        if (span_is(p->all[i].text, text))
            return true;
    return false;
}

static bool has_pattern(const struct patterns *wide, const struct pattern *p)
{
    switch (p->kind) {
    case PATTERN_ADDRESS:
        return has_mailbox(wide, p->text);
    case PATTERN_DOMAIN:
        return has_name(wide, p->text);
    case PATTERN_BELOW:
        return has_below(wide, p->text);
    case PATTERN_EXPRESSION:
        return has_expression(wide, p->text);
    case PATTERN_NULL:
    case PATTERN_ANY:
    case PATTERN_KINDS:
        break;
    }
    return has_kind(wide, p->kind);
}

static bool have_patterns(const struct patterns *wide,
                          const struct patterns *narrow)
{
    for (size_t i = 0; i < narrow->count; i++)
        if (!has_pattern(wide, &narrow->all[i]))
            return false;
    return true;
}

/* --- networks and names ----------------------------------------------------
 */

static bool have_ranges(const struct host_range *wide, size_t wide_count,
                        const struct host_range *narrow, size_t narrow_count)
{
    size_t w = 0;

    /* both are sorted and merged */
    for (size_t n = 0; n < narrow_count; n++) {
        while (w < wide_count && wide[w].last < narrow[n].first)
            w++;
        if (w == wide_count || wide[w].first > narrow[n].first ||
            wide[w].last < narrow[n].last)
            return false;
    }
    return true;
}

static bool have_networks(const struct networks *wide,
                          const struct networks *narrow)
{
    return have_ranges(wide->v4, wide->v4_count, narrow->v4,
                       narrow->v4_count) &&
           have_ranges(wide->v6, wide->v6_count, narrow->v6, narrow->v6_count);
}

static bool has_glob(const struct names *wide, struct span glob)
{
    for (size_t i = 0; i < wide->glob_count; i++)
        if (span_is(wide->globs[i], glob) || span_is(wide->globs[i], SPAN("*")))
            return true;
    return false;
}

static bool have_names(const struct names *wide, const struct names *narrow)
{
    for (size_t i = 0; i < narrow->exact_count; i++)
        if (!names_have(wide, narrow->exact[i]))
            return false;
    for (size_t i = 0; i < narrow->glob_count; i++)
        if (!has_glob(wide, narrow->globs[i]))
            return false;
    return true;
}

static bool have_tables(const struct condition *wide,
                        const struct condition *narrow)
{
    for (size_t i = 0; i < narrow->table_count; i++) {
        size_t k = 0;

        while (k < wide->table_count && wide->tables[k] != narrow->tables[i])
            k++;
        if (k == wide->table_count)
            return false;
    }
    return true;
}

/* --- conditions ------------------------------------------------------------
 */

static size_t cost_of(const struct condition *c)
{
    return 1 + c->networks.v4_count + c->networks.v6_count + c->patterns.count +
           c->names.exact_count + c->names.glob_count + c->table_count;
}

/* Neither is negated. */
static bool holds_all(const struct condition *wide,
                      const struct condition *narrow)
{
    switch (wide->fact) {
    case FACT_CLIENT:
        return have_networks(&wide->networks, &narrow->networks);
    case FACT_FROM:
    case FACT_TO:
    case FACT_HELO:
    case FACT_CLIENT_NAME:
        return (wide->or_none || !narrow->or_none) &&
               have_patterns(&wide->patterns, &narrow->patterns);
    case FACT_LOGIN:
    case FACT_LISTENER:
    case FACT_TAG:
        return have_names(&wide->names, &narrow->names);
    case FACT_CERTIFICATE:
        return have_names(&wide->names, &narrow->names) &&
               have_names(&wide->fingerprints, &narrow->fingerprints);
    case FACT_TLS:
        return wide->tls_version <= narrow->tls_version &&
               wide->tls_bits <= narrow->tls_bits;
    case FACT_SIZE:
    case FACT_TODAY:
        return wide->at_least <= narrow->at_least;
    case FACT_TIME:
    case FACT_HEADER:
    case FACT_ATTACHMENT:
    case FACT_DNSBL:
        break;
    }
    return false;
}

bool coverage_has(const struct condition *wide, const struct condition *narrow,
                  size_t *steps)
{
    size_t cost;

    if (wide->identity == narrow->identity)
        return true;
    if (wide->fact != narrow->fact || wide->is_negated != narrow->is_negated)
        return false;
    cost = cost_of(wide) + cost_of(narrow);
    if (cost > *steps) {
        *steps = 0;
        return false;
    }
    *steps -= cost;
    if (wide->is_negated) {
        const struct condition *swapped = wide;

        wide = narrow;
        narrow = swapped;
    }
    return have_tables(wide, narrow) && holds_all(wide, narrow);
}
