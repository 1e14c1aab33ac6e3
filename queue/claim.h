/*
 * claim - what the relay does with a slot, and what that says of the destination.
 *
 * All under the queue's lock.
 */
#ifndef WAYPOST_CLAIM_H
#define WAYPOST_CLAIM_H

#include "queue/core.h"

/* A work was handed to queue_settle; its slot may ask for the next at once. */
void claim_settled(struct queue *q, struct bundle *b, bool is_delivered);

#endif
