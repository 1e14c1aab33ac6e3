/*
 * ourselves - is this address one that we answer for ourselves?
 *
 * Owns nothing.
 */
#include "policy/ourselves.h"

#include "policy/condition.h"
#include "policy/pattern.h"

/* 0.0.0.0 and ::, which is every address and so none. */
static bool is_unspecified(const struct host_address *a)
{
    static const unsigned char zero[16];
    size_t from = host_address_is_v4(a) ? 12 : 0;

    return memcmp(a->bytes + from, zero, sizeof a->bytes - from) == 0;
}

static bool is_our_literal(const struct settings *s, struct span domain)
{
    struct host_address address;

    /* without brackets it would be a name */
    if (domain.len == 0 || domain.at[0] != '[' ||
        !host_literal_parse(domain, &address) || is_unspecified(&address))
        return false;
    for (size_t i = 0; i < s->listener_count; i++)
        if (host_address_is(&s->listeners[i].host, &address))
            return true;
    return false;
}

bool is_our_domain(const struct settings *s, struct span folded)
{
    return span_is_nocase(folded, s->hostname) ||
           span_is_nocase(folded, s->origin) || is_our_literal(s, folded);
}

bool is_our_postmaster(const struct settings *s, const struct address *a)
{
    struct subject subject;
    struct span local;

    if (a->text.len == 0)
        return false;
    subject_of_address(&subject, a);
    subject_fold(&subject);
    local = span_first(subject.mailbox,
                       subject.mailbox.len - subject.domain.len - 1);
    if (a->domain.len == 0)
        return span_is(local, SPAN("postmaster"));
    return (span_is(local, SPAN("postmaster")) ||
            span_is(local, SPAN("mailer-daemon"))) &&
           is_our_domain(s, subject.domain);
}

bool our_postmaster(const struct settings *settings, struct address *in_out,
                    struct buffer *text)
{
    struct address a;

    if (settings->postmaster.len) {
        if (address_parse(settings->postmaster, &a) != ADDRESS_OK)
            return false;
    } else {
        if (in_out->domain.len)
            return true;
        buffer_put(text, in_out->local);
        buffer_put_byte(text, '@');
        buffer_put(text, settings->origin.len ? settings->origin
                                              : settings->hostname);
        if (address_parse(buffer_span(text), &a) != ADDRESS_OK)
            return false;
    }
    *in_out = a;
    return true;
}

/* --- which rules are not for it ---------------------------------------------- */

static bool is_postmasters(const struct pattern *p)
{
    struct span local = span_first(p->text, span_find(p->text, '@'));

    return p->kind == PATTERN_ADDRESS &&
           (span_is_nocase(local, SPAN("postmaster")) ||
            span_is_nocase(local, SPAN("mailer-daemon")));
}

static bool names_it(const struct rule *r)
{
    for (size_t i = 0; i < r->condition_count; i++) {
        const struct condition *c = &r->conditions[i];

        if (c->fact != FACT_TO || c->is_negated)
            continue;
        for (size_t k = 0; k < c->patterns.count; k++)
            if (is_postmasters(&c->patterns.all[k]))
                return true;
    }
    return false;
}

bool rule_spares_postmaster(const struct rule *r)
{
    switch (r->action) {
    case ACTION_RELAY:
    case ACTION_LIMIT:
    case ACTION_HOLD:
    case ACTION_TAG:
    case ACTION_ADD_HEADER:
    case ACTION_REMOVE_HEADER:
    case ACTION_COPY:
        return false;
    case ACTION_REJECT:
    case ACTION_DEFER:
    case ACTION_DISCARD:
        return !r->needs_message && !names_it(r);
    case ACTION_GREYLIST:
    case ACTION_POLICY:
    case ACTION_REWRITE:
    case ACTION_ROUTE:
        break;
    }
    return !names_it(r);
}
