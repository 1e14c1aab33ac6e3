/*
 * instant - a point in time as people write it.
 */
#include "relay/admin/instant.h"

#include <time.h>

enum { MINUTES = 60 };

/* clang-format off */
static const struct { const char *name; int64_t ms; } units[] = {
    { "", 1000 }, { "s", 1000 }, { "min", 60000 }, { "h", 3600000 },
    { "d", 86400000 }, { "w", 604800000 },
};
/* clang-format on */

enum { UNIT_COUNT = sizeof(units) / sizeof(units[0]) };

bool instant_duration(struct span s, int64_t *out_ms)
{
    size_t digits = 0;
    uint64_t n;
    int64_t ms;

    while (digits < s.len && s.at[digits] >= '0' && s.at[digits] <= '9')
        digits++;
    if (!span_number(span_first(s, digits), &n) || n > INT64_MAX)
        return false;
    for (size_t i = 0; i < UNIT_COUNT; i++) {
        if (!span_is(span_skip(s, digits), span_of(units[i].name)))
            continue;
        if (__builtin_mul_overflow((int64_t)n, units[i].ms, &ms))
            return false;
        *out_ms = ms;
        return true;
    }
    return false;
}

/* Takes `count` digits and the byte before them off the front (0: there is none). */
static bool take_number(struct span *s, char before, size_t count, int least,
                        int most, int *out_n)
{
    uint64_t n;

    if (before) {
        if (s->len == 0 || s->at[0] != before)
            return false;
        *s = span_skip(*s, 1);
    }
    if (s->len < count || !span_number(span_first(*s, count), &n) ||
        n > (uint64_t)most || (int)n < least)
        return false;
    *s = span_skip(*s, count);
    *out_n = (int)n;
    return true;
}

static bool same_time(const struct tm *a, const struct tm *b)
{
    return a->tm_year == b->tm_year && a->tm_mon == b->tm_mon &&
           a->tm_mday == b->tm_mday && a->tm_hour == b->tm_hour &&
           a->tm_min == b->tm_min;
}

/* As if it were summer time, or not; false: the local clock does not show it. */
static bool local_as(const struct tm *t, int is_summer, time_t *out_s)
{
    struct tm guess = *t, shown;

    guess.tm_isdst = is_summer;
    *out_s = mktime(&guess);
    return localtime_r(out_s, &shown) && same_time(t, &shown);
}

static time_t local_time(const struct tm *t)
{
    time_t summer, winter;
    bool in_summer = local_as(t, 1, &summer);
    bool in_winter = local_as(t, 0, &winter);

    if (in_summer && in_winter)
        return summer < winter ? summer : winter;
    if (in_summer || in_winter)
        return in_summer ? summer : winter;
    return summer > winter ? summer : winter; /* skipped */
}

/* "Z", "+01:00", "-0330"; *out_s: seconds east of Greenwich. */
static bool read_zone(struct span s, int *out_s)
{
    int hours, minutes, sign;

    if (span_is_nocase(s, SPAN("Z"))) {
        *out_s = 0;
        return true;
    }
    if (s.len == 0 || (s.at[0] != '+' && s.at[0] != '-'))
        return false;
    sign = s.at[0] == '-' ? -1 : 1;
    s = span_skip(s, 1);
    if (!take_number(&s, 0, 2, 0, 23, &hours) ||
        !take_number(&s, s.len && s.at[0] == ':' ? ':' : '\0', 2, 0, 59,
                     &minutes) ||
        s.len)
        return false;
    *out_s = sign * (hours * MINUTES + minutes) * MINUTES;
    return true;
}

static bool read_date(struct span s, int64_t *out_ms)
{
    struct tm t = { .tm_isdst = -1 }, check;
    int month, zone = 0, year;
    bool is_local = true;
    time_t at;

    if (!take_number(&s, '\0', 4, 1970, 9999, &year) ||
        !take_number(&s, '-', 2, 1, 12, &month) ||
        !take_number(&s, '-', 2, 1, 31, &t.tm_mday))
        return false;
    t.tm_year = year - 1900;
    t.tm_mon = month - 1;
    if (s.len) {
        if (!is_one_of(s.at[0], "Tt ") ||
            !take_number(&s, s.at[0], 2, 0, 23, &t.tm_hour) ||
            !take_number(&s, ':', 2, 0, 59, &t.tm_min) ||
            (s.len && s.at[0] == ':' &&
             !take_number(&s, ':', 2, 0, 60, &t.tm_sec)))
            return false;
        is_local = s.len == 0;
        if (!is_local && !read_zone(s, &zone))
            return false;
    }
    check = t;
    at = timegm(&check);
    if (check.tm_mday != t.tm_mday && t.tm_sec < 60)
        return false; /* the 31st of February */
    at = is_local ? local_time(&t) : at - zone;
    *out_ms = (int64_t)at * 1000;
    return true;
}

bool instant_parse(struct span s, int64_t now_ms, int64_t *out_ms,
                   bool *out_is_date)
{
    int64_t ms;
    bool is_date = !instant_duration(s, &ms);

    if (is_date && !read_date(s, &ms))
        return false;
    *out_ms = is_date ? ms : now_ms - ms;
    if (out_is_date)
        *out_is_date = is_date;
    return true;
}
