/*
 * approach - from the greeting to a connection that is free.
 *
 * For the client's own files only: steps of dialogue.c's table, and what the host
 * tells of TLS.
 */
#ifndef WAYPOST_APPROACH_H
#define WAYPOST_APPROACH_H

#include "relay/outbound/dialogue.h"

step_fn approach_greeted, approach_ehlo, approach_say_helo, approach_helo;
step_fn approach_secure;     /* STARTTLS was answered 2xx */
step_fn approach_refuse_tls; /* ... 4xx, 5xx */
step_fn approach_break_tls;  /* ... not at all, or with nonsense */
step_fn approach_logged_in, approach_challenge, approach_refuse_login,
    approach_break_login;
/* Our own reason to end the session, while the peer listens; words is a literal. */
void approach_leave(struct client *c, struct status status, struct span words);
/* COMPUTING is over. */
void approach_computed(struct client *c);

void approach_secured(struct client *c, const struct tls_facts *facts);
void approach_tls_failed(struct client *c, struct span why, bool is_trust);

#endif
