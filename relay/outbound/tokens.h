/*
 * tokens - the secret that an account shows to a next hop.
 *
 * A password is read from its file each time; a bearer token is fetched from an OAuth 2
 * server (client credentials or refresh token grant, RFC 6749 4.4 and 6) or printed by a
 * program, kept in memory while it is good, fetched again before it ends, and dropped when
 * a next hop refuses it. One for the process: fetches run on a loop of their own thread
 * (libcurl's multi interface), and all who ask meanwhile share one. A failed fetch is
 * remembered a moment, so that an outage is not a storm. Nothing of a secret is ever
 * logged; a rotated refresh token replaces its file atomically, mode 0600.
 */
#ifndef WAYPOST_TOKENS_H
#define WAYPOST_TOKENS_H

#include "policy/settings.h"
#include "relay/net/worker.h"

struct tokens;

MUST int tokens_open(struct tokens **out_t);
void tokens_close(struct tokens *t);

/* rc < 0: why is a sentence for log and queue, without secrets. Spans borrowed for the call;
 * the caller wipes its copy of the secret. */
typedef void tokens_fn(void *worker, uint64_t token, int rc, struct span secret,
                       struct span why);
/* done comes exactly once, later, on the worker's thread. The account is borrowed for the
 * call only; equal accounts of two configurations are the same. */
void tokens_get(struct tokens *t, struct worker *w, const struct account *a,
                tokens_fn *done, uint64_t token);
/* A next hop did not want it (any thread): a bearer token is fetched anew next time, but not
 * more often than every 10 seconds. */
void tokens_refused(struct tokens *t, const struct account *a);

#endif
