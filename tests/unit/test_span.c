/*
 * Spans: comparing, finding, cutting, counting.
 */
#include "policy/vocabulary/span.h"

#include <stdarg.h>
#include <setjmp.h>
#include <stdlib.h>
#include <cmocka.h>

static void only_ascii_case_is_ignored(void **state)
{
    (void)state;
    assert_true(span_is_nocase(SPAN("aZ-@["), SPAN("Az-@[")));
    assert_false(span_is_nocase(SPAN("@"), SPAN("`")));
    assert_false(span_is_nocase(SPAN("\xc3\x84"), SPAN("\xc3\xa4")));
    assert_false(span_is_nocase(SPAN("a"), SPAN("ab")));
    assert_true(span_is(SPAN(""), span_make(NULL, 0)));
    assert_false(span_is(SPAN("a"), SPAN("A")));
    assert_true(span_starts_nocase(SPAN("FROM:<"), SPAN("from:")));
    assert_false(span_starts_nocase(SPAN("FROM"), SPAN("from:")));
    assert_true(span_ends_nocase(SPAN("a.ORG"), SPAN(".org")));
    assert_false(span_ends_nocase(SPAN("org"), SPAN(".org")));
    assert_true(span_begins_nocase(SPAN("a:25"), SPAN("A:25")));
    assert_true(span_begins_nocase(SPAN("a:25 most=9s"), SPAN("A:25")));
    assert_false(span_begins_nocase(SPAN("a:2525"), SPAN("a:25")));
    assert_false(span_begins_nocase(SPAN("a:2"), SPAN("a:25")));
    assert_false(span_begins_nocase(SPAN(" a"), SPAN("")));
}

static void bytes_are_found_from_both_ends(void **state)
{
    (void)state;
    assert_int_equal(span_find(SPAN("a.b.c"), '.'), 1);
    assert_int_equal(span_find_last(SPAN("a.b.c"), '.'), 3);
    assert_int_equal(span_find(SPAN("abc"), '.'), 3);
    assert_int_equal(span_find_last(SPAN("abc"), '.'), 3);
    assert_int_equal(span_find(span_make(NULL, 0), '.'), 0);
    assert_int_equal(span_find_last(span_make(NULL, 0), '.'), 0);
}

static void cutting_never_leaves_the_span(void **state)
{
    struct span rest;

    (void)state;
    assert_true(span_is(span_first(SPAN("abc"), 9), SPAN("abc")));
    assert_int_equal(span_skip(SPAN("abc"), 9).len, 0);
    assert_null(span_skip(span_make(NULL, 0), 1).at);
    assert_true(span_is(span_trim(SPAN(" \ta b\t ")), SPAN("a b")));
    assert_int_equal(span_trim(SPAN(" \t ")).len, 0);
    assert_true(span_is(span_split(SPAN("a,b,c"), ',', &rest), SPAN("a")));
    assert_true(span_is(rest, SPAN("b,c")));
    assert_true(span_is(span_split(SPAN("a,"), ',', &rest), SPAN("a")));
    assert_non_null(rest.at);
    assert_true(span_is(span_split(SPAN("a"), ',', &rest), SPAN("a")));
    assert_null(rest.at);
}

static void numbers_are_digits_and_fit(void **state)
{
    static const struct {
        const char *text;
        bool ok;
        uint64_t number;
    } rows[] = {
        { "0", true, 0 },
        { "007", true, 7 },
        { "18446744073709551615", true, UINT64_MAX },
        { "18446744073709551616", false, 0 },
        { "99999999999999999999", false, 0 },
        { "", false, 0 },
        { "-1", false, 0 },
        { "+1", false, 0 },
        { " 1", false, 0 },
        { "1a", false, 0 },
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        uint64_t n = 42;

        assert_int_equal(span_number(span_of(rows[i].text), &n), rows[i].ok);
        assert_true(n == (rows[i].ok ? rows[i].number : 42));
    }
}

static void a_copy_ends_in_nul(void **state)
{
    char *copy = span_dup(span_make("abc", 2)), *none = span_dup(SPAN(""));

    (void)state;
    assert_string_equal(copy, "ab");
    assert_string_equal(none, "");
    free(copy);
    free(none);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(only_ascii_case_is_ignored),
        cmocka_unit_test(bytes_are_found_from_both_ends),
        cmocka_unit_test(cutting_never_leaves_the_span),
        cmocka_unit_test(numbers_are_digits_and_fit),
        cmocka_unit_test(a_copy_ends_in_nul),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
