/*
 * orphan - content that no message names: cut off by a crash, nobody's mail (Q5).
 */
#ifndef WAYPOST_ORPHAN_H
#define WAYPOST_ORPHAN_H

#include "queue/core.h"

/* Removes files of earlier processes that the store does not know. */
MUST int orphan_remove(struct queue *q, struct store_reader *r);

#endif
