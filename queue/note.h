/*
 * note - memory for policy and hosts: written behind, asked for one by one.
 *
 * What is not on disk yet is in a small table, so that an asker never sees the past. One
 * job of a key is under way at most; a newer value takes the place of one that waits.
 */
#ifndef WAYPOST_NOTE_H
#define WAYPOST_NOTE_H

#include "policy/vocabulary/buffer.h"
#include "queue/buckets.h"
#include "queue/port.h"

struct reader;

struct notes {
    pthread_mutex_t lock;
    struct buckets unwritten; /* under lock, with all below but scratch */
    uint64_t bytes;
    bool is_full;          /* and it was said */
    struct buffer scratch; /* the writer's thread */
};

/* One question, answered by the reader's thread; then the letter goes to its port, or is
 * opened on that thread when it has none. */
struct recall {
    struct letter letter; /* first */
    struct recall *next;
    struct span kind, key; /* the asker's, until the letter is opened */
    struct buffer value;   /* empty: none, or expired */
    int rc;
};

void notes_init(struct notes *n);
/* The writer has stopped. */
void notes_fini(struct notes *n);

/* Reads some of these in one transaction and posts them. Any of a reader's turns. */
void recalls_answer(struct reader *r, struct recall *take_first);

#endif
