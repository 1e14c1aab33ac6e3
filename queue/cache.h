/*
 * cache - content of small messages in memory. All under the queue's lock.
 */
#ifndef WAYPOST_CACHE_H
#define WAYPOST_CACHE_H

#include "queue/core.h"

/* Is there memory for more content? Resting destinations give theirs up. */
bool cache_has_room(struct queue *q, size_t len);
/* Content that works may then share; cache_end_put frees it when none does. */
struct content *cache_put(struct queue *q, char *take_bytes, size_t len);
void cache_end_put(struct queue *q, struct content *take_c);
void cache_ref(struct bundle *b, struct content *c);
void cache_unref(struct queue *q, struct bundle *b);
/* To an alarm's work; whatever the cap. */
void cache_give(struct queue *q, struct bundle *b, char *take_bytes,
                size_t len);

/* Waiting works of d without content in memory, those first in line first. */
struct cold {
    uint64_t message, checksum;
};
size_t cache_cold(const struct destination *d, struct cold *out, size_t most);
/* Content of a message was loaded: to all works of it that wait. */
void cache_warm(struct queue *q, uint64_t message, char *take_bytes,
                size_t len);

#endif
