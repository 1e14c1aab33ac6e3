/*
 * talk - one connection to a host, and the client that speaks on it.
 *
 *   NONE --open--> TALKING <--park, hold, go on--> PARKED, HELD
 *    ^              |     \                           |
 *    |             give    +---> ENDING <-- quit -----+
 *    |              |      |       |                  |
 *    +---closed-- GIVEN    +----closed----> LOST <----+
 *    +-------------------conclude------------+
 *
 * It drives the client: what that wants to say is sent, TLS and the login's slow answer are
 * seen to on the route's terms, and the owner (a courier, a caller, a fetch) is asked
 * whenever something of its own is due. Where to connect to, what to ask and what becomes of
 * the answer is the owner's.
 *
 * A talk is embedded in its owner, zeroed at first. While it is connected it must stay where
 * it is; however it ends `over` comes once, later, never from within a call to the talk. There,
 * or whenever it can afterwards, the owner concludes, and only then may it go or open the talk
 * again. It must not go from within any other event.
 */
#ifndef WAYPOST_TALK_H
#define WAYPOST_TALK_H

#include "relay/outbound/client.h"
#include "relay/outbound/terms.h"

enum talk_state {
    TALK_NONE,    /* no connection, no client */
    TALK_TALKING,
    TALK_PARKED,  /* the client is free; says goodbye when nothing comes for long */
    TALK_HELD,    /* the client is free; whatever the peer does waits for talk_go_on */
    TALK_ENDING,  /* our last words are on their way */
    TALK_GIVEN,   /* the connection is another's, and no client is left here */
    TALK_LOST,    /* the connection is closed; the client knows how it went */
};

struct talk_events {
    /* The client is free. The owner starts it, or parks, holds or quits. */
    void (*ready)(void *user);
    /* Outcomes are ready, perhaps because the connection was lost: reads them, then
     * client_next. NULL for who starts no transaction. */
    void (*done)(void *user);
    /* The client wants content and all before has left: gives it some, now or later (then
     * with talk_go_on). NULL for who has none. */
    void (*sends)(void *user);
    /* The peer is the client now, and has said rest already; talk_give or talk_close. NULL
     * for who never asks that. */
    void (*turned)(void *user, struct span rest);
    /* Is there what could be on its way to another host meanwhile? Our last words are not
     * waited for then. NULL: never. */
    bool (*is_urgent)(const void *user);
    /* The connection is closed: LOST, see talk_conclude; or it was GIVEN. The owner may be
     * gone after it. */
    void (*over)(void *user);
    int64_t linger_ms; /* so long our last words may take */
};

struct talk {
    enum talk_state state;
    struct terms terms; /* the owner's part of it */
    const struct talk_events *events;
    void *user;
    struct conn conn;
    struct client *client; /* NULL: NONE or GIVEN; the owner starts it and reads it */
    uint64_t reckoning;    /* a login's answer is being computed; else 0 */
    bool was_met;          /* the client was free once */
    int64_t idle_ms, linger_ms;
};

/* Takes a connected fd and begins to talk. What terms says (but for conn, client and
 * reckoning, which are the talk's) and events are borrowed until it is concluded. */
void talk_open(struct talk *t, const struct terms *terms,
               const struct talk_events *events, void *user, int fd);
/* The same with a connection that was another's. */
void talk_take_over(struct talk *t, const struct terms *terms,
                    const struct talk_events *events, void *user,
                    struct hand *take_h);

/* The client is free and there is nothing to do, for so long at most. */
void talk_park(struct talk *t, int64_t for_ms);
/* The client is free, but the owner has to wait for something before it goes on. */
void talk_hold(struct talk *t);
/* There is work, or the client was given some: goes on until it waits for the peer. TALKING,
 * PARKED or HELD. */
void talk_go_on(struct talk *t);
/* Says goodbye if it may, and ends. */
void talk_quit(struct talk *t);
/* For `turned`: as conn_give; the client is freed, and out_h the caller's. Negative: nothing
 * was done. */
MUST int talk_give(struct talk *t, struct hand *out_h);
/* Ends at once; nothing where there is no connection. */
void talk_close(struct talk *t);
/* The client's timers, our last words', and an idle one's. */
void talk_tick(struct talk *t, int64_t now_ms);

/* LOST: frees the client and forgets what is being computed. Where the owner may go on the
 * itinerary learns of a host that did not greet us, and true says that the same one is to be
 * met again, on milder terms (itinerary_again). */
MUST bool talk_conclude(struct talk *t, bool may_go_on);

/* Is there a connection? `over` will come. */
bool talk_is_connected(const struct talk *t);
/* Is it one on which something can be asked, now or soon? */
bool talk_is_up(const struct talk *t);
/* May it be told to go on, or to quit? */
bool talk_is_parked(const struct talk *t);

#endif
