/*
 * recounting - people's questions that walk far, on a thread of their own.
 *
 * To the history, and to the queue: lists, counts, rankings, previews. The thread is there
 * only while somebody asks: it begins with a question, ends a while after the last, and has
 * a low priority and its own read-only connections, since mail must not notice. Each question
 * gets a slice in turn. One to the history has its page when something was found or it has
 * had its time, so that one whose asker has gone costs no more than that.
 */
#ifndef WAYPOST_RECOUNTING_H
#define WAYPOST_RECOUNTING_H

#include "policy/vocabulary/arena.h"
#include "queue/annals.h"
#include "queue/port.h"
#include "queue/store.h"

#include <pthread.h>

/* One question; what else belongs to it stands behind it. */
struct recount {
    struct letter letter; /* first; opened when it is answered */
    struct recount *next;
    int rc; /* negative: it is answered with that, and no step is made */
    /* One slice; true: it is answered. Of the history, or else of the queue. */
    bool (*step)(struct annals *a, struct recount *r);
    bool (*walk)(struct store_reader *db, struct recount *r);
};

/*
 * There are two of them: one for what somebody waits for, and one of an even lower priority for
 * the pages of long lists. An unprivileged thread cannot raise its priority again, and whoever
 * streams a million rows must not be in front of whoever asks for twenty.
 */
enum { RECOUNTING_NICE = 10, STREAMING_NICE = 15 };

struct recounting {
    struct queue *queue;
    const char *name; /* of the thread */
    int nice;
    pthread_mutex_t lock;
    pthread_cond_t wake;
    struct recount *first, **last; /* under lock */
    bool is_stopping;              /* under lock */
    bool is_running;               /* under lock: takes what is asked */
    bool has_thread;               /* under lock: to be joined */
    pthread_t thread;
};

void recounting_ask(struct recounting *r, struct recount *take_q);
/* The texts of a row are borrowed from the arena from now on. */
void recounting_keep(struct arena *a, struct queue_told *row);

void recounting_init(struct recounting *r, struct queue *q, const char *name,
                     int nice);
/* Ports have been closed: nobody hears what is left. */
void recounting_fini(struct recounting *r);

#endif
