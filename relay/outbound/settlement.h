/*
 * settlement - what becomes of each recipient of a work.
 *
 * Gathers outcomes, asks policy when the next attempt is due, composes the delivery report
 * where one is owed, and hands all of it to the queue as one settle (Q2); then logs it.
 * RFC 3464 reports go to every sender but <>; settlement_report.c makes them.
 */
#ifndef WAYPOST_SETTLEMENT_H
#define WAYPOST_SETTLEMENT_H

#include "policy/settings.h"
#include "policy/vocabulary/arena.h"
#include "queue/queue.h"
#include "relay/net/worker.h"
#include "relay/outbound/client.h"

/* What a report needs of a recipient besides its result. */
struct settlement_fact {
    bool is_remote;               /* the reply was said by a peer */
    bool is_final;                /* delivered into the mailbox itself, as by LMTP */
    bool dsn_passed;              /* the next hop reports from now on */
    bool by_passed;               /* it knows the time set by DELIVERBY */
};

struct settlement {
    struct worker *worker;
    struct settings *settings;
    const struct route *route;    /* NULL: none; the global retry settings hold */
    struct queue_work *work;
    struct queue_result *results; /* one for each recipient, in texts */
    struct settlement_fact *facts;
    struct arena texts;
    struct span head;             /* the content or its beginning, for a report */
    bool head_is_whole;
    int64_t claimed_ms;
    int64_t connect_ms;           /* how long connecting took, for the first message */
    uint32_t conn_use;
    struct span destination;      /* borrowed; empty: of none, an alarm's */
    bool was_met;                 /* there was a connection ... */
    const char *protocol;         /* ... with this TLS; NULL: in clear text */
    enum tls_trust trust;
    const char *tls_policy;       /* "DANE" ...; NULL: the route's own */
    struct span dialogue;         /* what was said to those noted now, for who was not
                                     delivered; in texts */
    bool is_final;                /* who delivers now is the last to do so; set before
                                     notes */
};

/* All recipients begin as freed. Owns the work from now on; settings are borrowed. */
void settlement_begin(struct settlement *s, struct worker *w,
                      struct settings *settings, const struct route *route,
                      struct queue_work *take_work);
/* Records what was said about recipient i, in place of what was before; texts are
 * copied. */
void settlement_note(struct settlement *s, size_t i,
                     const struct client_outcome *outcome, struct span host,
                     bool is_remote);
/* Keeps recipient i, held, with a reason of ours. */
void settlement_hold(struct settlement *s, size_t i, struct span reason);
/* Alarm work: expiry or delay notice for those whose time has come. */
void settlement_alarms(struct settlement *s);
/* Is its sender <>? Then nobody but the postmaster hears of it. */
bool settlement_is_report(const struct settlement *s);
/* Settles, reports, logs; the work is gone. */
void settlement_end(struct settlement *s);

#endif
