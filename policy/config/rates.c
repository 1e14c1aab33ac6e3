/*
 * rates - a list of "100/min", for limits and for routes.
 */
#include "policy/config/rates.h"

#include "policy/config/value.h"

enum { PERIOD_LEAST_MS = 1000 };
#define PERIOD_MOST_MS (366ll * 24 * 3600 * 1000)

/* "100/h", "5MB/10min" */
static bool read_rate(struct span s, struct rate *out)
{
    struct span period, amount = span_split(s, '/', &period);
    struct buffer one = { 0 };
    bool ok;

    /* an hour is one hour */
    if (period.len && !(period.at[0] >= '0' && period.at[0] <= '9'))
        buffer_put_byte(&one, '1');
    buffer_put(&one, period);
    ok = value_size(amount, &out->amount) && out->amount > 0 &&
         value_duration(buffer_span(&one), &out->period_ms) &&
         out->period_ms >= PERIOD_LEAST_MS && out->period_ms <= PERIOD_MOST_MS;
    buffer_fini(&one);
    return ok;
}

void rates_read(struct reading *r, const struct syntax_entry *e,
                struct rate **out_rates, size_t *out_count)
{
    struct rate *rates = arena_take(r->arena, e->value_count * sizeof *rates);
    size_t count = 0;

    for (size_t i = 0; i < e->value_count; i++) {
        if (read_rate(e->values[i].text, &rates[count]))
            count++;
        else
            faults_add(&r->faults, e->values[i].place,
                       "%s is not a rate such as \"100/h\", \"10/min\", "
                       "\"1000/d\" or \"500MB/d\" (at least 1, in 1s to 366d)",
                       faults_quote(&r->faults, e->values[i].text));
    }
    *out_rates = rates;
    *out_count = count;
}

/* Never met without another one being met before. */
static bool is_idle(const struct rate *idle, const struct rate *other)
{
    uint64_t times =
        ((uint64_t)idle->period_ms + (uint64_t)other->period_ms - 1) /
        (uint64_t)other->period_ms;
    uint64_t most;

    if (__builtin_mul_overflow(other->amount, times, &most))
        return false;
    return idle->amount >= most;
}

void rates_check(struct reading *r, const struct syntax_entry *e,
                 const struct rate *rates, size_t count, const char *no_sizes)
{
    /* one that was misread is in the way */
    if (count != e->value_count)
        return;
    for (size_t i = 0; i < count; i++) {
        struct span text = e->values[i].text;
        uint64_t plain;

        if (no_sizes &&
            !span_number(span_first(text, span_find(text, '/')), &plain))
            faults_add(&r->faults, e->values[i].place, "%s is a size, and %s",
                       faults_quote(&r->faults, text), no_sizes);
        for (size_t k = 0; k < count; k++) {
            /* of two that are the same the later one is idle */
            if (k == i || !is_idle(&rates[i], &rates[k]) ||
                (k > i && is_idle(&rates[k], &rates[i])))
                continue;
            faults_warn(&r->faults, e->values[i].place,
                        "%s is never exceeded: %s is before it",
                        faults_quote(&r->faults, text),
                        faults_quote(&r->faults, e->values[k].text));
            break;
        }
    }
}
