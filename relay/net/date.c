/*
 * date - a moment as mail writes it (RFC 5322 3.3), and as the clock on the wall shows it.
 */
#include "relay/net/date.h"

#include "policy/vocabulary/error.h"

#include <time.h>

/* Not strftime's names: those follow the locale. */
static const char days[7][4] = {
    "Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"
};
static const char months[12][4] = { "Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                    "Jul", "Aug", "Sep", "Oct", "Nov", "Dec" };

void date_print(struct buffer *b, int64_t ms)
{
    time_t s = (time_t)(ms / 1000);
    struct tm t;

    ASSERT(gmtime_r(&s, &t));
    buffer_printf(b, "%s, %d %s %d %02d:%02d:%02d +0000", days[t.tm_wday],
                  t.tm_mday, months[t.tm_mon], t.tm_year + 1900, t.tm_hour,
                  t.tm_min, t.tm_sec);
}

void date_local(int64_t ms, unsigned *out_minute, unsigned *out_weekday)
{
    time_t s = (time_t)(ms / 1000);
    struct tm t;

    ASSERT(localtime_r(&s, &t));
    *out_minute = (unsigned)(t.tm_hour * 60 + t.tm_min);
    *out_weekday = (unsigned)t.tm_wday;
}
