/*
 * lookup - one search for the hosts of a domain.
 *
 * Asks for the MX records, then for both families of each host at once; what they mean
 * is mx.c's. Or for the names of an address, and then whether one of them leads back to it. Knows no clock, no list and nobody else's search: resolver.c does.
 */
#ifndef WAYPOST_LOOKUP_H
#define WAYPOST_LOOKUP_H

#include "relay/net/dns.h"
#include "relay/net/hosts.h"
#include "relay/net/mx.h"

/* What all searches share; owned by the resolver. */
struct lookup_context {
    struct dns *dns;
    struct hosts *hosts;          /* NULL: none is kept */
    struct span hostname;         /* ours */
    struct host_address *own;
    size_t own_count;
    mx_random_fn *random;
    void *user;                   /* random's */
};

enum lookup_aim {
    LOOKUP_MX,                    /* a domain's hosts */
    LOOKUP_HOST,                  /* one host */
    LOOKUP_LIST,                  /* IPv4 addresses of a name in a list; DNS alone */
    LOOKUP_NAME,                  /* the name of an address */
    LOOKUP_RAW,                   /* records of one type, as they are */
};

enum lookup_state { LOOKUP_FRESH, LOOKUP_RECORDS, LOOKUP_HOSTS, LOOKUP_DONE };

struct lookup;

/* One question of a search. */
struct lookup_part {
    struct dns_question question;
    struct lookup *lookup;
    struct mx_addresses *out;     /* NULL: the MX records */
    bool is_v6;
};

struct lookup {
    const struct lookup_context *context;
    enum lookup_state state;
    void (*done)(struct lookup *l); /* may come inside lookup_begin */
    enum lookup_aim aim;
    bool is_bogus;                /* some of it did not validate */
    bool takes_bogus;             /* LOOKUP_HOST: an address will do that did not */
    enum dns_type type;           /* LOOKUP_RAW */
    struct span *records;         /* LOOKUP_RAW: what came, in the arena */
    size_t record_count;
    struct span name;             /* borrowed; what is asked first */
    struct host_address address;  /* LOOKUP_NAME */
    unsigned waiting;             /* for so many parts */
    enum resolver_kind kind;      /* not OK: known before any host was asked for */
    struct span why;              /* of a failure, in the arena */
    struct arena arena;
    struct mx_set set;
    struct lookup_part parts[1 + 2 * LIMIT_MX_HOSTS];
};

void lookup_init(struct lookup *l, const struct lookup_context *context,
                 enum lookup_aim aim, struct span name,
                 void (*done)(struct lookup *l));
/* From the start; also again, after lookup_cancel or done. */
void lookup_begin(struct lookup *l);
/* Drops what is asked; done will not come. Call it before the context's dns changes. */
void lookup_cancel(struct lookup *l);
/* Time is over: what has come must do. done will not come. */
void lookup_expire(struct lookup *l);
/* out_choice borrows from the search. */
void lookup_answer(const struct lookup *l, struct mx_choice *out_choice);
void lookup_fini(struct lookup *l);

#endif
