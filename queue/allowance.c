/*
 * allowance - how much of one budget is used?
 */
#include "queue/allowance.h"

#include "policy/vocabulary/error.h"

enum { RATE = 'r', COUNT = 'c' }; /* first byte of what is written */

static int64_t slot_ms(int64_t period_ms)
{
    return (period_ms + ALLOWANCE_SLOTS - 1) / ALLOWANCE_SLOTS;
}

/* ------------------------------------------------------------- time ---- */

static bool count_advance(struct allowance *a, int64_t period_ms,
                          int64_t since_ms)
{
    bool is_new = !a->is_count || since_ms > a->newest;

    if (is_new)
        *a = (struct allowance){ .is_count = true };
    a->period_ms = period_ms;
    a->newest = since_ms;
    return is_new;
}

static bool slots_advance(struct allowance *a, int64_t now_ms)
{
    int64_t width = slot_ms(a->period_ms), by;

    if (now_ms < a->seen_ms)
        a->newest -= (a->seen_ms - now_ms) / width;
    a->seen_ms = now_ms;
    by = now_ms / width - a->newest;
    if (by <= 0)
        return false;
    a->newest += by;
    for (int i = ALLOWANCE_SLOTS; i >= 0; i--) {
        if (i + by > ALLOWANCE_SLOTS)
            a->total -= a->taken[i];
        a->taken[i] = i >= by ? a->taken[i - by] : 0;
    }
    return true;
}

/* Each slot counts as if all of it had been taken at its end. */
static void slots_convert(struct allowance *a, int64_t period_ms,
                          int64_t now_ms)
{
    struct allowance old = *a;
    int64_t width = slot_ms(period_ms);

    *a = (struct allowance){ .period_ms = period_ms,
                             .newest = now_ms / width,
                             .seen_ms = now_ms };
    for (int i = 0; old.total && i <= ALLOWANCE_SLOTS; i++) {
        int64_t end = (old.newest - i + 1) * slot_ms(old.period_ms) - 1;
        int64_t age = end < now_ms ? a->newest - end / width : 0;

        if (age > ALLOWANCE_SLOTS)
            continue;
        a->taken[age] += old.taken[i];
        a->total += old.taken[i];
    }
}

bool allowance_advance(struct allowance *a, int64_t period_ms, int64_t since_ms,
                       int64_t now_ms)
{
    ASSERT(period_ms > 0 && since_ms >= 0);
    if (since_ms)
        return count_advance(a, period_ms, since_ms);
    if (now_ms < 0)
        now_ms = 0;
    if (a->is_count)
        *a = (struct allowance){ 0 };
    if (a->period_ms == period_ms)
        return slots_advance(a, now_ms);
    if (a->period_ms)
        (void)slots_advance(a, now_ms);
    slots_convert(a, period_ms, now_ms);
    return true;
}

/* ----------------------------------------------------------- amounts ---- */

uint64_t allowance_left(const struct allowance *a, uint64_t limit)
{
    return a->total < limit ? limit - a->total : 0;
}

void allowance_take(struct allowance *a, uint64_t amount)
{
    a->taken[0] += amount;
    a->total += amount;
}

void allowance_undo(struct allowance *a, uint64_t amount)
{
    ASSERT(a->taken[0] >= amount);
    a->taken[0] -= amount;
    a->total -= amount;
}

/* When what was taken in the slot is no more counted. */
static int64_t slot_free_ms(const struct allowance *a, int slot)
{
    if (a->is_count)
        return a->newest + a->period_ms;
    return (a->newest - slot + ALLOWANCE_SLOTS + 1) * slot_ms(a->period_ms);
}

int64_t allowance_free_ms(const struct allowance *a, uint64_t amount,
                          uint64_t limit)
{
    uint64_t left = allowance_left(a, limit), freed = 0, missing;

    if (amount <= left)
        return 0;
    if (amount > limit)
        return INT64_MAX;
    /* total may be over a limit that was lowered */
    missing = amount - left + (a->total > limit ? a->total - limit : 0);
    for (int i = ALLOWANCE_SLOTS; i >= 0; i--) {
        freed += a->taken[i];
        if (freed >= missing)
            return slot_free_ms(a, i);
    }
    return INT64_MAX;
}

int64_t allowance_expire_ms(const struct allowance *a)
{
    for (int i = 0; i <= ALLOWANCE_SLOTS; i++)
        if (a->taken[i])
            return slot_free_ms(a, i);
    return 0;
}

/* ------------------------------------------------------------- bytes ---- */

/* Seven bits a byte, the least first. */
static void put_number(struct buffer *b, uint64_t n)
{
    for (; n > 0x7f; n >>= 7)
        buffer_put_byte(b, (char)(n | 0x80));
    buffer_put_byte(b, (char)n);
}

static bool take_number(struct span *s, uint64_t *out_n)
{
    uint64_t n = 0;

    for (unsigned i = 0; i < s->len && i < 10; i++) {
        n |= (uint64_t)(s->at[i] & 0x7f) << 7 * i;
        if (s->at[i] & 0x80)
            continue;
        *s = span_skip(*s, i + 1);
        *out_n = n;
        return true;
    }
    return false;
}

void allowance_write(const struct allowance *a, uint64_t ahead,
                     struct buffer *out)
{
    int last = ALLOWANCE_SLOTS;

    while (last > 0 && a->taken[last] == 0)
        last--;
    buffer_put_byte(out, a->is_count ? COUNT : RATE);
    put_number(out, (uint64_t)a->period_ms);
    put_number(out, (uint64_t)a->newest);
    for (int i = 0; i <= last; i++)
        put_number(out, a->taken[i] + (i ? 0 : ahead));
}

bool allowance_read(struct allowance *out_a, struct span bytes)
{
    struct allowance a = { 0 };
    uint64_t period = 0, newest = 0;
    int slots;

    *out_a = a;
    if (bytes.len == 0 || (bytes.at[0] != RATE && bytes.at[0] != COUNT))
        return false;
    a.is_count = bytes.at[0] == COUNT;
    slots = a.is_count ? 1 : ALLOWANCE_SLOTS + 1;
    bytes = span_skip(bytes, 1);
    if (!take_number(&bytes, &period) || !take_number(&bytes, &newest) ||
        period == 0 || period > INT64_MAX / 2 || newest > INT64_MAX / 2)
        return false;
    a.period_ms = (int64_t)period;
    a.newest = (int64_t)newest;
    for (int i = 0; bytes.len; i++) {
        if (i == slots || !take_number(&bytes, &a.taken[i]) ||
            a.taken[i] > UINT64_MAX - a.total)
            return false;
        a.total += a.taken[i];
    }
    if (!a.is_count && a.newest > 0 &&
        a.newest - 1 < INT64_MAX / slot_ms(a.period_ms))
        a.seen_ms = (a.newest - 1) * slot_ms(a.period_ms);
    *out_a = a;
    return true;
}
