/*
 * dns - questions to the domain name system, one record type at a time.
 *
 * One libunbound context with a thread of its own; its descriptor stands in a
 * uv_poll on the owner's loop, so answers come on that loop and never before
 * dns_ask has returned. A context cannot be changed once it has begun: other settings
 * need a new one. Answers are cached inside it by their TTL, bounded.
 */
#ifndef WAYPOST_DNS_H
#define WAYPOST_DNS_H

#include "relay/net/resolver.h"

struct dns;
struct dns_question;

enum dns_type {
    DNS_A = 1, DNS_CNAME = 5, DNS_PTR = 12, DNS_MX = 15, DNS_TXT = 16, DNS_AAAA = 28,
    DNS_DNSKEY = 48, DNS_TLSA = 52
};

enum { DNS_RECORDS = 100 };       /* of one answer that are looked at */

struct dns_reply {
    enum resolver_kind kind;
    bool is_secure;               /* validated */
    bool is_bogus;                /* FAILED because validation did */
    struct span name;             /* whose the records are: at the end of aliases; or
                                     empty: no alias was met */
    const struct span *records;   /* raw record data, borrowed for the call; where it is
                                     bogus what nobody vouches for, if anything came */
    size_t count;
    struct span why;              /* when FAILED */
};

typedef void dns_fn(struct dns_question *q, const struct dns_reply *reply);

/* Embedded in its owner; not to be touched while it is asked but by dns_cancel. */
struct dns_question {
    dns_fn *done;                 /* set by the owner */
    struct gauge *gauge;          /* counts it, since ... */
    uint64_t asked_ns;            /* ... then */
    int id;                       /* libunbound's, while is_open */
    bool is_open;
};

struct dns_options {
    const struct resolver_settings *settings;
    const char *resolv_path;      /* RESOLVER_SYSTEM; never NULL */
    bool validate;                /* obey the trust anchor, if there is one */
    struct gauge *gauge;          /* of the loop; NULL: nobody counts */
};

/* ERROR_CONFIG and words in out_why when libunbound does not take the settings. */
MUST int dns_open(struct dns **out_d, uv_loop_t *loop,
                  const struct dns_options *o, struct buffer *out_why);
/* No question may be open. closed comes once the loop has let go of it. */
void dns_close(struct dns *take_d, void (*closed)(void *user), void *user);

/* name: no trailing dot needed, always absolute. ERROR_SYNTAX: not a name. Any other
 * negative: libunbound could not take it; done is not called then. */
MUST int dns_ask(struct dns *d, struct dns_question *q, struct span name,
                 enum dns_type type);
/* done will not be called; may be called on a question that is not open. */
void dns_cancel(struct dns *d, struct dns_question *q);

/* The file of the trust anchor that these settings lead to; NULL: nothing is validated. The
 * text is lasting, or that of the settings. */
struct span dns_anchor_file(const struct resolver_settings *s);
/* The owner of the trust anchor ("" the root, without its dot); at is NULL when
 * nothing is validated. */
struct span dns_anchor(const struct dns *d);
/* libunbound's thread has gone: open another context. */
bool dns_is_broken(const struct dns *d);

#endif
