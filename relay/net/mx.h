/*
 * mx - which hosts may take a domain's mail, and in which order?
 *
 * The part of the search that needs no DNS: records in, the names to look up out; their
 * addresses in, the hosts that are left out. Randomness is a parameter. RFC 5321 5.1,
 * RFC 7505.
 *
 *   records --mx_prepare--> mx_set (names) --look-ups--> mx_set (addresses)
 *                                              --mx_choose--> mx_choice
 */
#ifndef WAYPOST_MX_H
#define WAYPOST_MX_H

#include "policy/vocabulary/limits.h"
#include "relay/net/resolver.h"

enum {
    MX_RECORDS = 100,             /* of one answer that are looked at */
    MX_HOST_ADDRESSES = 8,        /* of one host that are kept */
};

struct mx_record {
    struct span name;             /* no last dot; empty: the root (null MX) */
    uint16_t preference;
};

/* What a look-up of one family brought. */
struct mx_addresses {
    enum resolver_kind kind;
    bool is_secure;
    struct span canonical;        /* the name at the end of aliases, or empty */
    struct host_address at[MX_HOST_ADDRESSES];
    size_t count;
};

struct mx_target {
    struct span name;
    uint16_t preference;
    struct mx_addresses v4, v6;   /* filled in between the two steps */
};

struct mx_set {
    struct mx_target targets[LIMIT_MX_HOSTS]; /* in the order of trying */
    size_t count;
    bool is_null;                 /* RFC 7505 */
    bool is_cut;                  /* we are in it, under our own name */
    bool is_implicit;             /* no MX record: the domain is its own host */
    bool is_secure;               /* the records were validated */
};

/* Uniform over all 32 bits. */
typedef uint32_t mx_random_fn(void *user);

/*
 * Reads one MX record's data: preference and a name without compression. The name is
 * printed into out_name (emptied first), no last dot. False when it is not well
 * formed or no name a host can have; a name that looks like an address is a name.
 */
bool mx_record_read(struct span data, uint16_t *out_preference,
                    struct buffer *out_name);

/* The name alone, as a PTR record has it. */
bool mx_name_read(struct span data, struct buffer *out_name);

/*
 * Sorts by preference, equal ones shuffled; of a name that stands twice the better
 * one; cut at our own name and everything of equal or worse preference; the
 * first LIMIT_MX_HOSTS. Only the first MX_RECORDS records are looked at. Names are
 * borrowed.
 */
void mx_prepare(const struct mx_record *records, size_t count,
                struct span hostname, mx_random_fn *random, void *user,
                struct mx_set *out_set);
/* The set of a domain without MX records, or of one host: itself. */
void mx_prepare_host(struct span name, struct span hostname,
                     struct mx_set *out_set);

struct mx_rules {
    const struct host_address *own;
    size_t own_count;
    bool allow_unsafe;            /* a smarthost: also our own and loopback */
};

/* answer borrows from the rest, and names from the set: neither may move. */
struct mx_choice {
    struct mx_answer answer;
    struct mx_host hosts[LIMIT_MX_HOSTS];
    struct host_address addresses[LIMIT_MX_HOSTS][MX_HOST_ADDRESSES];
};

/*
 * Leaves out unsafe addresses, cuts at our own, drops hosts without an address (at most
 * MX_HOST_ADDRESSES each, families taking turns). When none is left the answer says
 * why, doubt first: FAILED where any look-up failed that could have brought a host.
 */
void mx_choose(const struct mx_set *set, const struct mx_rules *rules,
               struct mx_choice *out_choice);

#endif
