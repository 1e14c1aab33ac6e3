/*
 * test_xtext - parameters with any character in them.
 */
#include "policy/vocabulary/xtext.h"

#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

static void xtext_is_decoded_or_refused(void **state)
{
    static const struct {
        const char *text, *clear; /* NULL: refused */
    } rows[] = {
        { "", "" },
        { "QQ314159", "QQ314159" },
        { "a+2Bb+3Dc", "a+b=c" },
        { "a+2bb", "a+b" },
        { "a+20b", "a b" },
        { "a+", NULL },
        { "a+2", NULL },
        { "a+2G", NULL },
        { "a+0A", NULL },
        { "a+00", NULL },
        { "a+7F", NULL },
        { "a+C3+BC", NULL },
        { "a=b", NULL },
        { "a b", NULL },
        { "\xc3\xbc", NULL },
    };

    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct buffer b = { 0 };

        assert_int_equal(xtext_decode(span_of(rows[i].text), &b),
                         rows[i].clear != NULL);
        if (rows[i].clear)
            assert_string_equal(buffer_string(&b), rows[i].clear);
        buffer_fini(&b);
    }
}

static void an_original_recipient_is_decoded_by_its_type(void **state)
{
    static const struct {
        const char *text;
        bool raw_utf8;
        const char *clear;
    } rows[] = {
        { "rfc822;a@b.test", false, "rfc822;a@b.test" },
        { "rfc822;a+2Bx@b.test", false, "rfc822;a+x@b.test" },
        { "X400;/c=de", false, NULL },
        { "X400;/c+3Dde", false, "X400;/c=de" },
        { "utf-8;\\x{FC}@b.test", false, "utf-8;\xc3\xbc@b.test" },
        { "UTF-8;\\x{20AC}\\x{1F600}", false,
          "UTF-8;\xe2\x82\xac\xf0\x9f\x98\x80" },
        { "utf-8;\\x{2B}\\x{3D}\\x{5C}", false, "utf-8;+=\\" },
        { "utf-8;\xc3\xbc@b.test", true, "utf-8;\xc3\xbc@b.test" },
        { "utf-8;\xc3\xbc@b.test", false, NULL },
        { "utf-8;\xc3@b.test", true, NULL },
        { "rfc822;\xc3\xbc@b.test", true, NULL },
        { "rfc822;+C3+BC@b.test", false, "utf-8;\xc3\xbc@b.test" },
        { "rfc822;+C3@b.test", false, NULL },
        { "x400;+C3+BC", false, NULL },
        { "utf-8;\\x{0A}", false, NULL },
        { "utf-8;\\x{D800}", false, NULL },
        { "utf-8;\\x{110000}", false, NULL },
        { "utf-8;\\x{0000041}", false, NULL },
        { "utf-8;\\x{4}", false, NULL },
        { "utf-8;\\x{41", false, NULL },
        { "utf-8;\\y", false, NULL },
        { "utf-8;a+b", false, NULL },
        { "utf-8;", false, NULL },
        { "rfc822;", false, NULL },
        { "rfc822", false, NULL },
        { ";a@b", false, NULL },
        { "rfc 822;a@b", false, NULL },
        { "a@b", false, NULL },
        { "", false, NULL },
    };

    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct buffer b = { 0 };

        assert_int_equal(
            xtext_decode_orcpt(span_of(rows[i].text), rows[i].raw_utf8, &b),
            rows[i].clear != NULL);
        if (rows[i].clear)
            assert_string_equal(buffer_string(&b), rows[i].clear);
        buffer_fini(&b);
    }
}

static void what_is_encoded_decodes_to_itself(void **state)
{
    static const struct {
        const char *clear, *encoded, *raw;
    } rows[] = {
        { "rfc822;a+b=c d@e.test", "rfc822;a+2Bb+3Dc+20d@e.test", NULL },
        { "utf-8;\xc3\xbc+\\@b", "utf-8;\\x{FC}\\x{2B}\\x{5C}@b",
          "utf-8;\xc3\xbc\\x{2B}\\x{5C}@b" },
        { "utf-8;\xf0\x9f\x98\x80", "utf-8;\\x{1F600}",
          "utf-8;\xf0\x9f\x98\x80" },
    };

    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++)
        for (int raw = 0; raw < 2; raw++) {
            struct buffer b = { 0 }, again = { 0 };

            xtext_encode_orcpt(&b, span_of(rows[i].clear), raw);
            assert_string_equal(buffer_string(&b), raw && rows[i].raw
                                                       ? rows[i].raw
                                                       : rows[i].encoded);
            assert_true(xtext_decode_orcpt(buffer_span(&b), raw, &again));
            assert_string_equal(buffer_string(&again), rows[i].clear);
            buffer_fini(&b);
            buffer_fini(&again);
        }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(xtext_is_decoded_or_refused),
        cmocka_unit_test(an_original_recipient_is_decoded_by_its_type),
        cmocka_unit_test(what_is_encoded_decodes_to_itself),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
