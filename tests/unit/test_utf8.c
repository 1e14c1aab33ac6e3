/*
 * UTF-8: well formed, showable, or neither.
 */
#include "policy/vocabulary/utf8.h"

#include <stdarg.h>
#include <setjmp.h>
#include <cmocka.h>

static void only_well_formed_characters_have_a_length(void **state)
{
    static const struct {
        const char *text;
        size_t length, showable;
    } rows[] = {
        { "a", 1, 1 },
        { "\x1f", 1, 0 },
        { "\x7f", 1, 0 },
        { "\xc2\x80", 2, 0 }, /* a control character */
        { "\xc2\xa0", 2, 2 },
        { "\xdf\xbf", 2, 2 },
        { "\xe0\xa0\x80", 3, 3 },
        { "\xed\x9f\xbf", 3, 3 },
        { "\xef\xbb\xbf", 3, 0 }, /* byte order mark */
        { "\xef\xbb\xbe", 3, 3 },
        { "\xe2\x80\x8d", 3, 3 },
        { "\xe2\x80\x8e", 3, 0 }, /* left-to-right mark */
        { "\xe2\x80\x8f", 3, 0 },
        { "\xe2\x80\xa8", 3, 0 }, /* line separator */
        { "\xe2\x80\xae", 3, 0 }, /* right-to-left override */
        { "\xe2\x80\xaf", 3, 3 },
        { "\xe2\x81\xa6", 3, 0 }, /* isolate */
        { "\xe2\x81\xaa", 3, 0 }, /* direction, of old */
        { "\xe2\x81\x9f", 3, 3 },
        { "\xd8\x9b", 2, 2 },
        { "\xd8\x9c", 2, 0 }, /* Arabic letter mark */
        { "\xe2\x80\x8b", 3, 0 }, /* a space without width */
        { "\xe2\x80\x8c", 3, 3 },
        { "\xef\xbf\xb9", 3, 0 }, /* an annotation */
        { "\xef\xbf\xbd", 3, 3 },
        { "\xf3\xa0\x81\x81", 4, 0 }, /* a tag */
        { "\xf3\xa1\x80\x80", 4, 4 },
        { "\xe2\x82\xac", 3, 3 },
        { "\xf0\x9f\x98\x80", 4, 4 },
        { "\xf4\x8f\xbf\xbf", 4, 4 },
        { "", 0, 0 },
        { "\x80", 0, 0 },
        { "\xc0\x80", 0, 0 }, /* overlong */
        { "\xc1\xbf", 0, 0 },
        { "\xe0\x9f\xbf", 0, 0 },
        { "\xed\xa0\x80", 0, 0 }, /* a surrogate */
        { "\xf0\x8f\xbf\xbf", 0, 0 },
        { "\xf4\x90\x80\x80", 0, 0 }, /* over U+10FFFF */
        { "\xf5\x80\x80\x80", 0, 0 },
        { "\xc3", 0, 0 }, /* cut off */
        { "\xe2\x82", 0, 0 },
        { "\xe2\x82\x41", 0, 0 },
        { "\xf0\x9f\x98\xc0", 0, 0 },
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct span s = span_of(rows[i].text);

        if (utf8_length(s) != rows[i].length ||
            utf8_is_showable(s) != rows[i].showable)
            fail_msg("row %zu", i);
        assert_int_equal(utf8_is_valid(s), s.len == 0 || rows[i].length > 0);
    }
}

static void one_bad_byte_spoils_a_text(void **state)
{
    (void)state;
    assert_true(utf8_is_valid(SPAN("gr\xc3\xbc\xc3\x9f")));
    assert_false(utf8_is_valid(SPAN("gr\xc3\xbc\xc3")));
}

static void high_bytes_are_found_anywhere(void **state)
{
    char text[40];

    (void)state;
    memset(text, 'a', sizeof text);
    for (size_t len = 0; len < sizeof text; len++) {
        assert_false(utf8_has_high(span_make(text, len)));
        for (size_t at = 0; at < len; at++) {
            text[at] = '\x80';
            assert_true(utf8_has_high(span_make(text, len)));
            text[at] = 'a';
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(only_well_formed_characters_have_a_length),
        cmocka_unit_test(one_bad_byte_spoils_a_text),
        cmocka_unit_test(high_bytes_are_found_anywhere),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
