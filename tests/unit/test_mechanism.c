/*
 * The ways to log in: names, sets and which is best.
 */
#include "policy/vocabulary/mechanism.h"

#include <stdarg.h>
#include <setjmp.h>
#include <cmocka.h>

static void names_are_found_in_any_case(void **state)
{
    static const struct {
        const char *text;
        unsigned one;
    } rows[] = {
        { "PLAIN", MECHANISM_PLAIN },
        { "plain", MECHANISM_PLAIN },
        { "Login", MECHANISM_LOGIN },
        { "SCRAM-SHA-256", MECHANISM_SCRAM_SHA_256 },
        { "scram-sha-256-plus", MECHANISM_SCRAM_SHA_256_PLUS },
        { "SCRAM-SHA-25", 0 },
        { "PLAIN ", 0 },
        { "", 0 },
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        assert_int_equal(mechanism_find(span_of(rows[i].text)), rows[i].one);
}

static void each_one_has_a_name_that_finds_it(void **state)
{
    unsigned count = 0;

    (void)state;
    for (unsigned one = 1; one & MECHANISM_ALL; one <<= 1, count++)
        assert_int_equal(mechanism_find(span_of(mechanism_name(one))), one);
    assert_int_equal(count, 10);
    assert_string_equal(mechanism_name(0), "");
    assert_string_equal(mechanism_name(MECHANISM_ALL + 1), "");
}

static void sets_are_printed_best_first(void **state)
{
    static const struct {
        unsigned set, best;
        const char *text;
    } rows[] = {
        { 0, 0, "" },
        { MECHANISM_PLAIN, MECHANISM_PLAIN, "PLAIN" },
        { MECHANISM_LOGIN | MECHANISM_PLAIN | MECHANISM_SCRAM_SHA_1,
          MECHANISM_SCRAM_SHA_1, "SCRAM-SHA-1 PLAIN LOGIN" },
        { MECHANISMS_SERVED, MECHANISM_EXTERNAL,
          "EXTERNAL SCRAM-SHA-256-PLUS SCRAM-SHA-1-PLUS SCRAM-SHA-256 "
          "SCRAM-SHA-1 PLAIN LOGIN" },
        { MECHANISMS_BEARER | MECHANISM_CRAM_MD5, MECHANISM_OAUTHBEARER,
          "OAUTHBEARER XOAUTH2 CRAM-MD5" },
    };
    struct buffer b = { 0 };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        buffer_clear(&b);
        mechanisms_print(&b, rows[i].set);
        assert_string_equal(buffer_string(&b), rows[i].text);
        assert_int_equal(mechanism_best(rows[i].set), rows[i].best);
    }
    buffer_fini(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names_are_found_in_any_case),
        cmocka_unit_test(each_one_has_a_name_that_finds_it),
        cmocka_unit_test(sets_are_printed_best_first),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
