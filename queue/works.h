/*
 * works - which recipients are in memory? All under the queue's lock.
 */
#ifndef WAYPOST_WORKS_H
#define WAYPOST_WORKS_H

#include "queue/core.h"

/* Bundles of the message, and of others with the same hash: compare. */
struct bundle *works_first(const struct queue *q, uint64_t message);
struct bundle *works_next(const struct bundle *b);

void works_put(struct queue *q, struct bundle *b);
/* Out of memory; while the reader has a page in hand it stays as a ghost. */
void works_remove(struct queue *q, struct bundle *take_b);

bool works_has(const struct queue *q, uint64_t message, uint32_t number);
/* With a slot, or on its way through the writer? */
bool works_is_claimed(const struct queue *q, uint64_t message, uint32_t number);
/* Was something of it settled while the reader has a page in hand? */
bool works_has_ghost(const struct queue *q, uint64_t message);

/* The one that needs no lock: false for nearly all that is not in memory. Whoever lists a million
 * rows at a low priority would else be put aside with the lock in hand, and delivery with him. */
bool works_may_have(struct queue *q, uint64_t message);

/* The reader's look at rows begins and ends. */
void works_reading_begin(struct queue *q);
void works_reading_end(struct queue *q);

#endif
