/*
 * hasten - who asks for his mail is given all of it: what has a time of its own, after a
 * 4xx, is due now.
 *
 * Mail that its sender wants to be kept (FUTURERELEASE) is not meant, nor what is held. Done
 * in large slices between other jobs, the first ahead of whatever comes of the mail from now
 * on, so that what is deferred again stays so; meanwhile the destination has something to wait for, so
 * that it does not go offline and a customer is not told that this was all.
 */
#ifndef WAYPOST_HASTEN_H
#define WAYPOST_HASTEN_H

#include "queue/core.h"

/* Of the lanes that lead to d, also those that somebody fetches; cheap where nothing can
 * wait. Queue's lock. */
void hasten(struct queue *q, struct destination *d);

#endif
