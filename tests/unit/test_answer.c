/*
 * test_answer - what is a reply, however its bytes arrive.
 */
#include "policy/vocabulary/limits.h"
#include "relay/outbound/answer.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#define SIZE_OF(array) (sizeof(array) / sizeof((array)[0]))

/* clang-format off */
static const struct row {
    struct span bytes;
    const char *said;     /* "CODE STATUS [text]" for each reply, '|' for '\n';
                             "broken [why]"; "..." when more is needed */
} rows[] = {
    { SPAN_INIT("250 ok\r\n"), "250 0.0.0 [ok]" },
    { SPAN_INIT("250\r\n"), "250 0.0.0 []" },
    { SPAN_INIT("250 \r\n"), "250 0.0.0 []" },
    { SPAN_INIT("550 5.1.1 <a@b>: no\r\n"), "550 5.1.1 [<a@b>: no]" },
    { SPAN_INIT("550 5.1.1\r\n"), "550 5.1.1 []" },
    { SPAN_INIT("550 4.7.1 no\r\n"), "550 4.7.1 [no]" },
    { SPAN_INIT("550 5.1.1.9 is listed\r\n"), "550 0.0.0 [5.1.1.9 is listed]" },
    { SPAN_INIT("550 5.1.1: no\r\n"), "550 0.0.0 [5.1.1: no]" },
    { SPAN_INIT("250-a\r\n250-b\r\n250 c\r\n"), "250 0.0.0 [a|b|c]" },
    { SPAN_INIT("250-\r\n250\r\n"), "250 0.0.0 [|]" },
    { SPAN_INIT("550-5.7.1 a\r\n550 5.7.1 b\r\n"), "550 5.7.1 [a|b]" },
    { SPAN_INIT("550-5.7.1 a\r\n550 5.7.2 b\r\n"), "550 5.7.1 [a|5.7.2 b]" },
    { SPAN_INIT("250 a\r\n354 b\r\n421 c\r\n"),
      "250 0.0.0 [a]354 0.0.0 [b]421 0.0.0 [c]" },
    { SPAN_INIT("250-a\r\n250 b\r\n550 5.0.0 c\r\n"),
      "250 0.0.0 [a|b]550 5.0.0 [c]" },
    { SPAN_INIT("250 \xff\xfe\r\n"), "250 0.0.0 [\xff\xfe]" },
    { SPAN_INIT("250 a\rb\r\n"), "250 0.0.0 [a\rb]" },
    { SPAN_INIT("25"), "..." },
    { SPAN_INIT("250 ok"), "..." },
    { SPAN_INIT("250 ok\r"), "..." },
    { SPAN_INIT("250-ok\r\n"), "..." },
    { SPAN_INIT(""), "..." },
    { SPAN_INIT("250\n"), "broken [reply line not ended by CRLF: 250]" },
    { SPAN_INIT("\n"), "broken [reply line not ended by CRLF]" },
    { SPAN_INIT("\r\n"), "broken [not a reply]" },
    { SPAN_INIT("bogus\r\n"), "broken [not a reply: bogus]" },
    { SPAN_INIT("22\r\n"), "broken [not a reply: 22]" },
    { SPAN_INIT("2200 x\r\n"), "broken [not a reply: 2200 x]" },
    { SPAN_INIT("\0" "220 x\r\n"), "broken [not a reply: \\x00220 x]" },
    { SPAN_INIT("199 x\r\n"), "broken [not a reply: 199 x]" },
    { SPAN_INIT("600 x\r\n"), "broken [not a reply: 600 x]" },
    { SPAN_INIT("999 x\r\n"), "broken [not a reply: 999 x]" },
    { SPAN_INIT("25O x\r\n"), "broken [not a reply: 25O x]" },
    { SPAN_INIT("250_x\r\n"), "broken [not a reply: 250_x]" },
    { SPAN_INIT("250-a\r\n500 b\r\n"), "broken [reply of two minds: 500 b]" },
    { SPAN_INIT("250-a\r\nb\r\n"), "broken [not a reply: b]" },
    { SPAN_INIT("553-\r\n553\ntype: mda\r\n"),
      "broken [reply line not ended by CRLF: 553]" },
    { SPAN_INIT("250 a\r\nbogus\r\n"), "250 0.0.0 [a]broken [not a reply: bogus]" },
};
/* clang-format on */

