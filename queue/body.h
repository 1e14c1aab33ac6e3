/*
 * body - content of large messages: a file each in PATH.content, and the threads
 * that write, read and remove them.
 *
 * What concerns one message is always done by the same thread, in the order in which
 * it was asked for. A file is fsynced, and its folder, before the put that names it
 * goes to the writer; it is removed after the commit that removes its message. A file
 * that no message names is nobody's mail and is removed at start.
 */
#ifndef WAYPOST_BODY_H
#define WAYPOST_BODY_H

#include "queue/port.h"
#include "queue/store.h"

#include <pthread.h>

struct put_job;
struct reading;

/* Something to do for one message. */
struct body_job {
    struct letter letter; /* first; unused when nobody is told */
    struct body_job *next;
    /* On the thread; from then on j is its own. */
    void (*run)(struct queue *q, struct body_job *take_j);
    uint64_t message;
    struct queue_body *body;
    struct put_job *put;
    struct reading *reading;
    char *bytes;
    uint64_t offset;
    size_t len;
    int rc;
    queue_body_fn *appended;
    queue_read_fn *done;
    uint64_t token;
};

enum { BODY_THREADS = 6 };

struct body_thread {
    struct bodies *bodies;
    pthread_t thread;
    bool is_running;
    pthread_mutex_t lock;
    pthread_cond_t wake, idle;
    struct body_job *first, **last; /* under lock */
    bool is_busy, is_stopping;      /* under lock */
};

struct bodies {
    struct queue *queue;
    char *folder;
    int folder_fd;
    pthread_mutex_t folder_lock; /* held while the folder is fsynced */
    struct body_thread threads[BODY_THREADS];
    pthread_mutex_t kept_lock; /* from here on */
    bool is_keeping; /* files stay although their messages have gone */
    uint64_t *kept;
    size_t kept_count, kept_room;
};

/* Makes the folder; starts no thread when read_only. */
MUST int bodies_start(struct bodies *b, struct queue *q, bool read_only);
/* All that was handed in is done; the threads go on. */
void bodies_drain(struct bodies *b);
void bodies_stop(struct bodies *b);

/* For all of the put's messages that are in a file; it goes to the writer when the file is
 * on disk under all their names, or is answered. */
void body_finish(struct queue_body *take_b, struct put_job *take_j);
/* Any thread. */
void body_unlink(struct queue *q, uint64_t message);
/* From now on no file is removed, until it is false again: then those are that would have
 * been. A crash leaves them to the next start. */
void bodies_keep(struct bodies *b, bool is_keeping);
/* Is the file of this message to be kept for a while? Then it is noted. */
bool bodies_is_kept(struct bodies *b, uint64_t message);
/* To the thread of j->message. */
void bodies_submit(struct queue *q, struct body_job *take_j);

#endif
