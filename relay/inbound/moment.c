/*
 * moment - a point in time as RFC 3339 writes it.
 *
 *   date-time = 4DIGIT "-" 2DIGIT "-" 2DIGIT "T" 2DIGIT ":" 2DIGIT ":" 2DIGIT
 *               [ "." 1*DIGIT ] ( "Z" / ( "+" / "-" ) 2DIGIT ":" 2DIGIT )
 */
#include "relay/inbound/moment.h"

#include "policy/vocabulary/error.h"

#include <time.h>

/* digits of a number from least to most, then the byte `end` (0: none). */
static bool take(struct span *s, size_t digits, unsigned least, unsigned most,
                 char end, unsigned *out_number)
{
    uint64_t n;

    if (s->len < digits + (end != 0) ||
        !span_number(span_first(*s, digits), &n) || n < least || n > most)
        return false;
    if (end && ascii_lower(s->at[digits]) != end)
        return false;
    *s = span_skip(*s, digits + (end != 0));
    *out_number = (unsigned)n;
    return true;
}

static bool take_fraction(struct span *s)
{
    size_t n = 1;

    if (s->len == 0 || s->at[0] != '.')
        return true;
    while (n < s->len && s->at[n] >= '0' && s->at[n] <= '9')
        n++;
    *s = span_skip(*s, n);
    return n > 1;
}

static bool take_offset(struct span s, int64_t *out_seconds)
{
    unsigned hours, minutes;
    int64_t sign;

    if (s.len == 1 && ascii_lower(s.at[0]) == 'z') {
        *out_seconds = 0;
        return true;
    }
    if (s.len != 6 || (s.at[0] != '+' && s.at[0] != '-'))
        return false;
    sign = s.at[0] == '-' ? -1 : 1;
    s = span_skip(s, 1);
    if (!take(&s, 2, 0, 23, ':', &hours) || !take(&s, 2, 0, 59, 0, &minutes))
        return false;
    *out_seconds = sign * (int64_t)(hours * 3600 + minutes * 60);
    return true;
}

bool moment_parse(struct span s, int64_t *out_ms)
{
    unsigned year, month, day, hour, minute, second;
    int64_t offset;
    struct tm t;
    time_t at;

    if (!take(&s, 4, 1970, 9999, '-', &year) ||
        !take(&s, 2, 1, 12, '-', &month) || !take(&s, 2, 1, 31, 't', &day) ||
        !take(&s, 2, 0, 23, ':', &hour) || !take(&s, 2, 0, 59, ':', &minute) ||
        !take(&s, 2, 0, 60, 0, &second) || !take_fraction(&s) ||
        !take_offset(s, &offset))
        return false;
    t = (struct tm){
        .tm_year = (int)year - 1900,
        .tm_mon = (int)month - 1,
        .tm_mday = (int)day,
        .tm_hour = (int)hour,
        .tm_min = (int)minute,
        .tm_sec = (int)second,
    };
    at = timegm(&t);
    /* A day that the month does not have has become another. */
    if (t.tm_mday != (int)day && second < 60)
        return false;
    *out_ms = ((int64_t)at - offset) * 1000;
    return true;
}

void moment_print(struct buffer *b, int64_t ms)
{
    time_t s = (time_t)(ms / 1000);
    struct tm t;

    ASSERT(gmtime_r(&s, &t));
    buffer_printf(b, "%04d-%02d-%02dT%02d:%02d:%02dZ", t.tm_year + 1900,
                  t.tm_mon + 1, t.tm_mday, t.tm_hour, t.tm_min, t.tm_sec);
}
