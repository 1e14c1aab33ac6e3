/*
 * test_mimetoken - the pieces of structured header fields, and what stands between.
 */
#include "policy/vocabulary/mimetoken.h"

#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

struct row {
    const char *text, *token, *rest;
};

static void a_token_ends_where_the_grammar_says(void **state)
{
    static const struct row rows[] = {
        { "text/plain", "text", "/plain" },
        { " \r\n\ttext; x", "text", "; x" },
        { "(a (nested \\) one) b) name=v", "name", "=v" },
        { "a(b)c", "a", "(b)c" },
        { "(never closed name", "", "" },
        { "\"quoted\"", "", "\"quoted\"" },
        { "n\xc3\xa4me", "n", "\xc3\xa4me" },
        { "", "", "" },
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct span s = span_of(rows[i].text);

        assert_true(span_is(mimetoken_take(&s), span_of(rows[i].token)));
        assert_true(span_is(s, span_of(rows[i].rest)));
    }
}

static void a_character_is_taken_only_when_it_is_next(void **state)
{
    struct span s = SPAN(" (c) ; x");

    (void)state;
    assert_false(mimetoken_take_char(&s, '='));
    assert_true(span_is(s, SPAN(" (c) ; x")));
    assert_true(mimetoken_take_char(&s, ';'));
    assert_true(span_is(s, SPAN(" x")));
    assert_false(mimetoken_take_char(&s, ';'));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_token_ends_where_the_grammar_says),
        cmocka_unit_test(a_character_is_taken_only_when_it_is_next),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
