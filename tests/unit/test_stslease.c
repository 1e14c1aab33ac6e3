/*
 * test_stslease - one fetch of a policy at a time, and none soon after one that failed.
 */
#include "relay/outbound/stslease.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <cmocka.h>

#define A  SPAN("a.example")
#define ID SPAN("1")

static void a_lease_is_one_workers_until_it_ends(void **state)
{
    struct stslease *l = stslease_new();

    (void)state;
    assert_int_equal(stslease_take(l, A, ID, 1000), STSLEASE_YOURS);
    assert_int_equal(stslease_take(l, A, ID, 1000), STSLEASE_BUSY);
    assert_int_equal(stslease_take(l, A, SPAN("2"), 1000), STSLEASE_BUSY);
    assert_int_equal(stslease_take(l, SPAN("b.example"), ID, 1000),
                     STSLEASE_YOURS);
    stslease_end(l, A, ID, false, 2000);
    assert_int_equal(stslease_take(l, A, ID, 2000), STSLEASE_YOURS);
    stslease_free(l);
}

static void a_holder_that_is_gone_holds_up_nobody_for_long(void **state)
{
    struct stslease *l = stslease_new();

    (void)state;
    assert_int_equal(stslease_take(l, A, ID, 1000), STSLEASE_YOURS);
    assert_int_equal(stslease_take(l, A, ID, 1000 + STSLEASE_FETCH_MS - 1),
                     STSLEASE_BUSY);
    assert_int_equal(stslease_take(l, A, ID, 1000 + STSLEASE_FETCH_MS),
                     STSLEASE_YOURS);
    stslease_free(l);
}

static void what_failed_is_not_asked_for_soon_unless_it_is_another(void **state)
{
    struct stslease *l = stslease_new();

    (void)state;
    assert_int_equal(stslease_take(l, A, ID, 1000), STSLEASE_YOURS);
    stslease_end(l, A, ID, true, 1000);
    assert_int_equal(stslease_take(l, A, ID, 1001), STSLEASE_FAILED);
    assert_int_equal(stslease_take(l, A, SPAN("2"), 1001), STSLEASE_YOURS);
    stslease_end(l, A, SPAN("2"), true, 1002);
    assert_int_equal(stslease_take(l, A, SPAN("2"), 1002 + STSLEASE_FAILED_MS),
                     STSLEASE_YOURS);
    stslease_free(l);
}

static void any_number_of_domains_needs_no_more_room(void **state)
{
    struct stslease *l = stslease_new();
    char name[32];

    (void)state;
    for (int i = 0; i < 5000; i++) {
        (void)snprintf(name, sizeof name, "d%d.example", i);
        assert_int_equal(stslease_take(l, span_of(name), ID, 1000 + i),
                         STSLEASE_YOURS);
    }
    assert_int_equal(stslease_take(l, span_of(name), ID, 6000), STSLEASE_BUSY);
    assert_int_equal(stslease_take(l, SPAN("d0.example"), ID, 6000),
                     STSLEASE_YOURS);
    stslease_free(l);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_lease_is_one_workers_until_it_ends),
        cmocka_unit_test(a_holder_that_is_gone_holds_up_nobody_for_long),
        cmocka_unit_test(what_failed_is_not_asked_for_soon_unless_it_is_another),
        cmocka_unit_test(any_number_of_domains_needs_no_more_room),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
