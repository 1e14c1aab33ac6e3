/*
 * test_clockwatch - a clock that was set, and one that only drifts.
 */
#include "relay/net/clockwatch.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

static void only_a_clock_that_was_set_is_news(void **state)
{
    static const struct {
        int64_t wall_ms, steady_ms, jump_ms;
    } rows[] = {
        { 1000000, 0, 0 },            /* the first look knows nothing */
        { 1030000, 30000, 0 },        /* in step */
        { 1090000, 60000, 0 },        /* 30 s of drift */
        { 1150000, 90000, 0 },        /* and again */
        { 4780000, 120000, 3600000 }, /* an hour on */
        { 4810000, 150000, 0 },
        { -2360000, 180000, -7200000 }, /* two hours back */
        { -2330000, 210000, 0 },
        { -2240000, 240000, 60000 },
    };
    struct clockwatch w = { 0 };

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
        assert_true(clockwatch_look(&w, rows[i].wall_ms, rows[i].steady_ms) ==
                    rows[i].jump_ms);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(only_a_clock_that_was_set_is_news),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
