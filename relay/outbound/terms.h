/*
 * terms - on what terms is a host met: TLS, name, login.
 *
 * What the route and the member of via ask for becomes the client's options and a TLS
 * conversation. Opportunistic TLS that fails is given up for this host and attempt: it is
 * met again in clear (itinerary_again); where TLS is a must nothing of a message is sent.
 * What DANE or MTA-STS demands of this host is the itinerary's assurance: a connection that was met on
 * its terms is used for as long as connections are, though the records may change meanwhile,
 * and only for mail of the same destination, which is one domain's where there are MX records.
 * Where a connection was another's (itinerary_give) it is met as it is. Used by talk.c alone.
 * RFC 3207, 7435, 7672, 8461, 9525.
 */
#ifndef WAYPOST_TERMS_H
#define WAYPOST_TERMS_H

#include "relay/net/conn.h"
#include "relay/outbound/itinerary.h"
#include "relay/outbound/reckoning.h"

/* What is to be known of whoever meets a host; all borrowed, for a call. */
struct terms {
    struct delivery *delivery;
    const struct settings *settings;
    struct tls_material *tls;     /* of these settings */
    const struct route *route;
    size_t certificate;           /* see tls_wish.route */
    struct itinerary *itinerary;
    struct conn *conn;
    struct client *client;        /* NULL before terms_client */
    uint64_t *reckoning;          /* a login's answer is being computed; else 0 */
    const struct witness *witness; /* NULL: nobody looks on */
    const struct client_timeouts *timeouts; /* NULL: the usual ones */
};

/* A client for the host that has just been connected. */
struct client *terms_client(const struct terms *t, int64_t now_ms);
/* CLIENT_STARTS_TLS: begins the handshake; once, however often it is called. False: it
 * cannot be, and the connection is to be closed. */
bool terms_start_tls(const struct terms *t);
/* The handshake is done. */
void terms_secured(const struct terms *t);
/* The host is free for mail: says so when that goes in clear text though TLS was wanted. */
void terms_met(const struct terms *t);
/* It failed, or the connection broke (rc) before it was done. */
void terms_broken(const struct terms *t, int rc);
/* CLIENT_COMPUTES: begins it; once, however often it is called. done comes, once. */
void terms_reckon(const struct terms *t, reckoning_fn *done, void *user);
/* Whatever is being computed is not awaited any more. */
void terms_reckon_no_more(const struct terms *t);
/* The connection led to nothing, before any mail: shall the same host be met again, on
 * milder terms? */
bool terms_are_milder(const struct terms *t);

#endif
