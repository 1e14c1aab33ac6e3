/*
 * commandline - XFORWARD, MAIL and RCPT as they go out, with their parameters.
 *
 * What the peer does not offer is left out, what it must not miss was refused
 * before (obstacle.h). For the client's own files only. RFC 1870, 6152, 6531, 3030,
 * 3461 4, 6533 3, 2852 4, 6710 2; XFORWARD is Postfix's.
 */
#ifndef WAYPOST_COMMANDLINE_H
#define WAYPOST_COMMANDLINE_H

#include "relay/outbound/dialogue.h"

/* The reverse-path of this transaction. */
struct span commandline_sender(const struct client *c);
/* Must this transaction be asked for with SMTPUTF8? */
bool commandline_needs_utf8(const struct client *c);
/* Does BY go with the message? Not to a peer that would refuse so short a time, where it is
 * only a wish (mode N). RFC 2852 3, 4 */
bool commandline_tells_by(const struct client *c);
/* What is left of the time to deliver by, in seconds; it may be over. */
int64_t commandline_by_s(const struct client *c);

/* The next XFORWARD of this transaction. False: all has been told. */
bool commandline_forward(struct client *c);
void commandline_mail(struct client *c);
void commandline_rcpt(struct client *c, size_t i);

#endif
