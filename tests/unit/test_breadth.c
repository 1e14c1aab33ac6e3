/*
 * How wide text is on a terminal, cut and filled.
 */
#include "policy/vocabulary/breadth.h"

#include <stdarg.h>
#include <setjmp.h>
#include <cmocka.h>

static void the_width_of_text_is_that_of_a_terminal(void **state)
{
    static const struct {
        const char *text;
        size_t columns;
    } rows[] = {
        { "", 0 },
        { "plain", 5 },
        { "b\xc3\xbc"
          "cher",
          6 },
        { "\xe3\x83\xa1\xe3\x83\xbc\xe3\x83\xab", 6 }, /* katakana */
        { "\xed\x95\x9c\xea\xb5\xad", 4 },             /* hangul */
        { "\xf0\x9f\x9a\x9a\xf0\x9f\x9a\x9a", 4 },     /* two trucks */
        { "e\xcc\x81", 1 },                            /* e and its accent */
        { "\xd7\x93\xd7\x95\xd7\x90\xd7\xa8", 4 },     /* hebrew */
        { "\xff\xfe", 2 },                             /* no text */
        { "\xf0\xa0\x80\x80", 2 },         /* far from the first plane */
        { "\xe2\x94\x80\xe2\x96\x88", 2 }, /* a line and a block */
    };

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
        assert_int_equal(breadth_of(span_of(rows[i].text)), rows[i].columns);
}

static void what_is_too_wide_is_cut_between_two_characters(void **state)
{
    static const struct {
        const char *text;
        size_t columns;
        const char *cut;
    } rows[] = {
        { "fits", 4, "fits" },
        { "too long", 6, "too..." },
        { "\xe3\x83\xa1\xe3\x83\xbc\xe3\x83\xab", 6,
          "\xe3\x83\xa1\xe3\x83\xbc\xe3\x83\xab" },
        { "\xe3\x83\xa1\xe3\x83\xbc\xe3\x83\xab", 5, "\xe3\x83\xa1..." },
        /* half of a wide one is none */
        { "\xe3\x83\xa1\xe3\x83\xbc\xe3\x83\xab"
          "x",
          6, "\xe3\x83\xa1..." },
        /* the accent stays with its letter */
        { "e\xcc\x81"
          "abcd",
          4, "e\xcc\x81..." },
        { "narrow", 2, ".." },
        { "none", 0, "" },
    };
    struct buffer b = { 0 };

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        buffer_clear(&b);
        buffer_put_string(&b, "- ");
        buffer_put_string(&b, rows[i].text);
        breadth_cut(&b, 2, rows[i].columns);
        assert_string_equal(buffer_string(&b) + 2, rows[i].cut);
    }
    buffer_fini(&b);
}

static void what_is_narrow_is_filled(void **state)
{
    struct buffer b = { 0 };

    (void)state;
    buffer_put_string(&b, "> \xe3\x83\xa1");
    breadth_fill(&b, 2, 4);
    assert_string_equal(buffer_string(&b), "> \xe3\x83\xa1  ");
    breadth_fill(&b, 2, 3);
    assert_string_equal(buffer_string(&b), "> \xe3\x83\xa1  ");
    buffer_fini(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_width_of_text_is_that_of_a_terminal),
        cmocka_unit_test(what_is_too_wide_is_cut_between_two_characters),
        cmocka_unit_test(what_is_narrow_is_filled),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
