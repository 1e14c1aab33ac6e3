/*
 * quota - how much waits for a destination?
 *
 * What was on disk at the start is counted once, a page at a time between other jobs; puts,
 * settles and people's orders keep the figures thereafter. Each recipient that is not
 * deleted counts, with the size of its message. The writer counts, and not the reader:
 * between its transactions nothing changes, so no row is missed and none is counted twice.
 * All but the start under the queue's lock.
 */
#ifndef WAYPOST_QUOTA_H
#define WAYPOST_QUOTA_H

#include "queue/store.h"

struct destination;
struct lane;

/* The count begins. Once, when the writer runs. */
void quota_start(struct queue *q);

/* A recipient's row came to the lane with a put. */
void quota_put(struct lane *l, const struct envelope *e);
/* It is gone, or deleted; or it is back. */
void quota_gone(struct queue *q, struct lane *l, uint64_t message,
                uint32_t number, uint64_t bytes);
void quota_back(struct queue *q, struct lane *l, uint64_t message,
                uint32_t number, uint64_t bytes);
/* The lane leads to the destination from now on, or no more. */
void quota_join(struct destination *d, const struct lane *l);
void quota_part(struct destination *d, const struct lane *l);

#endif
