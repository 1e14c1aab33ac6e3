/*
 * offline - hosts that are often away: who may have their mail, and when?
 *
 * Pure, and the minute of the day is a parameter.
 */
#ifndef WAYPOST_OFFLINE_H
#define WAYPOST_OFFLINE_H

#include "policy/judge.h"

/* Is a window open at this minute of the local day? *out_minutes: until that changes (0: it
 * never does). */
bool offline_is_open(const struct offline_settings *o, unsigned minute,
                     unsigned *out_minutes);
/* May this client have the route's mail released, or fetch it? Of the facts client, login,
 * certificate and certificate_name are looked at. */
bool offline_may(const struct offline_settings *o, const struct facts *facts);
/* Do both say the same of the host? */
bool offline_is_same(const struct offline_settings *a,
                     const struct offline_settings *b);

#endif
