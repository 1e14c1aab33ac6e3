/*
 * itinerary - which host comes next?
 *
 *   ASKING --secret--> LOOKING --addresses--> ASSURING --assured--> RACING --connected-->
 *     ^                  |                     |    ^  ^             |  ^      (the owner talks)
 *     |                  |                     |    |  +- next host -+  |             |
 *     +--- next member --|---------------------+----|- next host -------|-------------+
 *                        v                     v    +- itinerary_next --+- itinerary_again
 *                     judged()            exhausted()
 *
 * ASKING: only for a member that wants a login, for what is to be shown to it. ASSURING: only
 * where the route wants DANE: what TLS with this host must prove; a host that mail may not go
 * to is passed over.
 * Members of `via` in their order; of one member the hosts in theirs, but those that
 * failed lately last; of each member LIMIT_ADDRESSES addresses at most. A name that can
 * never work (no such domain, null MX) is a verdict about the mail. All that goes wrong on
 * the way is remembered (hosts), logged, and kept in words for the queue.
 */
#ifndef WAYPOST_ITINERARY_H
#define WAYPOST_ITINERARY_H

#include "relay/net/race.h"
#include "relay/net/resolver.h"
#include "relay/outbound/assurance.h"
#include "relay/outbound/client.h"
#include "relay/outbound/delivery.h"

/* One of them follows each itinerary_begin and itinerary_next; exhausted may come before
 * itinerary_next returns. The owner may be gone afterwards. */
struct itinerary_events {
    /* fd belongs to the owner now; peer and relay tell to whom it leads. */
    void (*connected)(void *user, int fd);
    /* The name alone decides: all mail for the domain fares alike. NULL: exhausted comes
     * instead, and trouble has the words. */
    void (*judged)(void *user, enum diagnosis d, struct status status,
                   const char *words);
    /* No host is left; trouble says what became of the latest. */
    void (*exhausted)(void *user);
    /* For who wants to see the way, NULL for all others. A member's name was looked up; its
     * hosts are known, if there are any; rc of an address that could not be connected to. */
    void (*looked_up)(void *user, const struct mx_answer *a);
    void (*missed)(void *user, const struct race_target *t, int rc);
    /* What TLS with the host that comes next must prove, where that was asked. */
    void (*assured)(void *user, const struct assurance *a);
    int64_t patience_ms; /* so long an address is waited for, one at a time; 0: as long as
                            usual, and they are raced */
};

struct itinerary_host {
    struct span name, canonical;
    struct race_target targets[LIMIT_ADDRESSES];
    size_t count;
    bool is_secure;  /* its addresses were validated */
    bool is_resting; /* every address of it failed lately */
};

struct itinerary {
    struct delivery *delivery;
    const struct route *route;
    struct span domain; /* borrowed: MX look-ups */
    const struct itinerary_events *events;
    void *user;
    uint64_t secret_token;        /* ASKING; else 0 */
    struct buffer secret;         /* to log in to this member with */
    struct resolver_query *query; /* LOOKING */
    struct race *race;            /* RACING */
    size_t member;                /* of via */
    struct arena names;
    struct itinerary_host hosts[LIMIT_MX_HOSTS];
    size_t host_count, host_next;
    bool is_set_secure;         /* which hosts they are was validated */
    struct assurance assurance; /* of the latest host */
    size_t addresses_tried; /* of this member */
    int64_t began_ms;
    int64_t connect_ms;      /* how long the latest connect took */
    struct race_target peer; /* the latest connected, when it is no unix socket */
    const struct hop *given; /* the connection was there: no host is asked, and there is
                                no other; else NULL */
    bool in_clear;           /* the peer's TLS failed: it is met again without */
    bool without_chunking;   /* it offers CHUNKING and does not know BDAT */
    struct buffer relay;     /* "host[ip]:25": the latest connected or failed */
    struct buffer trouble;   /* "4.4.1 connect to ...": the latest */
};

/* route and domain are borrowed for its life. */
void itinerary_init(struct itinerary *it, struct delivery *d,
                    const struct route *route, struct span domain,
                    const struct itinerary_events *events, void *user);
/* For a connection that its owner has already, to a host of this name (copied): there is
 * nowhere to go to. */
void itinerary_give(struct itinerary *it, struct delivery *d, struct span name,
                    const struct race_target *peer);
/* Nothing comes any more. */
void itinerary_fini(struct itinerary *it);
/* From the first member on, with names looked up anew. */
void itinerary_begin(struct itinerary *it);
/* The host after the latest. */
void itinerary_next(struct itinerary *it);
/* The latest once more, on the terms that stand above. */
void itinerary_again(struct itinerary *it);
/* A member of via; of a pickup where a release leads, if anywhere. */
const struct hop *itinerary_member(const struct route *r, size_t member);
/* The member that the latest belongs to, and the host's own name. */
const struct hop *itinerary_hop(const struct itinerary *it);
struct span itinerary_host_name(const struct itinerary *it);
/* Might itinerary_next lead anywhere? */
bool itinerary_has_more(const struct itinerary *it);

/* What the connected host did: it greeted us, or why not. */
void itinerary_greeted(struct itinerary *it);
void itinerary_refused(struct itinerary *it, const struct client_outcome *why);

#endif
