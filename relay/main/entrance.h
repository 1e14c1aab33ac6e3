/*
 * entrance - the listening sockets, and the way from them to a worker.
 *
 * A client over its share is turned away here; everyone else is handed to the worker with
 * the fewest sessions. Addresses that a reload does not change keep their socket; sockets
 * that are there already (doorstep.h) are used where their name is a listener's title or
 * their address a listener's. Main loop only.
 */
#ifndef WAYPOST_ENTRANCE_H
#define WAYPOST_ENTRANCE_H

#include "policy/settings.h"
#include "relay/net/census.h"
#include "relay/net/worker.h"

struct doorstep;
struct entrance;

/* Workers, census, the main loop's gauge and the sockets that are there already are
 * borrowed. */
struct entrance *entrance_new(uv_loop_t *loop, struct worker *const *workers,
                              unsigned worker_count, struct census *census,
                              struct gauge *gauge, struct doorstep *doorstep);
/* Listens as these settings say, and no longer elsewhere; they are held. On failure the
 * listeners that could be opened are open, out_why names the first that could not. */
MUST int entrance_open(struct entrance *e, struct settings *settings,
                       struct buffer *out_why);
/* Are all listeners of the settings open? */
bool entrance_is_whole(const struct entrance *e);
/* Nobody comes in any more. */
void entrance_close(struct entrance *e);
void entrance_free(struct entrance *e);

#endif
