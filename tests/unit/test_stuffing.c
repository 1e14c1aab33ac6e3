/*
 * test_stuffing - content leaves as it is, but for dots; no bare CR or LF leaves.
 */
#include "relay/outbound/stuffing.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#define SIZE_OF(array) (sizeof(array) / sizeof((array)[0]))

/* clang-format off */
static const struct row {
    const char *in;
    const char *out;          /* NULL: must be refused */
} rows[] = {
    { "", ".\r\n" },
    { "a", "a\r\n.\r\n" },
    { "a\r\n", "a\r\n.\r\n" },
    { "\r\n", "\r\n.\r\n" },
    { "\r\n\r\n", "\r\n\r\n.\r\n" },
    { ".", "..\r\n.\r\n" },
    { "..", "...\r\n.\r\n" },
    { ".\r\n", "..\r\n.\r\n" },
    { ".\r\n.\r\n", "..\r\n..\r\n.\r\n" },
    { "a\r\n.\r\nb\r\n", "a\r\n..\r\nb\r\n.\r\n" },
    { "a.b\r\n c.\r\n.d.", "a.b\r\n c.\r\n..d.\r\n.\r\n" },
    { "\r\n.a", "\r\n..a\r\n.\r\n" },
    { "a\r", NULL }, { "\r", NULL }, { "\n", NULL }, { "a\n", NULL },
    { "a\nb\r\n", NULL }, { "a\r.\r\n", NULL }, { "\r\r\n", NULL },
    { "a\r\n\n", NULL }, { "a\r\n\r", NULL }, { "a\n.\nb\r\n", NULL },
    { "a\r\r\nb\r\n", NULL }, { "a\r\n.\n", NULL }, { "a\rb\r\nc", NULL },
};
/* clang-format on */

/* Cut in three at i and j. */
static void check_cut(const struct row *row, size_t i, size_t j)
{
    struct stuffing s = { 0 };
    struct buffer out = { 0 };
    struct span in = span_of(row->in);
    struct span parts[] = { span_first(in, i),
                            span_first(span_skip(in, i), j - i),
                            span_skip(in, j) };
    bool is_clean = true;

    for (size_t k = 0; k < SIZE_OF(parts) && is_clean; k++) {
        char *copy = span_dup(parts[k]);

        is_clean = stuffing_put(&s, &out, span_make(copy, parts[k].len));
        free(copy);
    }
    is_clean = is_clean && stuffing_end(&s, &out);
    assert_int_equal(is_clean, row->out != NULL);
    if (is_clean)
        assert_string_equal(buffer_string(&out), row->out);
    else /* what is out already has no bare CR or LF inside */
        for (size_t k = 0; k + 1 < out.len; k++)
            assert_int_equal(out.at[k] == '\r', out.at[k + 1] == '\n');
    buffer_fini(&out);
}

static void content_is_stuffed_however_it_is_cut(void **state)
{
    (void)state;
    for (size_t r = 0; r < SIZE_OF(rows); r++)
        for (size_t i = 0; i <= strlen(rows[r].in); i++)
            for (size_t j = i; j <= strlen(rows[r].in); j++)
                check_cut(&rows[r], i, j);
}

/* A receiver's view: take the stuffing out again, line by line. */
static void unstuff(struct span wire, struct buffer *out)
{
    while (wire.len) {
        struct span line = span_split(wire, '\n', &wire);

        if (line.len == 2 && line.at[0] == '.') {
            assert_int_equal(wire.len, 0);
            return;
        }
        if (line.at[0] == '.')
            line = span_skip(line, 1);
        buffer_put(out, line);
        buffer_put_byte(out, '\n');
    }
    fail();
}

static void what_is_stuffed_comes_out_the_same(void **state)
{
    unsigned seed = 7;

    (void)state;
    for (size_t round = 0; round < 2000; round++) {
        struct buffer content = { 0 }, wire = { 0 }, back = { 0 };
        struct stuffing s = { 0 };
        size_t lines = 1 + (seed >> 8) % 20;
        struct span rest;

        for (size_t i = 0; i < lines; i++) {
            seed = seed * 1103515245 + 12345;
            for (unsigned n = seed >> 16 & 7; n; n--)
                buffer_put_byte(&content, n & 1 ? '.' : 'x');
            buffer_put_string(&content, "\r\n");
        }
        for (rest = buffer_span(&content); rest.len;) {
            size_t n = 1 + (seed >> 20) % 9;

            seed = seed * 1103515245 + 12345;
            assert_true(stuffing_put(&s, &wire, span_first(rest, n)));
            rest = span_skip(rest, n);
        }
        assert_true(stuffing_end(&s, &wire));
        unstuff(buffer_span(&wire), &back);
        assert_true(span_is(buffer_span(&content), buffer_span(&back)));
        buffer_fini(&content);
        buffer_fini(&wire);
        buffer_fini(&back);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(content_is_stuffed_however_it_is_cut),
        cmocka_unit_test(what_is_stuffed_comes_out_the_same),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
