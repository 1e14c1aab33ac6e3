/*
 * recounting - people's questions to the history, on a thread of their own.
 *
 * The thread is there only while somebody asks: it begins with a question, ends a while after
 * the last, and has a low priority, since mail must not notice. Each question gets a slice
 * in turn, and its page when something was found or it has had its time. So a question whose
 * asker has gone costs no more than that.
 */
#ifndef WAYPOST_RECOUNTING_H
#define WAYPOST_RECOUNTING_H

#include "queue/queue.h"

#include <pthread.h>

struct recount;

struct recounting {
    struct queue *queue;
    pthread_mutex_t lock;
    pthread_cond_t wake;
    struct recount *first, **last; /* under lock */
    bool is_stopping;              /* under lock */
    bool is_running;               /* under lock: takes what is asked */
    bool has_thread;               /* under lock: to be joined */
    pthread_t thread;
};

void recounting_init(struct recounting *r, struct queue *q);
/* Ports have been closed: nobody hears what is left. */
void recounting_fini(struct recounting *r);

#endif
