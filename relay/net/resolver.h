/*
 * resolver - names to addresses, on a worker's loop.
 *
 * libunbound, one context for each worker, its descriptor in a uv_poll. Every
 * call comes back exactly once, never before it has returned; a cancelled one does not
 * come back. The answer is a value: "no such domain" is no error.
 */
#ifndef WAYPOST_RESOLVER_H
#define WAYPOST_RESOLVER_H

#include "policy/settings.h"

#include <uv.h>

struct gauge;
struct resolver;
struct resolver_query;

enum resolver_kind {
    RESOLVER_OK,
    RESOLVER_NO_DOMAIN,           /* NXDOMAIN */
    RESOLVER_NO_DATA,             /* the name exists, no such record */
    RESOLVER_FAILED,              /* SERVFAIL, bogus, time-out: try later */
};

/* One host that may take the mail, with its addresses, both families. */
struct mx_host {
    struct span name;
    struct span canonical;        /* the name at the end of its aliases; empty: it is none */
    uint16_t preference;
    bool is_secure;               /* its addresses, and aliases on the way, were validated */
    const struct host_address *addresses;
    size_t count;
};

struct mx_answer {
    enum resolver_kind kind;      /* of the look-up as a whole; OK with one of the three
                                     flags below: there is an answer, and it is no */
    bool is_null_mx;              /* RFC 7505: 5.1.10 */
    bool is_own;                  /* we are the best MX ourselves: 5.4.6 */
    bool is_unsafe;               /* only unsafe targets were left: 5.4.4 */
    bool is_secure;               /* all of it was validated by DNSSEC */
    bool is_set_secure;           /* which hosts they are was: the MX records, or that there
                                     are none; of one host its name is given */
    const struct mx_host *hosts;  /* sorted: preference, equal ones shuffled; at most
                                     LIMIT_MX_HOSTS */
    size_t count;
    const struct span *records;   /* of resolver_tlsa, _alias and _text: raw data; is_secure
                                     then also says that their absence was validated */
    size_t record_count;
    struct span why;              /* for people, when there is no host */
};

typedef void resolver_mx_fn(void *user, const struct mx_answer *a);

struct resolver_options {
    const struct resolver_settings *settings;
    struct span hostname;         /* ours: cuts MX sets */
    const struct host_address *own_addresses; /* ours, where we listen; cut MX sets.
                                     0.0.0.0 or :: stands for all of this host's */
    size_t own_count;
    const char *hosts_path, *resolv_path; /* RESOLVER_SYSTEM; NULL: those in /etc */
    struct gauge *gauge;          /* of the loop; NULL: nobody counts */
};

/* Options are copied. out_why: what is wrong with the settings. */
MUST int resolver_open(struct resolver **out_r, uv_loop_t *loop,
                       const struct resolver_options *o, struct buffer *out_why);
/* Cancels everything; closed is called once the loop has let go of its handles. */
void resolver_close(struct resolver *take_r, void (*closed)(void *user),
                    void *user);

/*
 * The MX set of a domain with all addresses (RFC 5321 5.1, implicit MX; addresses of a
 * literal domain [192.0.2.1] without a look-up), with unsafe targets left out and cut at our own name or address.
 */
struct resolver_query *resolver_mx(struct resolver *r, struct span domain,
                                   resolver_mx_fn *done, void *user);
/* Addresses of one host (a smarthost), as an mx_answer with one host. port does not
 * matter; loopback and private addresses are allowed. may_be_bogus: what does not validate
 * will do, too. */
struct resolver_query *resolver_host(struct resolver *r, struct span host,
                                     bool may_be_bogus, resolver_mx_fn *done,
                                     void *user);
/* TLSA, CNAME or TXT records of a name, as an mx_answer without hosts; none: NO_DATA or
 * NO_DOMAIN. */
struct resolver_query *resolver_tlsa(struct resolver *r, struct span name,
                                     resolver_mx_fn *done, void *user);
struct resolver_query *resolver_alias(struct resolver *r, struct span name,
                                      resolver_mx_fn *done, void *user);
struct resolver_query *resolver_text(struct resolver *r, struct span name,
                                     resolver_mx_fn *done, void *user);
/* Are answers validated? Not without a trust anchor, nor once it was found that the name
 * server in use strips signatures. */
bool resolver_validates(const struct resolver *r);
/* The addresses of a name as a list of senders has them, from the DNS alone and IPv4 only: an
 * mx_answer with one host, or none. RFC 5782 */
struct resolver_query *resolver_list(struct resolver *r, struct span name,
                                     resolver_mx_fn *done, void *user);
/* The name of an address: the first of its names, a few at most, that leads back to it, as an
 * mx_answer with one host. NO_DOMAIN, NO_DATA: it has none. */
struct resolver_query *resolver_name(struct resolver *r,
                                     const struct host_address *address,
                                     resolver_mx_fn *done, void *user);
void resolver_cancel(struct resolver_query *take_q);

/* Answers are cached inside libunbound by their TTL; this drops them (SIGHUP), reads
 * the host's files again and gives a validator that was given up another chance. */
void resolver_flush(struct resolver *r);

#endif
