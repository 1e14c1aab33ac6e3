/*
 * rate - so much in any such time, as people write it.
 */
#include "policy/vocabulary/rate.h"

#include <inttypes.h>

static const struct {
    const char *name;
    int64_t ms;
} units[] = {
    { "d", 24ll * 3600 * 1000 },
    { "h", 3600ll * 1000 },
    { "min", 60ll * 1000 },
    { "s", 1000 },
    { "ms", 1 },
};

void rate_put(struct buffer *b, const struct rate *r)
{
    size_t i = 0;

    while (r->period_ms % units[i].ms)
        i++;
    buffer_printf(b, "%" PRIu64 "/", r->amount);
    if (r->period_ms != units[i].ms)
        buffer_printf(b, "%" PRId64, r->period_ms / units[i].ms);
    buffer_put_string(b, units[i].name);
}

void rate_put_all(struct buffer *b, const struct rate *rates, size_t count,
                  const char *between)
{
    for (size_t i = 0; i < count; i++) {
        buffer_put_string(b, i ? between : "");
        rate_put(b, &rates[i]);
    }
}

bool rate_is_same(const struct rate *a, size_t a_count, const struct rate *b,
                  size_t b_count)
{
    bool is_it = a_count == b_count;

    for (size_t i = 0; is_it && i < a_count; i++)
        is_it = a[i].amount == b[i].amount && a[i].period_ms == b[i].period_ms;
    return is_it;
}
