/*
 * assurance - what must TLS with this host prove?
 *
 * For routes with tls = dane or dane-only, asked anew for each host that the itinerary comes
 * to. What answers is the DNS, by TLSA records that DNSSEC vouches for; where it has none the
 * domain's policy (MTA-STS), which is asked for once in an itinerary:
 *
 *   names validated? --yes--> TLSA of the name at the end of aliases, else of the host's own
 *        |                       |          |                |              |
 *        no                    usable   none usable        none        cannot be asked
 *        |                       |          |                |              |
 *        |                     DANE      ENCRYPT             |           REFUSED
 *        +----> dane-only: REFUSED;  dane: MTA-STS <---------+
 *                     |                     |               |             |
 *               no policy, none          testing      enforce: named    not named
 *                     |                     |               |             |
 *                   NONE                  TESTED           STS         REFUSED
 *
 * What was found goes from here to terms.c, which makes a wish for TLS of it, and to probes.
 * A doubt is never a downgrade: where the DNS fails the host is passed over. RFC 7672 2, 3;
 * RFC 8461 4, 5.
 */
#ifndef WAYPOST_ASSURANCE_H
#define WAYPOST_ASSURANCE_H

#include "policy/mtasts.h"
#include "policy/tlsa.h"
#include "policy/vocabulary/arena.h"
#include "relay/net/resolver.h"
#include "relay/outbound/delivery.h"

enum assurance_kind {
    ASSURANCE_NONE,               /* nothing: as the route says */
    ASSURANCE_ENCRYPT,            /* TLS with any certificate */
    ASSURANCE_DANE,               /* TLS, and a certificate that the records vouch for */
    ASSURANCE_TESTED,             /* nothing, but the domain would like STS: it is logged */
    ASSURANCE_STS,                /* TLS, and a certificate for the host by an authority */
    ASSURANCE_REFUSED,            /* no mail may go to this host now */
};

/* Whom it is about; names are borrowed until the answer has come. */
struct assurance_host {
    struct span domain;           /* whose exchanger it is; empty: it stands in a route */
    bool is_set_secure;           /* that it is one was validated */
    struct span name, canonical;
    bool is_secure;               /* its addresses were */
    uint16_t port;
};

/* All is its own; lives until it is begun again or ended. */
struct assurance {
    enum assurance_kind kind;
    bool is_only;                 /* dane-only */
    struct assurance_host host;
    struct tlsa *records;         /* the usable ones */
    size_t count;
    size_t found;                 /* of so many records */
    struct span base;             /* whose they are */
    struct buffer why;            /* one line: what was found; REFUSED: why */
    bool has_policy;              /* MTA-STS: of the domain, for all its hosts */
    struct mtasts_policy policy;  /* patterns lie in policy_text */
    struct buffer policy_words;   /* what came of asking for it; empty: not asked */

    /* Its own. */
    struct delivery *delivery;
    struct resolver_query *query;
    struct stsinquiry *inquiry;
    struct buffer policy_text;
    struct arena arena;
    void (*done)(void *user);
    void *user;
};

/* A zeroed one, or one that has answered for another host of the same domain. done comes once, perhaps before it returns. */
void assurance_begin(struct assurance *a, struct delivery *d, bool is_only,
                     const struct assurance_host *host,
                     void (*done)(void *user), void *user);
/* Nothing of the kind is asked: NONE. */
void assurance_skip(struct assurance *a);
/* done will not come; the domain may be another one afterwards. */
void assurance_fini(struct assurance *a);

#endif
