/*
 * retry - when is the next attempt, and when is it enough?
 *
 * Owns nothing, knows no clock.
 */
#include "policy/retry.h"

/* 10 % either way. */
static int64_t jitter(int64_t span_ms, uint32_t random)
{
    const int64_t steps = 1 << 20;

    return span_ms - span_ms / 10 + span_ms / 5 * (random >> 12) / steps;
}

static int64_t clamp(int64_t value, int64_t low, int64_t high)
{
    return value < low ? low : value > high ? high : value;
}

int64_t retry_due_ms(const struct retry_settings *r, int64_t received_ms,
                     int64_t now_ms, uint32_t random)
{
    return now_ms +
           jitter(clamp(now_ms - received_ms, r->first_ms, r->most_ms), random);
}

int64_t retry_backoff_ms(const struct retry_settings *r, unsigned n,
                         uint32_t random)
{
    int64_t rest = r->first_ms;

    while (n-- > 1 && rest < r->most_ms)
        rest *= 2;
    return jitter(clamp(rest, r->first_ms, r->most_ms), random);
}

int64_t retry_expiry_ms(const struct retry_settings *r, int64_t received_ms,
                        bool is_report)
{
    return received_ms + (is_report ? r->expire_report_ms : r->expire_ms);
}

int64_t retry_warning_ms(const struct retry_settings *r, int64_t received_ms,
                         bool is_report)
{
    if (is_report || r->warn_ms == 0 || r->warn_ms >= r->expire_ms)
        return INT64_MAX;
    return received_ms + r->warn_ms;
}
