/*
 * tries - how often may one client be wrong about a token?
 *
 * Some wrong ones at once, then so many a second; over it the file is not read again for it.
 * Addresses share a fixed number of counts, by a hash that nobody outside can foresee;
 * an IPv6 network of 64 bits is one client.
 */
#ifndef WAYPOST_TRIES_H
#define WAYPOST_TRIES_H

#include "policy/vocabulary/network.h"

enum { TRIES_AT_ONCE = 10, TRIES_A_SECOND = 5, TRIES_COUNTS = 1024 };

struct tries {
    uint64_t key;
    struct {
        uint64_t last_ms;
        uint32_t wrong_milli; /* thousandths */
    } counts[TRIES_COUNTS];
};

/* key: random. */
void tries_init(struct tries *t, uint64_t key);
/* May it try once more? */
bool tries_allow(struct tries *t, const struct host_address *client,
                 uint64_t now_ms);
/* It was wrong. */
void tries_note(struct tries *t, const struct host_address *client,
                uint64_t now_ms);

#endif
