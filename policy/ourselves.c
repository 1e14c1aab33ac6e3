/*
 * ourselves - is this address one that we answer for ourselves?
 *
 * Owns nothing.
 */
#include "policy/ourselves.h"

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
