/*
 * port - the mailbox of one loop.
 *
 * A port that was closed stays in memory until the queue is closed, so a job under
 * way may keep its pointer; its letters are opened as dropped.
 *
 * The user is woken without the lock: who posts may have a low priority, and would be put aside for
 * the very loop that it wakes, which would then wait for the lock.
 */
#include "queue/port.h"

#include "policy/vocabulary/memory.h"
#include "queue/core.h"
#include "queue/slot.h"

#include <stdlib.h>

struct queue_port *queue_port_open(struct queue *q,
                                   const struct queue_port_events *events,
                                   void *user)
{
    struct queue_port *p = NEW(struct queue_port);

    p->queue = q;
    p->events = *events;
    p->user = user;
    p->last = &p->first;
    TAILQ_INIT(&p->told);
    pthread_mutex_init(&p->lock, NULL);
    pthread_cond_init(&p->idle, NULL);
    pthread_mutex_lock(&q->lock);
    p->takes_slots = events->slot_opened && !q->is_stopping;
    TAILQ_INSERT_TAIL(&q->ports, p, all);
    q->ports_open++;
    slot_port_opened(q);
    pthread_mutex_unlock(&q->lock);
    return p;
}

/* With the port's lock held: shall port_wake_user be called without it? */
static bool port_wants_wake(struct queue_port *p)
{
    if (p->is_closed || p->is_woken)
        return false;
    p->is_woken = true;
    p->waking++;
    return true;
}

/* queue_port_close waits for it: wake is never called after that has returned. */
static void port_wake_user(struct queue_port *p)
{
    p->events.wake(p->user);
    pthread_mutex_lock(&p->lock);
    if (--p->waking == 0)
        pthread_cond_signal(&p->idle);
    pthread_mutex_unlock(&p->lock);
}

void port_wake(struct queue_port *p)
{
    bool wants_wake;

    pthread_mutex_lock(&p->lock);
    wants_wake = port_wants_wake(p);
    pthread_mutex_unlock(&p->lock);
    if (wants_wake)
        port_wake_user(p);
}

static void port_take_in(struct queue_port *p, struct letter *first,
                         struct letter **last)
{
    bool is_closed, wants_wake = false;

    pthread_mutex_lock(&p->lock);
    is_closed = p->is_closed;
    if (!is_closed) {
        *p->last = first;
        p->last = last;
        wants_wake = port_wants_wake(p);
    }
    pthread_mutex_unlock(&p->lock);
    if (wants_wake)
        port_wake_user(p);
    while (is_closed && first) {
        struct letter *l = first;

        first = l->next;
        l->open(l, true);
    }
}

void port_post(struct letter *take_l)
{
    take_l->next = NULL;
    if (take_l->port)
        port_take_in(take_l->port, take_l, &take_l->next);
    else
        take_l->open(take_l, true);
}

void port_post_batch(struct letter *take_first)
{
    struct queue_port *ports = NULL;

    for (struct letter *l = take_first, *next; l; l = next) {
        struct queue_port *p = l->port;

        next = l->next;
        l->next = NULL;
        if (!p) {
            l->open(l, true);
            continue;
        }
        if (!p->batch) {
            p->batch_last = &p->batch;
            p->batch_next = ports;
            ports = p;
        }
        *p->batch_last = l;
        p->batch_last = &l->next;
    }
    while (ports) {
        struct queue_port *p = ports;
        struct letter *batch = p->batch;

        ports = p->batch_next;
        p->batch = NULL;
        port_take_in(p, batch, p->batch_last);
    }
}

void port_ease(struct queue_port *p)
{
    bool wants_wake;

    pthread_mutex_lock(&p->lock);
    p->is_eased = true;
    wants_wake = port_wants_wake(p);
    pthread_mutex_unlock(&p->lock);
    if (wants_wake)
        port_wake_user(p);
}

static struct letter *port_take_all(struct queue_port *p, bool *out_eased)
{
    struct letter *all;

    pthread_mutex_lock(&p->lock);
    p->is_woken = false;
    all = p->first;
    p->first = NULL;
    p->last = &p->first;
    *out_eased = p->is_eased;
    p->is_eased = false;
    pthread_mutex_unlock(&p->lock);
    return all;
}

void queue_port_drain(struct queue_port *p)
{
    bool is_eased;
    struct letter *l = port_take_all(p, &is_eased);

    while (l) {
        struct letter *next = l->next;

        /* The port may be closed from within a callback. */
        l->open(l, p->is_closed);
        l = next;
    }
    while (!p->is_closed && slot_tell(p))
        ;
    if (!p->is_closed && is_eased && p->events.eased)
        p->events.eased(p->user);
}

void queue_port_close(struct queue_port *p)
{
    struct letter *l;

    pthread_mutex_lock(&p->queue->lock);
    slot_withdraw(p);
    ASSERT(p->slots == 0);
    p->queue->ports_open--;
    pthread_mutex_lock(&p->lock);
    p->is_closed = true;
    l = p->first;
    p->first = NULL;
    p->last = &p->first;
    while (p->waking)
        pthread_cond_wait(&p->idle, &p->lock);
    pthread_mutex_unlock(&p->lock);
    pthread_mutex_unlock(&p->queue->lock);
    while (l) {
        struct letter *next = l->next;

        l->open(l, true);
        l = next;
    }
}

void port_free(struct queue_port *p)
{
    ASSERT(p->is_closed && !p->first);
    pthread_cond_destroy(&p->idle);
    pthread_mutex_destroy(&p->lock);
    free(p);
}
