/*
 * postern - the unix socket by which programs of this machine submit mail.
 *
 * Everybody may connect; who it is says the kernel (SO_PEERCRED). Users that sendmail { users }
 * does not name are turned away, the others are handed to the worker with the fewest sessions.
 * Each user counts as one client. Main loop only; a user's login is looked up on libuv's pool.
 */
#ifndef WAYPOST_POSTERN_H
#define WAYPOST_POSTERN_H

#include "policy/settings.h"
#include "relay/net/census.h"
#include "relay/net/worker.h"

struct postern;

/* Workers and census are borrowed. */
struct postern *postern_new(uv_loop_t *loop, struct worker *const *workers,
                            unsigned worker_count, struct census *census);
/* Listens as these settings say, which are held. On failure nobody listens; out_why is a
 * sentence. */
MUST int postern_open(struct postern *p, struct settings *settings,
                      struct buffer *out_why);
/* Nobody comes in any more. */
void postern_close(struct postern *p);
/* When the loop is over. */
void postern_free(struct postern *p);

/* The worker with the fewest sessions. */
struct worker *postern_worker(struct worker *const *workers, unsigned count);

#endif
