/*
 * hostmemory - next hops' addresses that failed a moment ago.
 *
 * So that one bad host of four does not stall its three neighbours: an address that failed
 * rests for a while, longer each time, and is tried last meanwhile. Bounded: when full, what
 * failed longest ago is forgotten. Pure; the clock is a parameter.
 */
#ifndef WAYPOST_HOSTMEMORY_H
#define WAYPOST_HOSTMEMORY_H

#include "policy/vocabulary/network.h"

struct hostmemory;

struct hostmemory *hostmemory_new(void);
void hostmemory_free(struct hostmemory *m);
bool hostmemory_is_resting(const struct hostmemory *m,
                           const struct host_address *a, int64_t now_ms);
void hostmemory_failed(struct hostmemory *m, const struct host_address *a,
                       int64_t now_ms);
/* It was talked to: whatever was held against it is forgotten. */
void hostmemory_good(struct hostmemory *m, const struct host_address *a);

#endif
