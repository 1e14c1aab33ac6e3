/*
 * pacewords - that a destination's mail waits for its rate, for people.
 */
#include "relay/net/pacewords.h"

#include <time.h>

static struct tm local(int64_t ms)
{
    time_t t = (time_t)(ms / 1000);
    struct tm tm = { 0 };

    (void)localtime_r(&t, &tm);
    return tm;
}

void pacewords_put(struct buffer *b, const struct queue_destination_row *d,
                   int64_t now_ms)
{
    struct tm next = local(d->held_ms), now = local(now_ms);
    bool is_today = next.tm_yday == now.tm_yday && next.tm_year == now.tm_year;
    char text[64];

    if (d->rate_count == 0)
        return;
    buffer_put_string(b, "limited to ");
    rate_put_all(b, d->rates, d->rate_count, " and ");
    if (d->held_ms &&
        strftime(text, sizeof text, is_today ? "%H:%M:%S" : "%Y-%m-%d %H:%M:%S",
                 &next))
        buffer_printf(b, ", next at %s", text);
}
