/*
 * heat - where does mail wait, and since when?
 *
 * A picture of the whole queue, drawn in pages on the reader's thread when nothing else is to
 * be read; the one before is shown meanwhile. A long drawing makes the next one come later,
 * and later still when nobody looks, so that it costs a small part of one core whatever the
 * backlog.
 */
#ifndef WAYPOST_HEAT_H
#define WAYPOST_HEAT_H

#include "queue/columns.h"

#include <pthread.h>

struct reader;

struct heat {
    pthread_mutex_t lock; /* what is shown */
    struct columns shown; /* under lock */
    int64_t at_ms;        /* under lock; of what is shown; 0: nothing yet */
    bool is_complete;     /* under lock */
    int64_t looked_ms; /* under lock; monotonic: somebody looked; 0: nobody */

    /* The reader's; the first two under lock while nothing is complete, since they are
     * shown then. */
    struct columns drawn;
    int64_t drawing_at_ms;
    uint64_t after_id;
    bool is_drawing;
    int64_t began_ms, next_ms; /* monotonic */
    int64_t took_ms;
};

void heat_init(struct heat *h);
void heat_fini(struct heat *h);
/* A page; true: it did something and wants to be called again. */
bool heat_step(struct reader *r);

#endif
