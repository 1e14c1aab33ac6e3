/*
 * seal - who gets something of ours can know that it is ours, and of when.
 *
 * The value of the header Waypost-Signature: "t=UNIX,v1=HEX", where HEX is the HMAC-SHA256
 * (RFC 2104) of "UNIX.BODY" with the secret. The time is in it so that what somebody has
 * recorded cannot be played again for ever.
 */
#ifndef WAYPOST_SEAL_H
#define WAYPOST_SEAL_H

#include "policy/vocabulary/buffer.h"

void seal_put(struct buffer *b, struct span secret, int64_t unix_s,
              struct span body);

#endif
