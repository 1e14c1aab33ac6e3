/*
 * roomwatch - the log hears when the disk is too full for new mail, and when it no longer is.
 *
 * Whether a message is taken the queue decides, each time anew; this is for people.
 */
#ifndef WAYPOST_ROOMWATCH_H
#define WAYPOST_ROOMWATCH_H

#include "queue/queue.h"

struct roomwatch {
    bool is_full; /* and the log was told */
};

/* Now and then. */
void roomwatch_look(struct roomwatch *w, struct queue *q);

#endif
