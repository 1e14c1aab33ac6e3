/*
 * How many connections a destination bears, by what it did.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "queue/feedback.h"

static void the_window_starts_at_five_or_less(void **state)
{
    struct feedback f;

    (void)state;
    feedback_start(&f, 20);
    assert_int_equal(f.window, 5);
    feedback_start(&f, 3);
    assert_int_equal(f.window, 3);
    feedback_start(&f, 0);
    assert_int_equal(f.window, 1);
}

static void as_many_deliveries_as_the_window_widen_it_by_one(void **state)
{
    struct feedback f;

    (void)state;
    feedback_start(&f, 20);
    for (int i = 0; i < 4; i++)
        feedback_delivered(&f, 5);
    assert_int_equal(f.window, 5);
    feedback_delivered(&f, 5);
    assert_int_equal(f.window, 6);
    for (int i = 0; i < 6; i++)
        feedback_delivered(&f, 6);
    assert_int_equal(f.window, 7);
}

static void a_window_not_in_full_use_stays(void **state)
{
    struct feedback f;

    (void)state;
    feedback_start(&f, 20);
    for (int i = 0; i < 1000; i++)
        feedback_delivered(&f, 4);
    assert_int_equal(f.window, 5);
}

static void the_window_never_passes_the_most(void **state)
{
    struct feedback f;

    (void)state;
    feedback_start(&f, 8);
    for (int i = 0; i < 1000; i++)
        feedback_delivered(&f, 20);
    assert_int_equal(f.window, 8);
    feedback_limit(&f, 2);
    assert_int_equal(f.window, 2);
}

/* most, failures in a row until the destination is down */
static const struct {
    uint32_t most;
    int failures;
} cohorts[] = { { 1, 1 }, { 2, 2 }, { 5, 5 }, { 20, 5 } };

static void a_whole_cohort_of_failures_is_down(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(cohorts) / sizeof(*cohorts); i++) {
        struct feedback f;

        feedback_start(&f, cohorts[i].most);
        for (int n = 1; n < cohorts[i].failures; n++)
            assert_false(feedback_failed(&f));
        assert_true(feedback_failed(&f));
    }
}

static void a_greeting_between_failures_keeps_it_up(void **state)
{
    struct feedback f;

    (void)state;
    feedback_start(&f, 20);
    for (int i = 0; i < 3; i++)
        assert_false(feedback_failed(&f));
    feedback_greeted(&f);
    assert_false(feedback_failed(&f));
}

static void failures_narrow_the_window_but_not_to_nothing(void **state)
{
    struct feedback f;

    (void)state;
    feedback_start(&f, 20);
    for (int i = 0; i < 100; i++) {
        (void)feedback_failed(&f);
        feedback_greeted(&f);
    }
    assert_int_equal(f.window, 1);
    /* ... and it recovers. */
    for (int i = 0; i < 300; i++)
        feedback_delivered(&f, f.window);
    assert_int_equal(f.window, 20);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_window_starts_at_five_or_less),
        cmocka_unit_test(as_many_deliveries_as_the_window_widen_it_by_one),
        cmocka_unit_test(a_window_not_in_full_use_stays),
        cmocka_unit_test(the_window_never_passes_the_most),
        cmocka_unit_test(a_whole_cohort_of_failures_is_down),
        cmocka_unit_test(a_greeting_between_failures_keeps_it_up),
        cmocka_unit_test(failures_narrow_the_window_but_not_to_nothing),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
