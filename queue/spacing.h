/*
 * spacing - when may the next message go, at one rate?
 *
 * A bucket of B = a sixteenth of the amount N, at least 1, that fills at such a pace (one
 * each T) that within no period P, wherever it begins, more than N go: T = P / (N - B + 1),
 * since what goes in a period is at most B at its beginning and then one each T. So mail is
 * spread, not sent in one go when a period begins; in the long run 15/16 of a large N go,
 * and all of an N under 32.
 *
 *      now                 full: there are B again, if none goes
 *       |--T--|--T--|--T--|
 *       <-- B * T at most -->   and one may go while full <= now + (B - 1) * T
 *
 * All that is to be known is one moment, `full`. What the disk has of it, `kept`, is never
 * earlier than what was let go makes it. Pure: no clock, no lock.
 */
#ifndef WAYPOST_SPACING_H
#define WAYPOST_SPACING_H

#include "policy/vocabulary/rate.h"

struct spacing {
    struct rate rate;
    int64_t burst;    /* B */
    int64_t every_us; /* T */
    int64_t full_us, kept_us;
    int64_t asked_us; /* kept, once the disk has what it is being given */
};

/* One that was never used. */
void spacing_init(struct spacing *s, const struct rate *rate);
/* How many may go now; and as far as the disk has it. */
uint64_t spacing_room(const struct spacing *s, int64_t now_ms);
uint64_t spacing_covered(const struct spacing *s, int64_t now_ms);
/* One goes: there must be room. */
void spacing_take(struct spacing *s, int64_t now_ms);
/* When there will be room for one, if there is none. */
int64_t spacing_free_ms(const struct spacing *s);
/* What the disk should have, for one to go now or within so long, and a hundredth of the
 * amount after it: that is what a crash forfeits. */
int64_t spacing_lease_us(const struct spacing *s, int64_t now_ms,
                         int64_t margin_ms);
/* The clock was set back: all keeps its age. Or, less than 0, forward: but for what the disk
 * has. */
void spacing_shift(struct spacing *s, int64_t back_ms);
/* From the disk: `full` is what was kept, but for what a wrong clock has written. */
void spacing_remember(struct spacing *s, int64_t kept_us, int64_t now_ms);

#endif
