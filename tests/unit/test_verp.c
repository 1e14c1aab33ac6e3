/*
 * test_verp - the reverse-path made of a recipient.
 */
#include "relay/outbound/verp.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#define SIZE_OF(array) (sizeof(array) / sizeof((array)[0]))

static void the_recipient_stands_in_the_reverse_path(void **state)
{
    static const struct {
        const char *sender, *verp, *recipient, *expected;
    } rows[] = {
        { "owner@here.test", "+=", "user@there.test",
          "owner+user=there.test@here.test" },
        { "owner@here.test", "-+", "user@there.test",
          "owner-user+there.test@here.test" },
        { "owner@here.test", "+=", "postmaster", "owner+postmaster@here.test" },
        { "owner@here.test", "+=", "\"a b\"@there.test",
          "\"owner+a b=there.test\"@here.test" },
        { "\"o@o\"@here.test", "+=", "user@there.test",
          "\"o@o+user=there.test\"@here.test" },
        { "owner@here.test", "+=", "user@[192.0.2.1]",
          "\"owner+user=[192.0.2.1]\"@here.test" },
    };

    (void)state;
    for (size_t i = 0; i < SIZE_OF(rows); i++) {
        struct envelope e = { .sender = span_of(rows[i].sender),
                              .verp = span_of(rows[i].verp) };
        struct buffer b = { 0 };

        assert_true(verp_is_asked(&e));
        verp_put(&b, &e, span_of(rows[i].recipient));
        assert_string_equal(buffer_string(&b), rows[i].expected);
        buffer_fini(&b);
    }
}

static void nothing_is_made_of_no_reverse_path(void **state)
{
    (void)state;
    assert_false(verp_is_asked(&(struct envelope){ .verp = SPAN("+=") }));
    assert_false(
        verp_is_asked(&(struct envelope){ .sender = SPAN("a@b.test") }));
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_recipient_stands_in_the_reverse_path),
        cmocka_unit_test(nothing_is_made_of_no_reverse_path),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
