/*
 * port - the mailbox of one loop.
 *
 * Two boxes: letters (what came of a job; each carries its own callback) under the
 * port's lock, and slots that have something to be told of under the queue's. The
 * user is woken once until it drains.
 */
#ifndef WAYPOST_PORT_H
#define WAYPOST_PORT_H

#include "queue/bundle.h"

#include <pthread.h>

struct letter;

/* Calls the user's callback, or when dropped (the port was closed) does not; then
 * frees the letter and all in it. */
typedef void letter_fn(struct letter *take_l, bool is_dropped);

/* First member of whatever comes back to a port. */
struct letter {
    struct letter *next;
    struct queue_port *port; /* NULL: nobody waits */
    letter_fn *open;
};

struct queue_port {
    struct queue *queue;
    struct queue_port_events events;
    void *user;
    TAILQ_ENTRY(queue_port) all; /* queue's lock */

    pthread_mutex_t lock;
    struct letter *first, **last; /* under lock */
    bool is_woken;  /* under lock: wake was called, no drain since */
    bool is_closed; /* under lock, set by the port's thread */
    bool is_eased;  /* under lock: to be told */
    unsigned waking;     /* under lock: threads that call wake now */
    pthread_cond_t idle; /* none of them is left */

    /* The queue's lock. */
    TAILQ_HEAD(, queue_slot) told; /* slots with events */
    uint32_t slots;
    bool takes_slots;

    /* The writer's, while it sorts a batch. */
    struct letter *batch, **batch_last;
    struct queue_port *batch_next;
};

/* Any thread, any lock held but the port's. */
void port_post(struct letter *take_l);
void port_wake(struct queue_port *p);
/* Letters of one batch, by way of `next`: each port is locked and woken once. */
void port_post_batch(struct letter *take_first);
void port_ease(struct queue_port *p);
/* At the queue's end. */
void port_free(struct queue_port *p);

#endif
