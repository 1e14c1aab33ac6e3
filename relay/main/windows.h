/*
 * windows - where a lane leads at this minute, for the queue.
 *
 * Immutable: which windows are open is part of it, so that the queue may ask from any
 * thread. While a window is open its route is like any other; while none is, mail waits
 * to be released. When one opens or closes the queue is given another.
 */
#ifndef WAYPOST_WINDOWS_H
#define WAYPOST_WINDOWS_H

#include "policy/settings.h"
#include "queue/queue.h"

#include <time.h>

struct windows;

/* For this minute of the local day. Borrows the settings. */
struct windows *windows_new(const struct settings *s, time_t now);
void windows_free(struct windows *w);
/* A line of the log for each window that opened or closed; false: none did. Both are of
 * the same settings. */
bool windows_tell(const struct windows *before, const struct windows *now);
/* A queue_route_fn; user: the windows. */
void windows_route(void *user, struct span lane, struct queue_destination *out);

/* Until the next minute begins. */
uint64_t windows_wait_ms(time_t now);

#endif
