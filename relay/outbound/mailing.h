/*
 * mailing - one message to one next hop, from MAIL to the last reply.
 *
 * For the client's own files only: steps of dialogue.c's table, and what the host
 * does in a transaction.
 */
#ifndef WAYPOST_MAILING_H
#define WAYPOST_MAILING_H

#include "relay/outbound/dialogue.h"

/* c->t is set, nothing stands against it: XFORWARD or MAIL goes out. */
void mailing_begin(struct client *c);
/* CONTENT or CHUNKS. */
void mailing_content(struct client *c, struct span bytes, bool last);
/* The content cannot go on: the peer must not take what it has for a message. */
void mailing_give_up(struct client *c, const struct client_outcome *o);

step_fn mailing_forwarded;
step_fn mailing_mail, mailing_no_mail, mailing_rcpt, mailing_no_rcpt;
step_fn mailing_data, mailing_settle, mailing_void_dot;
step_fn mailing_chunk, mailing_no_chunk, mailing_last, mailing_void_chunk;

#endif
