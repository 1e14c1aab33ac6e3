/*
 * Replies: read as people write them, written as SMTP has them.
 */
#include "policy/vocabulary/reply.h"

#include <stdarg.h>
#include <setjmp.h>
#include <cmocka.h>

static void a_reply_is_read_as_a_person_writes_it(void **state)
{
    static const struct {
        const char *in, *out; /* out NULL: it is none */
    } rows[] = {
        { "554 5.7.1 Not here", "554 5.7.1 Not here" },
        { "450 Later", "450 4.0.0 Later" },
        { "550", "550 5.0.0" },
        { "550  5.1.1   no  such", "550 5.1.1 no  such" },
        { "550 5.7.1.9 is listed", "550 5.0.0 5.7.1.9 is listed" },
        { "554 4.7.1 x", NULL },
        { "250 2.0.0 Ok", NULL },
        { "600 x", NULL },
        { "55 x", NULL },
        { "5544 x", NULL },
        { "554-5.7.1 x", NULL },
        { "", NULL },
        { "no", NULL },
    };
    struct buffer b = { 0 };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct reply r;

        buffer_clear(&b);
        if (reply_parse(span_of(rows[i].in), &r) != (rows[i].out != NULL))
            fail_msg("%s", rows[i].in);
        if (!rows[i].out)
            continue;
        reply_print(&b, &r);
        assert_string_equal(buffer_string(&b), rows[i].out);
    }
    buffer_fini(&b);
}

static void a_status_has_three_short_numbers(void **state)
{
    static const struct {
        const char *in;
        size_t length;
    } rows[] = {
        { "5.7.1", 5 },    { "5.7.1 x", 5 }, { "4.123.456-x", 9 },
        { "2.0.0", 5 },    { "3.0.0", 0 },   { "5.7", 0 },
        { "5.7.", 0 },     { "5..1x", 0 },   { "5.7.1234", 0 },
        { "5.1234.1", 0 }, { "5.7.1.2", 0 }, { "", 0 },
        { "57.1.1", 0 },   { "5.7.x", 0 },   { "5.777777", 0 },
    };
    struct status s = { 0 };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        if (status_parse(span_of(rows[i].in), &s) != rows[i].length)
            fail_msg("%s", rows[i].in);
    assert_int_equal(status_parse(SPAN("4.123.456"), &s), 9);
    assert_int_equal(s.class, 4);
    assert_int_equal(s.subject, 123);
    assert_int_equal(s.detail, 456);
}

static void lines_of_a_reply_all_carry_the_codes(void **state)
{
    static const struct {
        struct reply reply;
        const char *wire, *line;
    } rows[] = {
        { REPLY(250, 2, 0, 0, "Ok"), "250 2.0.0 Ok\r\n", "250 2.0.0 Ok" },
        { REPLY(554, 5, 7, 1, "a\nb\n"),
          "554-5.7.1 a\r\n554-5.7.1 b\r\n554 5.7.1\r\n", "554 5.7.1 a / b / " },
        { REPLY(220, 0, 0, 0, "mx ESMTP"), "220 mx ESMTP\r\n", "220 mx ESMTP" },
        { REPLY(250, 0, 0, 0, ""), "250 \r\n", "250 " },
        { REPLY(550, 5, 0, 0, "a\rb"), "550 5.0.0 a b\r\n", "550 5.0.0 a b" },
    };
    struct buffer b = { 0 };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        buffer_clear(&b);
        reply_write(&b, &rows[i].reply);
        assert_string_equal(buffer_string(&b), rows[i].wire);
        buffer_clear(&b);
        reply_print(&b, &rows[i].reply);
        assert_string_equal(buffer_string(&b), rows[i].line);
    }
    buffer_fini(&b);
}

static void classes_are_told_apart(void **state)
{
    struct reply ok = REPLY(250, 2, 0, 0, ""), later = REPLY(451, 4, 0, 0, ""),
                 no = REPLY(554, 5, 0, 0, "");

    (void)state;
    assert_true(reply_is_positive(&ok) && !reply_is_transient(&ok) &&
                !reply_is_permanent(&ok));
    assert_true(reply_is_transient(&later) && !reply_is_positive(&later));
    assert_true(reply_is_permanent(&no) && !reply_is_transient(&no));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_reply_is_read_as_a_person_writes_it),
        cmocka_unit_test(a_status_has_three_short_numbers),
        cmocka_unit_test(lines_of_a_reply_all_carry_the_codes),
        cmocka_unit_test(classes_are_told_apart),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
