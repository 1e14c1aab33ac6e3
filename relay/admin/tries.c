/*
 * tries - how often may one client be wrong about a token?
 */
#include "relay/admin/tries.h"

#include <string.h>

enum { V6_BYTES = 8 };

void tries_init(struct tries *t, uint64_t key)
{
    *t = (struct tries){ .key = key };
}

static size_t place_of(const struct tries *t, const struct host_address *a)
{
    size_t n = host_address_is_v4(a) ? sizeof(a->bytes) : V6_BYTES;
    uint64_t h = t->key;

    for (size_t i = 0; i < n; i++) {
        h = (h ^ a->bytes[i]) * 0x9e3779b97f4a7c15ULL;
        h ^= h >> 29;
    }
    return h % TRIES_COUNTS;
}

/* What is left of the wrong ones by now. */
static uint32_t left(const struct tries *t, size_t i, uint64_t now_ms)
{
    uint64_t gone = (now_ms - t->counts[i].last_ms) * TRIES_A_SECOND;

    return gone >= t->counts[i].wrong_milli
               ? 0
               : t->counts[i].wrong_milli - (uint32_t)gone;
}

bool tries_allow(struct tries *t, const struct host_address *client,
                 uint64_t now_ms)
{
    return left(t, place_of(t, client), now_ms) <= (TRIES_AT_ONCE - 1) * 1000;
}

void tries_note(struct tries *t, const struct host_address *client,
                uint64_t now_ms)
{
    size_t i = place_of(t, client);

    t->counts[i].wrong_milli = left(t, i, now_ms) + 1000;
    t->counts[i].last_ms = now_ms;
}
