/*
 * registry - late answers find nothing.
 */
#include "relay/net/registry.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static void a_token_finds_its_thing_until_it_is_dropped(void **state)
{
    struct registry r = { 0 };
    int thing;
    uint64_t token = registry_put(&r, &thing);

    (void)state;
    assert_ptr_equal(registry_find(&r, token), &thing);
    registry_drop(&r, token);
    assert_null(registry_find(&r, token));
    registry_fini(&r);
}

static void a_reused_place_has_another_token(void **state)
{
    struct registry r = { 0 };
    int first, second;
    uint64_t old = registry_put(&r, &first), token;

    (void)state;
    registry_drop(&r, old);
    token = registry_put(&r, &second);
    assert_int_not_equal(token, old);
    assert_null(registry_find(&r, old));
    assert_ptr_equal(registry_find(&r, token), &second);
    registry_fini(&r);
}

static void made_up_tokens_find_nothing(void **state)
{
    struct registry r = { 0 };
    int thing;
    uint64_t token = registry_put(&r, &thing);

    (void)state;
    assert_int_not_equal(token, 0);
    assert_null(registry_find(&r, 0));
    assert_null(registry_find(&r, token + 1));
    assert_null(registry_find(&r, token ^ (uint64_t)1 << 40));
    assert_null(registry_find(&r, UINT64_MAX));
    registry_fini(&r);
}

static void it_grows_and_keeps_all(void **state)
{
    enum { MANY = 1000 };
    struct registry r = { 0 };
    int things[MANY];
    uint64_t tokens[MANY];

    (void)state;
    for (int i = 0; i < MANY; i++)
        tokens[i] = registry_put(&r, &things[i]);
    for (int i = 0; i < MANY; i += 2)
        registry_drop(&r, tokens[i]);
    for (int i = 0; i < MANY; i++)
        assert_ptr_equal(registry_find(&r, tokens[i]),
                         i % 2 ? &things[i] : NULL);
    registry_fini(&r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_token_finds_its_thing_until_it_is_dropped),
        cmocka_unit_test(a_reused_place_has_another_token),
        cmocka_unit_test(made_up_tokens_find_nothing),
        cmocka_unit_test(it_grows_and_keeps_all),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
