/*
 * allowance - how much of one budget is used?
 *
 * A period is kept as 16 slots and the one that has just begun; what was taken in a slot
 * counts until the whole slot is more than a period ago. So within no period, wherever it
 * begins, more is counted out than the limit, and what was taken comes back at most a
 * sixteenth of the period late. A count has one slot, from a moment that the asker names.
 *
 *     newest-16 ...                      newest
 *     |taken[16]|     |     |     |     |taken[0] . . |
 *               ^ now - period                   ^ now
 *
 * Time that goes backwards: all keep their age, as if no time had passed. Pure: no clock,
 * no lock. A zeroed one is empty.
 */
#ifndef WAYPOST_ALLOWANCE_H
#define WAYPOST_ALLOWANCE_H

#include "policy/vocabulary/buffer.h"

enum { ALLOWANCE_SLOTS = 16 };

struct allowance {
    bool is_count;
    int64_t period_ms; /* 0: nothing was ever asked of it */
    int64_t newest;    /* slots since the epoch; of a count: since_ms */
    int64_t seen_ms;   /* the time it was brought to */
    uint64_t total;    /* of taken */
    uint64_t taken[ALLOWANCE_SLOTS + 1]; /* newest first */
};

/* Brings it to this time, and to this period should it have had another; since_ms not 0:
 * it is a count. True: what is taken from now on is of another slot than before. */
bool allowance_advance(struct allowance *a, int64_t period_ms, int64_t since_ms,
                       int64_t now_ms);

/* After it was advanced. */
uint64_t allowance_left(const struct allowance *a, uint64_t limit);
/* The amount must be left. */
void allowance_take(struct allowance *a, uint64_t amount);
/* What was just taken was not. */
void allowance_undo(struct allowance *a, uint64_t amount);
/* When so much will be left if nobody takes any: 0: now; INT64_MAX: never. */
int64_t allowance_free_ms(const struct allowance *a, uint64_t amount,
                          uint64_t limit);
/* When it will be as one that was never used. */
int64_t allowance_expire_ms(const struct allowance *a);

/* As bytes, with `ahead` more than was taken in the newest slot. */
void allowance_write(const struct allowance *a, uint64_t ahead,
                     struct buffer *out);
/* False, and it is empty: these are none. */
bool allowance_read(struct allowance *out_a, struct span bytes);

#endif
