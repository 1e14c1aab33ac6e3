/*
 * fetch - our mail is asked for at a provider, and comes in over the same connection.
 *
 *   SEEKING --connected--> TALKING --250--> RECEIVING (the intake has the connection)
 *    |   ^                  |    |                 |
 *    |   +--- next host ----+    |                 |
 *    +--no host is left-> GONE <-+-----------------+
 *
 * SEEKING: the itinerary looks the provider up and connects. TALKING: greeting, TLS, login,
 * ATRN. RECEIVING: nothing is left here but to wait for what came of it. Whoever asked is
 * told once, at the end. RFC 2645, the customer's side.
 */
#ifndef WAYPOST_FETCH_H
#define WAYPOST_FETCH_H

#include "relay/outbound/delivery.h"

struct fetch;

enum fetch_kind {
    FETCH_RECEIVED, /* ATRN was answered 250; result says what came */
    FETCH_EMPTY,    /* 453: there is no mail */
    FETCH_FAILED,   /* for the reason in words */
};

struct fetch_outcome {
    enum fetch_kind kind;
    struct fetch_result result;
    struct span words; /* one line, escaped; borrowed for the call */
};
/* On the worker's thread. */
typedef void fetch_told_fn(void *user, const struct fetch_outcome *o);

/* Begins, as the worker's settings say of the fetch with this title; told comes exactly
 * once, perhaps before it returns. */
void fetch_open(struct worker *w, struct span title, fetch_told_fn *told,
                void *user);
void fetch_tick(struct fetch *f, int64_t now_ms);
/* Going down: it ends soon, unless mail is coming in, which is the intake's. */
void fetch_cut(struct fetch *f);
struct fetch *fetch_next(const struct fetch *f);

#endif
