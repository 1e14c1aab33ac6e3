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
 *
 * The way of a question: a ticket goes to the desk's thread (tokens.c), the keyring finds
 * or fetches what the account shows (keyring.c, with bearer.c's grammar, webpost.c and
 * tokencommand.c), and the ticket comes back as a task of its worker.
 */
#ifndef WAYPOST_TOKENS_H
#define WAYPOST_TOKENS_H

#include "policy/settings.h"
#include "relay/net/worker.h"

struct tokens;

/* What a test may set; 0 and NULL are the values that serve. */
struct tokens_options {
    int64_t (*now_ms)(void);      /* any clock that only goes forward */
    int64_t connect_ms, total_ms; /* of a token server: 10 s, 30 s */
    int64_t command_ms; /* of a token-command: 30 s, then it is killed */
};

MUST int tokens_open(struct tokens **out_t);
MUST int tokens_open_with(struct tokens **out_t,
                          const struct tokens_options *options);
/* When the workers have been joined (before worker_fini): what is still under way is
 * dropped, its done does not come. NULL is nothing. */
void tokens_close(struct tokens *t);

/* rc < 0: why is a sentence for log and queue, without secrets. Spans borrowed for the call;
 * the caller wipes its copy of the secret, which is empty where mechanisms is EXTERNAL and
 * there is none. */
typedef void tokens_fn(void *worker, uint64_t token, int rc, struct span secret,
                       struct span why);
/* On the worker's thread; done comes exactly once, later, on the same. The account is
 * borrowed for the call only; equal accounts of two configurations are the same. A token
 * server is verified with the authorities of the worker's settings. */
void tokens_get(struct tokens *t, struct worker *w, const struct account *a,
                tokens_fn *done, uint64_t token);
/* A next hop did not want it (any thread): a bearer token is fetched anew next time, but not
 * more often than every 10 seconds. */
void tokens_refused(struct tokens *t, const struct account *a);

/* For `waypost check`: is every file of the accounts there and may we alone read it, is
 * every token-url one that we would send a secret to? Lines "FILE:LINE:COLUMN: text" and
 * "FILE:LINE:COLUMN: warning: text". */
void tokens_check_files(const struct settings *s, struct buffer *out_faults,
                        struct buffer *out_warnings);

#endif
