/*
 * spacing - when may the next message go, at one rate?
 */
#include "queue/spacing.h"

#include "policy/vocabulary/error.h"

enum { BURST = 16, AHEAD = 100 }; /* a sixteenth, a hundredth */

static const int64_t amount_most = 1000ll * 1000 * 1000;

static int64_t larger(int64_t a, int64_t b)
{
    return a > b ? a : b;
}

static int64_t amount_of(const struct spacing *s)
{
    return s->rate.amount < (uint64_t)amount_most ? (int64_t)s->rate.amount
                                                  : amount_most;
}

void spacing_init(struct spacing *s, const struct rate *rate)
{
    int64_t amount, over;

    ASSERT(rate->amount > 0 && rate->period_ms > 0);
    *s = (struct spacing){ .rate = *rate };
    amount = amount_of(s);
    s->burst = larger(amount / BURST, 1);
    over = amount - s->burst + 1;
    /* moments are whole milliseconds: two of them are up to one further apart */
    s->every_us = ((rate->period_ms + 1) * 1000 + over - 1) / over;
}

static int64_t begin_us(const struct spacing *s, int64_t now_ms)
{
    return larger(s->full_us, now_ms * 1000);
}

static uint64_t steps(const struct spacing *s, int64_t from_us, int64_t to_us)
{
    return to_us > from_us ? (uint64_t)((to_us - from_us) / s->every_us) : 0;
}

uint64_t spacing_room(const struct spacing *s, int64_t now_ms)
{
    return steps(s, begin_us(s, now_ms),
                 now_ms * 1000 + s->burst * s->every_us);
}

uint64_t spacing_covered(const struct spacing *s, int64_t now_ms)
{
    return steps(s, begin_us(s, now_ms), s->kept_us);
}

void spacing_take(struct spacing *s, int64_t now_ms)
{
    ASSERT(spacing_room(s, now_ms) > 0 && spacing_covered(s, now_ms) > 0);
    s->full_us = begin_us(s, now_ms) + s->every_us;
}

int64_t spacing_free_ms(const struct spacing *s)
{
    int64_t free_us = s->full_us - (s->burst - 1) * s->every_us;

    return free_us > 0 ? (free_us + 999) / 1000 : 0;
}

int64_t spacing_lease_us(const struct spacing *s, int64_t now_ms,
                         int64_t margin_ms)
{
    return begin_us(s, now_ms) + margin_ms * 1000 +
           larger(amount_of(s) / AHEAD, 1) * s->every_us;
}

void spacing_shift(struct spacing *s, int64_t back_ms)
{
    s->full_us = larger(s->full_us - back_ms * 1000, 0);
    if (back_ms > 0)
        s->kept_us = larger(s->kept_us - back_ms * 1000, 0);
}

void spacing_remember(struct spacing *s, int64_t kept_us, int64_t now_ms)
{
    int64_t period_us = s->rate.period_ms * 1000, now_us = now_ms * 1000;

    s->full_us =
        kept_us - now_us > 3 * period_us ? now_us + period_us : kept_us;
    s->kept_us = s->full_us;
}
