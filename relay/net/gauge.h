/*
 * gauge - what one loop has counted, for the metrics.
 *
 * Each loop (a worker's, and the main one) has one of its own and adds to it
 * without locks; whoever wants to know adds them all up. What strangers say
 * makes nothing grow: all names in it are ours, or of listeners.
 */
#ifndef WAYPOST_GAUGE_H
#define WAYPOST_GAUGE_H

#include "policy/vocabulary/histogram.h"
#include "policy/vocabulary/span.h"

enum gauge_counter {
    GAUGE_ACCEPTED,         /* messages: 250 after their content */
    GAUGE_GREYLISTED,       /* refusals of a rule that asks to knock twice */
    GAUGE_LOST,             /* clients that went without a goodbye, or were cut */
    GAUGE_LOGINS, GAUGE_LOGINS_FAILED,
    GAUGE_CROWDED,          /* connections over sessions-per-client */
    GAUGE_STRANGE_PROXY,    /* connections to a balancer's port from elsewhere */
    GAUGE_SENT, GAUGE_DEFERRED, GAUGE_BOUNCED, GAUGE_EXPIRED, /* recipients */
    GAUGE_DISCARDED, GAUGE_HELD,
    GAUGE_IN_DOUBT,
    GAUGE_REMOVED,          /* messages of which nothing is left */
    GAUGE_REPORTS_FAILED, GAUGE_REPORTS_DELAYED, GAUGE_REPORTS_SUCCESS,
    GAUGE_CONNECTS_FAILED, GAUGE_CONNECTS_LATE, /* late: by a time-out */
    GAUGE_DNS_FAILED,
    GAUGE_TLS_DANE,         /* connections whose certificate TLSA records vouch for ... */
    GAUGE_TLS_DANE_ANY,     /* ... that had TLSA records of no use: any certificate */
    GAUGE_TLS_STS,          /* ... that a policy demands and an authority vouches for */
    GAUGE_DANE_REFUSED, GAUGE_STS_REFUSED, /* hosts that mail did not go to for it */
    GAUGE_STS_FETCHED, GAUGE_STS_FETCH_FAILED, /* policies */
    GAUGE_COUNTERS
};

enum gauge_span {
    GAUGE_BEFORE_QUEUE, GAUGE_IN_QUEUE, GAUGE_CONNECTING, GAUGE_SENDING,
    GAUGE_DELIVERY,         /* all of them together */
    GAUGE_DNS,
    GAUGE_SIZE,             /* bytes of a message that was accepted ... */
    GAUGE_RECIPIENTS,       /* ... and its recipients */
    GAUGE_SPANS
};
extern const struct histogram_scale *const gauge_scales[GAUGE_SPANS];

/* Where a refusal came. */
enum gauge_stage {
    GAUGE_AT_CONNECT, GAUGE_AT_MAIL, GAUGE_AT_RCPT, GAUGE_AT_DATA,
    GAUGE_AT_COMMAND,       /* any other */
    GAUGE_STAGES
};

enum gauge_direction { GAUGE_IN, GAUGE_OUT, GAUGE_DIRECTIONS };
enum { GAUGE_PROTOCOLS = 4, GAUGE_TRUSTS = 4 };
/* As they are called. */
extern const char *const gauge_stages[GAUGE_STAGES];
extern const char *const gauge_directions[GAUGE_DIRECTIONS];
extern const char *const gauge_protocols[GAUGE_PROTOCOLS];
extern const char *const gauge_trusts[GAUGE_TRUSTS];

enum { GAUGE_LISTENERS = 80, GAUGE_NAME = 63 };

struct gauge;

struct gauge *gauge_new(void);
void gauge_free(struct gauge *g);

/* All of these: g may be NULL: nobody counts. The loop's own thread. */
void gauge_count(struct gauge *g, enum gauge_counter c);
void gauge_add(struct gauge *g, enum gauge_span which, uint64_t value);
/* protocol: "TLSv1.3"; trust: of enum tls_trust. */
void gauge_tls(struct gauge *g, enum gauge_direction d, const char *protocol,
               unsigned trust);
/* Does this loop's resolver validate answers (DNSSEC)? */
void gauge_validates(struct gauge *g, bool does);
/* The listener of this name; beyond GAUGE_LISTENERS (many reloads with other names) one for
 * all the rest. */
unsigned gauge_listener(struct gauge *g, struct span name);
void gauge_opened(struct gauge *g, unsigned listener);
void gauge_closed(struct gauge *g, unsigned listener);
void gauge_accepted(struct gauge *g, unsigned listener);
void gauge_refused(struct gauge *g, unsigned listener, enum gauge_stage stage);

/* Of several. */
struct gauge_listener_sum {
    char name[GAUGE_NAME + 1]; /* empty: of all that had no place */
    uint64_t opened, closed, accepted, refused[GAUGE_STAGES];
};

struct gauge_sum {
    uint64_t counters[GAUGE_COUNTERS];
    uint64_t tls[GAUGE_DIRECTIONS][GAUGE_PROTOCOLS][GAUGE_TRUSTS];
    struct histogram_sum spans[GAUGE_SPANS];
    unsigned resolvers, validating; /* loops that have one; that validate */
    struct gauge_listener_sum listeners[GAUGE_LISTENERS];
    unsigned listener_count;
};

/* ANY THREAD. Adds to io_sum, which begins zeroed. */
void gauge_read(const struct gauge *g, struct gauge_sum *io_sum);
/* At every stage of every listener. */
uint64_t gauge_sum_refused(const struct gauge_sum *s);

#endif
