/*
 * hostmemory - next hops that did not answer lately.
 *
 * One bad host of four must not cost each delivery a wait, nor count against its three
 * neighbours: what failed to connect or to greet rests, twice as long each time, and
 * stands last among the candidates meanwhile. It is never left out, so a memory that is
 * wrong delays nothing. Bounded: the oldest entry goes. No I/O; the clock is a parameter
 * (milliseconds since the epoch); the caller keeps changed entries as notes.
 */
#ifndef WAYPOST_HOSTMEMORY_H
#define WAYPOST_HOSTMEMORY_H

#include "policy/vocabulary/buffer.h"
#include "relay/net/race.h"

enum {
    HOSTMEMORY_FIRST_MS = 60 * 1000,
    HOSTMEMORY_MOST_MS = 15 * 60 * 1000,
    HOSTMEMORY_KEPT_MS = 24 * 60 * 60 * 1000, /* without a new failure; for notes */
};

struct hostmemory;

/* Remembers so many hosts at most. */
struct hostmemory *hostmemory_new(size_t most);
void hostmemory_free(struct hostmemory *take_m);

/*
 * It failed. True when the entry has changed and is worth a note; false while it rests
 * already, since attempts that ran side by side fail for one and the same reason.
 */
bool hostmemory_failed(struct hostmemory *m, const struct race_target *host,
                       int64_t now_ms);
/* It answered. True when it was known: its note goes. */
bool hostmemory_worked(struct hostmemory *m, const struct race_target *host);

bool hostmemory_is_resting(const struct hostmemory *m,
                           const struct race_target *host, int64_t now_ms);
/* Failures in a row; 0: nothing known. */
uint32_t hostmemory_failures(const struct hostmemory *m,
                             const struct race_target *host);

/* Moves those that rest to the end and keeps the order otherwise; returns how many do
 * not rest. */
size_t hostmemory_order(const struct hostmemory *m, struct race_target *hosts,
                        size_t count, int64_t now_ms);

/* The note of one entry, key "192.0.2.1 25", value "FAILURES REST-UNTIL"; false when
 * nothing is known of the host. */
bool hostmemory_print(const struct hostmemory *m, const struct race_target *host,
                      struct buffer *out_key, struct buffer *out_value);
/* Puts one back; false when it is not well formed. Where the clock was set back, a
 * rest is never longer than it can be. */
bool hostmemory_read(struct hostmemory *m, struct span key, struct span value,
                     int64_t now_ms);

#endif
