/*
 * backup - all that is in the queue, as a stream of bytes, while mail flows.
 *
 * A thread of its own for each: it has the writer copy queue.db (snapshot.h), sends the copy,
 * then the files of large messages that it names, then a copy of the history. From its
 * beginning to its end no file of a large message is removed (bodies_keep), so what the copy
 * names is there.
 *
 *   snapshot -> queue.db -> its files -> history.db -> end
 *
 * The history is copied after the queue: an outcome is in one of them at least, never in
 * neither. Copies are made beside queue.db, one at a time, and have no name as soon as they
 * are complete; one that a crash left is removed at the next start. Low on disk a backup gives
 * up; mail does not.
 */
#ifndef WAYPOST_BACKUP_H
#define WAYPOST_BACKUP_H

#include "queue/queue.h"

#include <pthread.h>

struct backup {
    struct queue *queue;
    pthread_t thread;
    pthread_mutex_t lock; /* of the rest */
    pthread_cond_t wake;
    bool has_thread;   /* to be joined */
    bool is_busy;      /* it does something */
    bool is_cancelled; /* nobody wants it any more */
    bool is_stopping;  /* the queue is closed */
    bool is_wanted;    /* more was asked for */
    struct queue_port *port;
    queue_backup_fn *done;
    uint64_t token;
    bool has_history;
    struct buffer part; /* the thread's, as is the next: not sent yet */
    struct buffer why;  /* the sentence, should it fail */
};

void backup_init(struct backup *b, struct queue *q);
void backup_fini(struct backup *b);
void backup_stop(struct backup *b);
/* Before the queue is written: what a crash left of one. */
void backup_sweep(struct queue *q);

/* For backup_send.c, on the thread. */
/* Full parts go out when they are asked for; ERROR_CLOSING: nobody wants more. */
MUST int backup_put(struct backup *b, struct span bytes);
/* Is nobody waiting any more, or is the disk low? */
MUST int backup_look(struct backup *b);
/* A line about what goes on, if somebody asks for more. */
void backup_tell(struct backup *b, uint64_t copied, uint64_t total);
/* All of it. */
MUST int backup_send(struct backup *b);

#endif
