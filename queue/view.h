/*
 * view - what the queue knows of waiting mail beyond the rows of its store.
 */
#ifndef WAYPOST_VIEW_H
#define WAYPOST_VIEW_H

#include "queue/core.h"

/* For one page, on any thread. Each question takes the queue's lock, so that it may not
 * be held. While nothing is down is_resting is NULL and costs nothing. */
struct store_view view_of(struct queue *q);

#endif
