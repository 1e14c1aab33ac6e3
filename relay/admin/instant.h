/*
 * instant - a point in time as people write it.
 *
 *   10min, 2h, 3d, 1w        so long ago
 *   2026-11-17               the beginning of that day, by the local clock
 *   2026-11-17T08:30[:15]    that minute, by the local clock; a space will do for the T
 *   ...T08:30Z, ...+01:00    by UTC, or so far from it
 *
 * Where the local clock is put forward, a time that it skips is as long after the change as
 * the text is after the hour that was skipped; of one that comes twice the first is meant.
 */
#ifndef WAYPOST_INSTANT_H
#define WAYPOST_INSTANT_H

#include "policy/vocabulary/span.h"

/* False: none of these. is_date (or NULL): it was no duration. */
bool instant_parse(struct span s, int64_t now_ms, int64_t *out_ms,
                   bool *out_is_date);

/* "90", "90s", "10min", "2h", "3d", "1w" in milliseconds. */
bool instant_duration(struct span s, int64_t *out_ms);

#endif
