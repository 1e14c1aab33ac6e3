/*
 * terms - on what terms is a host met: TLS, name, login.
 *
 * What the route and the member of via ask for becomes the client's options and a TLS
 * conversation. Opportunistic TLS that fails is given up for this host and attempt: it is
 * met again in clear (itinerary_again); where TLS is a must nothing of a message is sent.
 * For visit.c only. RFC 3207, 7435, 9525.
 */
#ifndef WAYPOST_TERMS_H
#define WAYPOST_TERMS_H

#include "relay/outbound/courier_private.h"

/* A client for the host that has just been connected. */
struct client *terms_client(struct courier *c, int64_t now_ms);
/* CLIENT_STARTS_TLS: begins the handshake; once, however often it is called. False: it
 * cannot be, and the connection is to be closed. */
bool terms_start_tls(struct courier *c);
/* The handshake is done. */
void terms_secured(struct courier *c);
/* The host is free for mail: says so when that goes in clear text though TLS was wanted. */
void terms_met(const struct courier *c);
/* It failed, or the connection broke (rc) before it was done. */
void terms_broken(struct courier *c, int rc);
/* CLIENT_COMPUTES: begins it; once, however often it is called. visit_reckoned comes. */
void terms_reckon(struct courier *c);
/* Whatever is being computed is not awaited any more. */
void terms_reckon_no_more(struct courier *c);
/* The connection led to nothing, before any mail: shall the same host be met again, on
 * milder terms? */
bool terms_are_milder(struct courier *c);

#endif
