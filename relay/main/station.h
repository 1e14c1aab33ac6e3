/*
 * station - the running relay: one queue, its workers, its listeners.
 *
 *   start:  account and sandbox (station_enclose.c) -> queue (checks, recovery) -> workers
 *           -> listeners -> who fetches, explains, probes and tells -> admin -> the sendmail
 *           socket and the drop folder -> ready
 *   reload: settings read whole (reloader.h); on any fault the old ones stay
 *   end:    listeners close, claims stop, sessions get 421, couriers past their final dot
 *           are awaited (drain), workers end, the queue closes last
 *
 * Runs on the main loop's thread.
 */
#ifndef WAYPOST_STATION_H
#define WAYPOST_STATION_H

#include "relay/main/verbs.h"

#include "policy/settings.h"
#include "relay/main/sources.h"

struct station;

/*
 * Runs until SIGTERM or SIGINT; answers the exit code: 0, 75 where the queue or a listener
 * cannot be had now, 78 where the configuration is at fault. Takes the settings, and
 * what they were read from, and what was doubtful in it. call: for reading them again.
 */
int station_run(const struct verb_call *call, struct settings *take_settings,
                struct sources *take_sources, struct buffer *take_warnings);

#endif
