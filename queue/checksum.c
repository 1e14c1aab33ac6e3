/*
 * checksum - is this still the content that was accepted?
 *
 * XXH3 with 64 bits: fast enough to run over every byte, good at finding what
 * disks and memory do to bytes. It is no defence against somebody who means it.
 */
#include "queue/store.h"

#include "policy/vocabulary/memory.h"

#include <stdlib.h>
#include <xxhash.h>

struct checksum {
    XXH3_state_t *state;
};

struct checksum *checksum_new(void)
{
    struct checksum *c = NEW(struct checksum);

    c->state = XXH3_createState();
    ASSERT(c->state && XXH3_64bits_reset(c->state) == XXH_OK);
    return c;
}

void checksum_add(struct checksum *c, struct span bytes)
{
    XXH_errorcode rc =
        bytes.len ? XXH3_64bits_update(c->state, bytes.at, bytes.len) : XXH_OK;

    ASSERT(rc == XXH_OK);
}

uint64_t checksum_end(struct checksum *take_c)
{
    uint64_t sum = XXH3_64bits_digest(take_c->state);

    (void)XXH3_freeState(take_c->state);
    free(take_c);
    return sum;
}

uint64_t checksum_of(struct span bytes)
{
    return XXH3_64bits(bytes.len ? bytes.at : "", bytes.len);
}

/* Turned, since a head that is the same as the rest must not cancel it out. */
uint64_t checksum_join(uint64_t head, uint64_t rest)
{
    return rest ^ (head << 1 | head >> 63);
}
