/*
 * weburl - addresses of servers that are sent secrets: which are good enough, and what of them
 * people may read.
 */
#ifndef WAYPOST_WEBURL_H
#define WAYPOST_WEBURL_H

#include "policy/vocabulary/buffer.h"
#include "policy/vocabulary/error.h"

/* May a secret be sent there? https, or http to a loopback host; no user in it. key: what
 * it stands behind in the configuration. */
MUST int weburl_check(struct span url, const char *key, struct buffer *why);
/* The host of a good one, for people. */
void weburl_put_host(struct buffer *b, struct span url);

#endif
