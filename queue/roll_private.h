/*
 * roll_private - what the parts of the roll share, and nobody else includes.
 */
#ifndef WAYPOST_ROLL_PRIVATE_H
#define WAYPOST_ROLL_PRIVATE_H

#include "queue/roll.h"

#include "policy/vocabulary/arena.h"
#include "policy/vocabulary/error.h"
#include "policy/vocabulary/memory.h"

enum {
    ROLL_NOBODY = UINT32_MAX, /* an index of no name */
    ROLL_ROWS = 1000,         /* of a chunk */
    ROLL_MANY = (1 << 20) - 1,
    ROLL_STRANGE = INT32_MIN, /* weeks away from its id: when is not in the row */
    ROLL_BLOCK = 16,          /* what an allocation costs besides */
};

/* roll_names.c */
struct roll_name {
    struct bucket_link by_text;
    uint32_t refs; /* of rows, and of names whose base it is */
    uint32_t self,
        base; /* indexes; base: a client's address, a lane's domain */
    bool
        is_odd; /* a lane where an address may not end with its domain as it is */
    uint32_t len;
    char text[]; /* a NUL behind it */
};

static inline struct span roll_text(const struct roll_name *n)
{
    return span_make(n->text, n->len);
}

/* A reference is taken, or given back. */
uint32_t roll_name_take(struct roll *r, enum roll_dimension d,
                        struct span text);
void roll_name_drop(struct roll *r, enum roll_dimension d, uint32_t index);
void roll_name_refer(struct roll *r, enum roll_dimension d, uint32_t index);
void roll_name_odd(struct roll *r, uint32_t lane);
/* All of them, whoever refers to them. */
void roll_names_free(struct roll *r);

/*
 * roll_rows.c: one for each message. `many` counts the recipients of one lane that are all
 * held or all not; those that are otherwise, one by one, are extras of the message.
 */
struct roll_row {
    uint64_t id;
    uint32_t size_low;       /* of its bytes, and size_high: see roll_size */
    int32_t before_ms;       /* received so long before the id says; ROLL_STRANGE */
    uint32_t who[ROLL_LANE]; /* names by dimension */
    uint32_t lane;           /* of many; ROLL_NOBODY while that is 0 */
    uint32_t many : 20;
    uint32_t size_high : 10;
    bool is_held : 1;
    bool has_extras : 1;
} __attribute__((packed, aligned(4)));
_Static_assert(sizeof(struct roll_row) == 36, "rows are small");

struct roll_chunk {
    uint32_t used, live; /* rows; live ones have recipients */
    struct roll_row rows[ROLL_ROWS];
};

struct roll_extra {
    uint32_t number : 31;
    bool is_held : 1;
    uint32_t lane;
};

struct roll_extras {
    struct bucket_link by_id;
    uint64_t id;
    uint32_t count, room;
    struct roll_extra at[];
};

static inline uint64_t roll_size(const struct roll_row *row)
{
    return (uint64_t)row->size_high << 32 | row->size_low;
}

/* Ids sort by time: microseconds, and eight bits. */
static inline int64_t roll_received_ms(const struct roll_row *row)
{
    return (int64_t)((row->id >> 8) / 1000) - row->before_ms;
}

static inline bool roll_is_live(const struct roll_row *row)
{
    return row->many || row->has_extras;
}

struct roll_facts {
    uint64_t id, size_bytes;
    int64_t received_ms;
    struct span who[ROLL_LANE];
};
/* Takes the reference to the lane. What is not there is not removed, held or moved. */
void roll_row_add(struct roll *r, const struct roll_facts *f, uint32_t number,
                  uint32_t take_lane, bool is_held);
void roll_row_remove(struct roll *r, uint64_t id, uint32_t number);
void roll_row_hold(struct roll *r, uint64_t id, uint32_t number, bool is_held);
void roll_row_move(struct roll *r, uint64_t id, uint32_t number,
                   uint32_t take_lane);
/* All of its recipients. */
void roll_row_clear(struct roll *r, uint64_t id);
struct roll_extras *roll_extras_find(const struct roll *r, uint64_t id);
void roll_rows_free(struct roll *r);

/* roll.c: the lock is taken, and all that was published is in the rows. False: they are
 * not complete, and it is not taken. */
bool roll_lock(struct roll *r);
bool roll_try_lock(struct roll *r);
/* Given up. */
void roll_stop(struct roll *r);
/* The writer's: filled from the beginning. False: somebody has the lock. */
bool roll_begin(struct roll *r);

/* roll_note.c */
enum roll_note_kind {
    NOTE_MESSAGE,   /* the facts; recipients follow */
    NOTE_RECIPIENT, /* of the message noted last */
    NOTE_GONE,
    NOTE_HELD,
    NOTE_FREE, /* not held any more */
    NOTE_MOVED,
    NOTE_FORGET, /* the whole message: it follows anew */
    NOTE_WALKED, /* the walk is behind this recipient */
    NOTE_END,    /* and here through */
};

struct roll_note {
    uint16_t kind;
    bool is_walk; /* found by the walk: not held against how far that is */
    bool is_held, is_odd;
    uint32_t number;
    uint64_t id, size_bytes;
    int64_t received_ms;
    uint32_t
        lens[ROLL_LANE]; /* of the texts behind it; a lane's is the first */
    uint32_t len;        /* with them; a multiple of 8 */
};

void roll_note(struct buffer *to, struct roll_note n, const struct span *texts,
               size_t count);
void roll_note_message(struct buffer *to, const struct roll_facts *f);
/* Text of the client, as its dimension has it; borrowed from b where it has a name. */
struct span roll_client(struct span client, struct span name, struct buffer *b);
/* Does an address of this lane end with something else than its domain? */
bool roll_is_odd(struct span address, struct span lane);
/* All of them, one after the other, into the rows; under the lock. */
void roll_apply(struct roll *r, struct span notes);

/* roll_ask.c: one walk over the rows, under the lock. */
struct roll_pass {
    struct queue *queue;
    const struct queue_filter *filter;
    bool
        is_exact; /* what is found is what the filter means, else it is among it */
    bool is_any; /* it names nothing that rows have: all is found */
    bool is_aged; /* it names a time */
    bool takes_free, takes_held;
    uint8_t *match[ROLL_DIMENSIONS]; /* by index: is it meant? NULL: any is */
};
/* False: nothing can be told of this filter. Also then to be ended. */
bool roll_pass_begin(struct roll_pass *p, struct queue *q,
                     const struct queue_filter *f);
void roll_pass_end(struct roll_pass *p);
/* Recipients of a row that are meant and share a lane. False: enough. */
typedef bool roll_hit_fn(void *user, const struct roll_row *row, uint32_t lane,
                         uint32_t count, bool is_first);
void roll_pass_walk(const struct roll_pass *p, roll_hit_fn *hit, void *user);

#endif