/* Feeds pieces of n bytes and writes down what is said. */
static void read_in_pieces(struct span bytes, size_t n, struct buffer *out)
{
    struct answer a = { 0 };
    enum answer_said said = ANSWER_MORE;
    bool any = false;

    while (bytes.len && said != ANSWER_BROKEN) {
        char *copy = span_dup(span_first(bytes, n));
        struct span in = span_first(span_make(copy, n), bytes.len);
        struct reply r;

        bytes = span_skip(bytes, in.len);
        while (in.len && (said = answer_read(&a, &in, &r)) != ANSWER_MORE) {
            any = true;
            if (said == ANSWER_BROKEN) {
                buffer_put_string(out, "broken");
            } else {
                buffer_printf(out, "%d ", r.code);
                status_print(out, r.status);
            }
            buffer_put_string(out, " [");
            for (size_t i = 0; i < r.text.len; i++)
                buffer_put_byte(out, r.text.at[i] == '\n' ? '|' : r.text.at[i]);
            buffer_put_string(out, "]");
            if (said == ANSWER_BROKEN)
                break;
        }
        free(copy);
    }
    if (!any)
        buffer_put_string(out, "...");
    answer_fini(&a);
}

static void a_reply_is_the_same_however_it_was_cut(void **state)
{
    (void)state;
    for (size_t i = 0; i < SIZE_OF(rows); i++)
        for (size_t n = 1; n <= rows[i].bytes.len + 1; n++) {
            struct buffer b = { 0 };

            read_in_pieces(rows[i].bytes, n, &b);
            if (strcmp(buffer_string(&b), rows[i].said) != 0)
                print_error("row %zu in pieces of %zu\n", i, n);
            assert_string_equal(buffer_string(&b), rows[i].said);
            buffer_fini(&b);
        }
}

static void a_reply_has_at_most_512_lines(void **state)
{
    (void)state;
    for (size_t lines = 511; lines <= 513; lines++) {
        struct buffer bytes = { 0 }, whole = { 0 }, cut = { 0 };
        bool is_broken = lines > 512;

        for (size_t i = 1; i < lines; i++)
            buffer_put_string(&bytes, "250-x\r\n");
        buffer_put_string(&bytes, "250 x\r\n");
        read_in_pieces(buffer_span(&bytes), bytes.len, &whole);
        read_in_pieces(buffer_span(&bytes), 5, &cut);
        assert_string_equal(buffer_string(&whole), buffer_string(&cut));
        assert_int_equal(
            strcmp(buffer_string(&whole), "broken [reply without an end]") == 0,
            is_broken);
        buffer_fini(&bytes);
        buffer_fini(&whole);
        buffer_fini(&cut);
    }
}

static void a_reply_has_at_most_64_kilobytes(void **state)
{
    (void)state;
    for (size_t size = LIMIT_REPLY_BYTES - 1; size <= LIMIT_REPLY_BYTES + 1;
         size++)
        for (size_t n = 999; n < 100000; n += 99000) {
            struct buffer bytes = { 0 }, said = { 0 };

            buffer_put_string(&bytes, "250-a\r\n250 ");
            while (bytes.len < size - 2)
                buffer_put_byte(&bytes, 'x');
            buffer_put_string(&bytes, "\r\n");
            read_in_pieces(buffer_span(&bytes), n, &said);
            assert_int_equal(strcmp(buffer_string(&said),
                                    "broken [reply without an end]") == 0,
                             size > LIMIT_REPLY_BYTES);
            buffer_fini(&bytes);
            buffer_fini(&said);
        }
}

static void an_unfinished_reply_waits_for_its_end(void **state)
{
    struct answer a = { 0 };
    struct span in = SPAN("250-a\r\n");
    struct reply r;

    (void)state;
    assert_int_equal(answer_read(&a, &in, &r), ANSWER_MORE);
    in = SPAN("250 b\r\n25");
    assert_int_equal(answer_read(&a, &in, &r), ANSWER_REPLY);
    assert_int_equal(in.len, 2);
    assert_int_equal(answer_read(&a, &in, &r), ANSWER_MORE);
    answer_fini(&a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_reply_is_the_same_however_it_was_cut),
        cmocka_unit_test(a_reply_has_at_most_512_lines),
        cmocka_unit_test(a_reply_has_at_most_64_kilobytes),
        cmocka_unit_test(an_unfinished_reply_waits_for_its_end),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
