/*
 * reader - the thread that reads what mail waits for: lanes, more work, alarms.
 *
 * In turns, a short transaction each: notes that are asked for, a single message that somebody
 * asked to see, content for destinations that wait for it, a page of recipients for each
 * hungry destination, then what a clock brings: lanes and destinations that are due, alarms.
 */
#ifndef WAYPOST_READER_H
#define WAYPOST_READER_H

#include "queue/note.h"
#include "queue/port.h"
#include "queue/store.h"

#include <stdatomic.h>

struct reader;

/* Asked for by a port, soon read: see story.c. What walks far is recounting's. */
struct inquiry {
    struct letter letter; /* first */
    struct inquiry *next;
    /* One page; true: answered, it is a letter now. */
    bool (*step)(struct reader *r, struct inquiry *i);
};

/* See tally.c. */
struct tally_state {
    unsigned which;
    uint64_t after_id;
    struct queue_survey survey;
    int64_t began_ms, next_ms; /* monotonic */
};

struct reader {
    struct queue *queue;
    struct store_reader *db;
    pthread_t thread;
    bool is_running;
    pthread_mutex_t lock;
    pthread_cond_t wake;
    struct inquiry *first, **last; /* under lock */
    struct recall *recall_first, **recall_last; /* under lock */
    bool is_stopping;              /* under lock */
    _Atomic bool is_poked;
    _Atomic bool wants_walk, wants_alarms;

    /* The thread's. */
    bool is_walking;
    int64_t walked_lane;
    int64_t looked_ms; /* for timers */
    int64_t alarm_ms, tick_ms, sweep_ms; /* monotonic: when next */
    uint64_t alarm_after;
    struct tally_state tally;
};

MUST int reader_start(struct reader *r, struct queue *q);
void reader_stop(struct reader *r);
/* There may be something to do. Any thread, the queue's lock held or not. */
void reader_poke(struct reader *r);
/* Every lane of the store shall be looked at. */
void reader_walk(struct reader *r);
/* Many alarms were settled: there may be more. */
void reader_alarms(struct reader *r);
void reader_inquire(struct reader *r, struct inquiry *take_i);
/* A note is asked for; see note.h. */
void reader_recall(struct reader *r, struct recall *take_r);
/* A reading failed: fatal when the file is damaged, else a warning. */
void reader_failed(struct reader *r, const char *what, int rc);

#endif
