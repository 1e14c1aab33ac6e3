/*
 * hand - a connection that goes from one side of a worker to the other.
 *
 * The inbound side and the outbound side do not know each other; what one asks of the other
 * goes through the worker's `sides`, which main fills in. After ATRN and TURN the two ends
 * of a connection change roles: conn_give takes the descriptor and the TLS conversation out
 * of the connection that was, conn_take makes one of them that another owns. The same TLS
 * session goes on. RFC 2645.
 *
 *   provider   session --ATRN--> conn_give --turn--> sides.deliver --> courier
 *   customer   fetch   --ATRN--> conn_give --------> sides.receive --> intake
 *
 * A hand is owned by whoever has it; all of it happens on one worker's thread.
 */
#ifndef WAYPOST_HAND_H
#define WAYPOST_HAND_H

#include "policy/vocabulary/buffer.h"
#include "policy/vocabulary/network.h"
#include "queue/queue.h"
#include "relay/net/tls.h"

struct worker;

struct hand {
    int fd;                       /* -1: none */
    struct tls *tls;              /* NULL: clear text */
    struct buffer waiting;        /* plain text that came and was not consumed */
};

#define HAND_NONE ((struct hand){ .fd = -1 })

/* Closes what it holds; none is left. */
void hand_drop(struct hand *h);

enum { TURN_DESTINATIONS_MOST = 64 };

/* What a customer who asked for his mail is to be given over his own connection: one slot
 * of each destination, taken by queue_turn; one after the other. */
struct turn {
    struct queue_slot *slots[TURN_DESTINATIONS_MOST]; /* NULL: already someone's */
    struct settings *settings;    /* held */
    const struct route *routes[TURN_DESTINATIONS_MOST]; /* of these settings, one that
                                                           leads there */
    size_t count;
    struct hand hand;
    struct host_address client;
    uint16_t port;                /* the client's */
    struct span client_name, login; /* own copies */
};

struct turn *turn_new(void);
/* Gives back what is left of it: slots, connection. */
void turn_free(struct turn *take_t);

/* What came of a fetch, once its connection is closed. */
struct fetch_result {
    bool is_over;                 /* the provider ended it with QUIT */
    uint32_t messages;            /* that were accepted */
    uint32_t refused;             /* that were not, or not whole */
};
typedef void fetch_done_fn(void *user, uint64_t token,
                           const struct fetch_result *r);

/* A provider's connection, after our ATRN was answered 250: from now on it is the client. */
struct incoming {
    struct hand hand;
    struct host_address provider;
    struct settings *settings;    /* held; listener is of these */
    const struct listener_settings *listener; /* the fetch's own, see settings.h */
    struct span login;            /* that the fetch logged in with; borrowed */
    fetch_done_fn *done;          /* exactly once */
    void *user;
    uint64_t token;
};

/* Is there such a mailbox? Asked of the primary by a connection of its own. */
enum callout_answer {
    CALLOUT_YES,
    CALLOUT_NO,                   /* 5xx to RCPT; reply is what was said */
    CALLOUT_UNKNOWN,              /* it could not be asked, or said 4xx */
};
typedef void callout_done_fn(void *user, uint64_t token,
                             enum callout_answer answer, struct span reply);
struct callout {
    struct settings *settings;
    const struct route *route;    /* of these settings */
    struct span recipient;        /* copied */
    callout_done_fn *done;        /* exactly once, never before the call has returned */
    void *user;
    uint64_t token;
};

/* Filled in by main before the worker starts. */
struct sides {
    /* outbound: delivers over the client's own connection; it ends by itself. */
    void (*deliver)(struct worker *w, struct turn *take_t);
    /* outbound: asks the route's host. */
    void (*call_out)(struct worker *w, const struct callout *c);
    /* inbound: greets, and receives under the normal rules. The hand is taken. */
    void (*receive)(struct worker *w, struct incoming *take_i);
};

#endif
