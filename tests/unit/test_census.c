/*
 * census - one client's sessions do not crowd out the others.
 */
#include "relay/net/census.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static struct host_address address(const char *text)
{
    struct host_address a;

    assert_true(host_address_parse(span_of(text), &a));
    return a;
}

static void a_client_over_its_limit_is_turned_away(void **state)
{
    struct census *c = census_new();
    struct host_address one = address("192.0.2.1"), two = address("192.0.2.2");

    (void)state;
    assert_true(census_enter(c, &one, 2));
    assert_true(census_enter(c, &one, 2));
    assert_false(census_enter(c, &one, 2));
    assert_true(census_enter(c, &two, 2));
    census_leave(c, &one);
    assert_true(census_enter(c, &one, 2));
    census_leave(c, &one);
    census_leave(c, &one);
    census_leave(c, &two);
    census_free(c); /* asserts that nobody is left */
}

static void a_mapped_address_is_the_same_client(void **state)
{
    struct census *c = census_new();
    struct host_address plain = address("192.0.2.1");
    struct host_address mapped = address("::ffff:192.0.2.1");

    (void)state;
    assert_true(census_enter(c, &plain, 1));
    assert_false(census_enter(c, &mapped, 1));
    census_leave(c, &mapped);
    census_free(c);
}

static void no_limit_means_no_limit(void **state)
{
    struct census *c = census_new();
    struct host_address one = address("2001:db8::1");

    (void)state;
    for (int i = 0; i < 500; i++)
        assert_true(census_enter(c, &one, 0));
    for (int i = 0; i < 500; i++)
        census_leave(c, &one);
    census_free(c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_client_over_its_limit_is_turned_away),
        cmocka_unit_test(a_mapped_address_is_the_same_client),
        cmocka_unit_test(no_limit_means_no_limit),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
