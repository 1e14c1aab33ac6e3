/*
 * bundle - a work and what the queue knows of it besides.
 *
 * Recipients of one message with its envelope, on one block of memory. One that
 * came with a put holds all recipients of the message; before it comes into the
 * active set it is picked apart, one bundle for each destination.
 *
 *        put, refill            queue_slot_next        queue_settle
 *   NEW ------------> WAITING ------------> CLAIMED ---------------> SETTLING
 *    |                  ^                      | freed at once          |
 *    |                  +----------------------+                        v
 *    +--- alarm ------------------------------^          gone, or GHOST while the
 *                                                        reader looks at old rows
 */
#ifndef WAYPOST_BUNDLE_H
#define WAYPOST_BUNDLE_H

#include "queue/buckets.h"
#include "queue/store.h"

#include <sys/queue.h>

struct lane;
struct destination;
struct sender;
struct reading;

enum bundle_state {
    BUNDLE_NEW,
    BUNDLE_WAITING,  /* in its sender's line */
    BUNDLE_CLAIMED,  /* a slot or an alarm's port has it */
    BUNDLE_SETTLING, /* on its way through the writer */
    BUNDLE_GHOST,    /* settled, but the reader may hold a page from before */
};

/* Content in memory, shared by the works of one message. */
struct content {
    uint32_t refs; /* works */
    size_t len;
    char *bytes;
};

struct bundle_lane {
    int64_t id;        /* the store's; 0: not asked yet */
    struct lane *lane; /* set while in the active set */
};

struct bundle {
    struct queue_work work; /* first: what the relay has a pointer to */
    void *block;            /* that the spans point into, when not this one */
    struct bundle_lane *lanes; /* one for each recipient */
    struct store_content stored;
    enum bundle_state state;
    struct content *content;
    struct destination *destination;
    struct sender *sender;
    struct queue_slot *slot;
    struct reading *reading; /* of a large message; see body.h */
    TAILQ_ENTRY(bundle) line;
    struct bucket_link by_message;
    struct bundle *next_ghost;
};

static inline struct bundle *bundle_of(const struct queue_work *work)
{
    return (struct bundle *)work;
}

static inline bool bundle_is_claimed(const struct bundle *b)
{
    return b->state == BUNDLE_CLAIMED || b->state == BUNDLE_SETTLING;
}

/* A copy of all but content. */
struct bundle *bundle_of_message(const struct queue_message *m);
/* One that the store made; ownership moves. */
struct bundle *bundle_of_work(struct queue_work *take_work,
                              const struct store_content *c);
/* A copy with those n recipients only; index sorted. */
struct bundle *bundle_pick(const struct bundle *b, const uint32_t *index,
                           size_t n);
/* The first n recipients as a copy; b keeps the others. */
struct bundle *bundle_split(struct bundle *b, size_t n);
void bundle_free(struct bundle *take_b);

/* As the store wants it; borrows from b. */
struct queue_message bundle_message(const struct bundle *b);

#endif
