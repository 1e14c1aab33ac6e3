/*
 * roll - who is waiting: what waits, in memory, one small row for each message.
 *
 * People's questions about all that waits (how many, whose, for whom, what would this order
 * meet) would else walk messages and recipients on disk, a second for each million. A row has
 * what such questions filter and count by: sender, client, login, lane, size, age, and what is
 * held.
 * Names are kept once. A question walks the rows in some milliseconds, counts exactly what the
 * walk on disk would, or names the few messages that it has to look at there.
 *
 * Rows and not sums by name, since sums tell nothing of two names at once: where the mail of a
 * login goes to, or which messages are its. A row costs 36 bytes, whatever the names.
 *
 *   writer: job committed --> news --publish--> inbox --+-- rows    (the writer, when nobody
 *                                                       |            asks; else who asks)
 *   asker:  lock, inbox, walk the rows, unlock ---------+
 *
 * Changes are noted when their job has been committed, in the order of the transactions, so
 * that failed jobs and batches leave none. The writer never waits for who asks, who has a low
 * priority: it tries the lock and leaves its news in the inbox. Whoever asks reads that first,
 * so that an answer has all that was confirmed before it was asked for.
 *
 * At the start the rows are filled by walking the recipients on disk, a page at a time between
 * two batches, where nothing changes: changes behind the walk are made, those before it are on
 * disk when it comes there. Until it is through, and where a filter names what no row has
 * (reasons, local parts, attempts), questions walk on disk as if there were no roll.
 *
 * Memory is bounded: over its cap all rows are given up, questions walk on disk, and when far
 * less waits it is filled anew. So they are when somebody asks for so long that the inbox is full;
 * then it is filled anew some minutes later.
 */
#ifndef WAYPOST_ROLL_H
#define WAYPOST_ROLL_H

#include "policy/vocabulary/arena.h"
#include "queue/columns.h"
#include "queue/store.h"

#include <pthread.h>
#include <stdatomic.h>

struct bundle;
struct writer;
struct roll_chunk;
struct roll_name;

enum { ROLL_BYTES = 64 * 1024 * 1024 };

enum roll_state {
    ROLL_OFF,     /* given up, or there is no writer */
    ROLL_FILLING, /* behind `walked` it is exact */
    ROLL_COMPLETE,
};

enum roll_dimension {
    ROLL_SENDER,
    ROLL_CLIENT, /* its address, and where it has one a NUL and its name */
    ROLL_LOGIN,
    ROLL_LANE,
    ROLL_DIMENSIONS,
};

struct roll_names {
    struct buckets table;
    struct roll_name **at; /* by index; NULL: free */
    uint32_t size;         /* indexes below were used */
    uint32_t room;
    uint32_t *gaps; /* the free ones below size; as many as room */
    uint32_t gap_count;
    uint32_t odd; /* lanes: names that are; see roll_name */
};

struct roll {
    _Atomic int state;  /* enum roll_state; moved under lock */
    uint64_t most_bytes;
    _Atomic uint64_t again_most; /* given up until no more wait */

    pthread_mutex_t lock; /* from here to the next group */
    struct roll_names names[ROLL_DIMENSIONS];
    struct roll_chunk **chunks; /* sorted by id */
    size_t chunk_count, chunk_room;
    struct buckets extras;
    uint64_t bytes, live;     /* of all that; rows that are */
    uint64_t strange;         /* of these, whose age is not in the row */
    struct store_cursor walked; /* while it is filled */
    struct buffer work;       /* notes being read */

    pthread_mutex_t inbox_lock;
    struct buffer inbox; /* under inbox_lock, as is the next */
    bool is_lost;        /* there were too many notes */

    /* The writer's. */
    struct buffer news, client;
    struct store_cursor read; /* of the walk that fills it */
    uint32_t page;            /* recipients that a page of it looks at */
    bool is_read;             /* that is through, or: */
    bool is_resting;          /* it was given up */
    int64_t next_us;          /* monotonic: its next page, or when it may begin anew */
    int64_t again_ms;         /* that, after it was given up */
};

void roll_init(struct roll *r, bool is_kept);
void roll_fini(struct roll *r);

/* ----------------------------------------------- what was committed ------ */

/* The writer's thread, after COMMIT, in the order of the jobs. */
void roll_put(struct roll *r, const struct bundle *b);
void roll_gone(struct roll *r, uint64_t message, uint32_t number);
void roll_held(struct roll *r, uint64_t message, uint32_t number, bool is_held);
void roll_moved(struct roll *r, uint64_t message, uint32_t number,
                struct span lane);
/* After the notes of a batch, before anybody hears of it. */
void roll_publish(struct roll *r);

/* A message as it is on disk within the transaction, noted until its job is committed: for
 * those that come back. */
MUST int roll_read_again(struct store *s, uint64_t message,
                         struct buffer *notes);
void roll_again(struct roll *r, const struct buffer *notes);

/* Between two batches: as snapshot_wait_ms, snapshot_step. */
int64_t roll_wait_ms(const struct writer *w);
void roll_step(struct writer *w, bool is_busy);

/* ------------------------------------------------------------ asking ----- */

/* False: it cannot say, and *out is untouched. Not under the queue's lock. */
bool roll_count(struct queue *q, const struct queue_filter *f,
                struct queue_count *out);
/* The messages that a filter means are among these, if they are few: sets is_over, and
 * is_known with their ids. Else none is meant before `first`. */
bool roll_among(struct queue *q, const struct queue_filter *f,
                struct store_among *a);
/* The same without waiting, for the writer; false also while somebody else asks. */
bool roll_among_now(struct queue *q, const struct queue_filter *f,
                    struct store_among *a);
/* What the filter means by name (of all keys but RANK_VIA: roll_places), most recipients first,
 * at most limit; texts in the arena. */
bool roll_ranks(struct queue *q, const struct queue_filter *f,
                enum queue_rank_key by, size_t limit, struct arena *texts,
                struct queue_rank **out_ranks, size_t *out_count);
/* The count, where that leads, and the first messages (is_known); out and first may be NULL. */
bool roll_places(struct queue *q, const struct queue_filter *f,
                 struct queue_count *out, struct columns *destinations,
                 struct store_among *first);

#endif
