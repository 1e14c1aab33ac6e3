/*
 * What a policy server may send back, and what is garbage.
 */
#include "relay/inbound/policyreply.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <cmocka.h>

static const struct row {
    const char *in;
    enum policyreply is;
    const char *action;
    size_t left; /* behind the reply */
} rows[] = {
    { "action=DUNNO\n\n", POLICYREPLY_WHOLE, "DUNNO", 0 },
    { "action=DUNNO\r\n\r\n", POLICYREPLY_WHOLE, "DUNNO", 0 },
    { "action=\n\n", POLICYREPLY_WHOLE, "", 0 },
    { "action=a=b\n\n", POLICYREPLY_WHOLE, "a=b", 0 },
    { "x=1\naction=451 4.7.1 wait\ny=\n\n", POLICYREPLY_WHOLE,
      "451 4.7.1 wait", 0 },
    { "action=OK\naction=REJECT\n\n", POLICYREPLY_WHOLE, "OK", 0 },
    { "action=OK\n\naction=REJECT\n\n", POLICYREPLY_WHOLE, "OK", 15 },
    { "action=OK\n\n\n", POLICYREPLY_WHOLE, "OK", 1 },
    { "", POLICYREPLY_UNFINISHED, NULL, 0 },
    { "action=DUNNO", POLICYREPLY_UNFINISHED, NULL, 0 },
    { "action=DUNNO\n", POLICYREPLY_UNFINISHED, NULL, 0 },
    { "220 mail.example ESMTP\r\n", POLICYREPLY_GARBAGE, NULL, 0 },
    { "\n", POLICYREPLY_GARBAGE, NULL, 0 },
    { "x=1\n\n", POLICYREPLY_GARBAGE, NULL, 0 },
    { "=DUNNO\n\n", POLICYREPLY_GARBAGE, NULL, 0 },
    { "ACTION=DUNNO\n\n", POLICYREPLY_GARBAGE, NULL, 0 },
};

static void each_reply_is_read_as_it_should_be(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct span in = span_of(rows[i].in), action = { 0 };
        size_t used = 0;

        if (policyreply_read(in, &action, &used) != rows[i].is)
            fail_msg("row %zu: %s", i, rows[i].in);
        if (rows[i].is != POLICYREPLY_WHOLE)
            continue;
        assert_true(span_is(action, span_of(rows[i].action)));
        assert_int_equal(in.len - used, rows[i].left);
    }
}

static void a_beginning_of_a_good_one_is_never_garbage(void **state)
{
    struct span whole = SPAN("x=1\r\naction=DEFER_IF_PERMIT go away\r\n\r\n");
    struct span action;
    size_t used;

    (void)state;
    for (size_t n = 0; n < whole.len; n++)
        assert_int_equal(policyreply_read(span_first(whole, n), &action, &used),
                         POLICYREPLY_UNFINISHED);
    assert_int_equal(policyreply_read(whole, &action, &used),
                     POLICYREPLY_WHOLE);
}

static void what_never_ends_and_what_has_a_nul_is_garbage(void **state)
{
    char *much = malloc(POLICYREPLY_MOST);
    struct span action;
    size_t used;

    (void)state;
    memset(much, 'a', POLICYREPLY_MOST);
    much[1] = '=';
    assert_int_equal(policyreply_read(span_make(much, POLICYREPLY_MOST - 1),
                                      &action, &used),
                     POLICYREPLY_UNFINISHED);
    assert_int_equal(
        policyreply_read(span_make(much, POLICYREPLY_MOST), &action, &used),
        POLICYREPLY_GARBAGE);
    free(much);
    assert_int_equal(
        policyreply_read(SPAN("action=O\0K\n\n"), &action, &used),
        POLICYREPLY_GARBAGE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_reply_is_read_as_it_should_be),
        cmocka_unit_test(a_beginning_of_a_good_one_is_never_garbage),
        cmocka_unit_test(what_never_ends_and_what_has_a_nul_is_garbage),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
