/*
 * Retry times: by age, within bounds, with a little chance.
 */
#include "policy/retry.h"

#include <stdarg.h>
#include <setjmp.h>
#include <cmocka.h>

enum { SECOND = 1000, MINUTE = 60 * SECOND, HOUR = 60 * MINUTE };

static const struct retry_settings usual = {
    .first_ms = MINUTE,
    .most_ms = HOUR,
    .expire_ms = 5ll * 24 * HOUR,
    .expire_report_ms = 2ll * 24 * HOUR,
    .warn_ms = 4ll * HOUR,
};

/* The middle of the jitter. */
enum { MIDDLE = 0x80000000u };

static void the_next_attempt_is_as_far_as_the_mail_is_old(void **state)
{
    static const struct {
        int64_t age, wait;
    } rows[] = {
        { 0, MINUTE },        { -5 * MINUTE, MINUTE },
        { 30000, MINUTE },    { 10 * MINUTE, 10 * MINUTE },
        { 3ll * HOUR, HOUR },
    };
    const int64_t received = 1700000000000;

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        int64_t now = received + rows[i].age;

        assert_int_equal(retry_due_ms(&usual, received, now, MIDDLE),
                         now + rows[i].wait);
    }
}

static void jitter_is_a_tenth_either_way(void **state)
{
    int64_t lowest = retry_due_ms(&usual, 0, 0, 0),
            highest = retry_due_ms(&usual, 0, 0, UINT32_MAX);

    (void)state;
    assert_int_equal(lowest, MINUTE - MINUTE / 10);
    assert_in_range(highest, MINUTE + MINUTE / 10 - 10, MINUTE + MINUTE / 10);
}

static void a_host_that_is_down_rests_twice_as_long_each_time(void **state)
{
    static const struct {
        unsigned n;
        int64_t rest;
    } rows[] = {
        { 0, MINUTE },     { 1, MINUTE },        { 2, 2 * MINUTE },
        { 3, 4 * MINUTE }, { 6, 32 * MINUTE },   { 7, HOUR },
        { 8, HOUR },       { UINT32_MAX, HOUR },
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        assert_int_equal(retry_backoff_ms(&usual, rows[i].n, MIDDLE),
                         rows[i].rest);
}

static void very_long_waits_do_not_overflow(void **state)
{
    struct retry_settings r = usual;
    const int64_t ten_years = 3650ll * 24 * HOUR;
    int64_t due;

    (void)state;
    r.first_ms = r.most_ms = ten_years;
    due = retry_due_ms(&r, 0, 0, UINT32_MAX);
    assert_true(due > ten_years && due <= ten_years + ten_years / 10);
    assert_true(retry_backoff_ms(&r, UINT32_MAX, 0) > 0);
}

static void reports_expire_sooner_and_are_never_warned_about(void **state)
{
    struct retry_settings r = usual;

    (void)state;
    assert_int_equal(retry_expiry_ms(&r, 7, false), 7 + r.expire_ms);
    assert_int_equal(retry_expiry_ms(&r, 7, true), 7 + r.expire_report_ms);
    assert_int_equal(retry_warning_ms(&r, 7, false), 7 + r.warn_ms);
    assert_true(retry_warning_ms(&r, 7, true) == INT64_MAX);
    r.warn_ms = 0;
    assert_true(retry_warning_ms(&r, 7, false) == INT64_MAX);
    r.warn_ms = r.expire_ms;
    assert_true(retry_warning_ms(&r, 7, false) == INT64_MAX);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_next_attempt_is_as_far_as_the_mail_is_old),
        cmocka_unit_test(jitter_is_a_tenth_either_way),
        cmocka_unit_test(a_host_that_is_down_rests_twice_as_long_each_time),
        cmocka_unit_test(very_long_waits_do_not_overflow),
        cmocka_unit_test(reports_expire_sooner_and_are_never_warned_about),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
