/*
 * Points in time as people write them, around the days on which clocks are changed too.
 */
#include "relay/admin/instant.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <time.h>

#include <cmocka.h>

static const int64_t now = 1700000000000;

/* By `date -ud @...` of the zone's own rules. */
/* clang-format off */
static const struct { const char *zone, *text; int64_t s; } rows[] = {
    { "UTC", "2026-11-17", 1794873600 },
    { "UTC", "2026-11-17T08:30", 1794904200 },
    { "UTC", "2026-11-17 08:30", 1794904200 },
    { "UTC", "2026-11-17t08:30:15", 1794904215 },
    { "UTC", "2h", 1700000000 - 7200 },
    { "Europe/Berlin", "2026-11-17T08:30", 1794904200 - 3600 },
    { "Europe/Berlin", "2026-11-17T08:30Z", 1794904200 },
    { "Europe/Berlin", "2026-11-17T08:30:00+05:30", 1794904200 - 19800 },
    { "Europe/Berlin", "2026-11-17T08:30-0330", 1794904200 + 12600 },
    { "Europe/Berlin", "2026-07-01", 1782856800 },
    /* forward: 02:00 is 03:00 */
    { "Europe/Berlin", "2026-03-29", 1774738800 },
    { "Europe/Berlin", "2026-03-29T01:59:59", 1774745999 },
    { "Europe/Berlin", "2026-03-29T02:30", 1774747800 },
    { "Europe/Berlin", "2026-03-29T03:00", 1774746000 },
    { "Europe/Berlin", "2026-03-30", 1774821600 },
    /* back: 03:00 is 02:00 again */
    { "Europe/Berlin", "2026-10-25T01:59", 1792886340 },
    { "Europe/Berlin", "2026-10-25T02:30", 1792888200 },
    { "Europe/Berlin", "2026-10-25T03:00", 1792893600 },
    { "Europe/Berlin", "2026-10-26", 1792969200 },
    /* the other half of the earth, and a day that has no midnight */
    { "America/New_York", "2026-11-01T01:30", 1793511000 },
    { "Asia/Beirut", "2026-03-29", 1774735200 },
};

static const char *const wrong[] = {
    "", "yesterday", "2026-11", "2026-11-17T", "2026-11-17T8:30", "2026-13-01",
    "2026-00-10", "2026-02-30", "2027-02-29", "2026-11-17T24:00", "2026-11-17T08:60",
    "2026-11-17T08:30X", "2026-11-17T08:30+25:00", "2026-11-17T08:30+1", "2026-11-17x08:30",
    "2026-11-17T08", "26-11-17", "-2026-11-17", "2026-11-17T08:30Zjunk", "1969-12-31",
    "2026/11/17", "2026-11-17T08:30:1",
};
/* clang-format on */

static void an_instant_is_what_the_clock_of_the_place_shows(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        int64_t ms = -1;

        setenv("TZ", rows[i].zone, 1);
        tzset();
        if (!instant_parse(span_of(rows[i].text), now, &ms, NULL) ||
            ms != rows[i].s * 1000)
            fail_msg("%s in %s is %lld, not %lld", rows[i].text, rows[i].zone,
                     (long long)(ms / 1000), (long long)rows[i].s);
    }
}

static void what_is_no_instant_is_refused(void **state)
{
    int64_t ms = 5;

    (void)state;
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++)
        if (instant_parse(span_of(wrong[i]), now, &ms, NULL) || ms != 5)
            fail_msg("\"%s\" was taken for an instant", wrong[i]);
}

static void a_date_is_told_from_a_duration(void **state)
{
    bool is_date = false;
    int64_t ms;

    (void)state;
    assert_true(instant_parse(SPAN("2026-11-17"), now, &ms, &is_date));
    assert_true(is_date);
    assert_true(instant_parse(SPAN("90"), now, &ms, &is_date));
    assert_false(is_date);
    assert_int_equal(ms, now - 90000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_instant_is_what_the_clock_of_the_place_shows),
        cmocka_unit_test(what_is_no_instant_is_refused),
        cmocka_unit_test(a_date_is_told_from_a_duration),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
