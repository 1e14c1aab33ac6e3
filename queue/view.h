/*
 * view - what the queue knows of waiting mail beyond the rows of its store.
 */
#ifndef WAYPOST_VIEW_H
#define WAYPOST_VIEW_H

#include "queue/core.h"

/* For one page, on any thread. Each question takes the queue's lock, so that it may not
 * be held. While nothing is down is_resting is NULL and costs nothing. */
struct store_view view_of(struct queue *q);

/*
 * Where a filter leads to few messages, by the roll or by their lanes, these alone are
 * looked at; they are looked for first, a slice a call. True: that is over, and the view
 * knows what came of it. False: another slice, unless *out_rc is negative.
 */
bool view_narrow(struct store_view *v, struct queue *q, struct store_reader *db,
                 const struct queue_filter *f, struct store_among *a,
                 int *out_rc);

#endif
