/*
 * test_command - command lines taken apart.
 */
#include "relay/inbound/command.h"

#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

static void a_line_becomes_a_verb_and_its_argument(void **state)
{
    static const struct {
        struct span line;
        enum command_kind kind;
        const char *verb, *argument;
    } rows[] = {
        { SPAN_INIT("NOOP"), COMMAND_VERB, "NOOP", "" },
        { SPAN_INIT("qUiT  "), COMMAND_VERB, "qUiT", "" },
        { SPAN_INIT("EHLO a"), COMMAND_VERB, "EHLO", "a" },
        { SPAN_INIT("EHLO \t a b  "), COMMAND_VERB, "EHLO", "a b" },
        { SPAN_INIT("MAIL FROM: <a@b>"), COMMAND_VERB, "MAIL", "FROM: <a@b>" },
        { SPAN_INIT("\x80\x81"), COMMAND_VERB, "\x80\x81", "" },
        { SPAN_INIT(""), COMMAND_GARBAGE, NULL, NULL },
        { SPAN_INIT("   "), COMMAND_GARBAGE, NULL, NULL },
        { SPAN_INIT(" EHLO a"), COMMAND_GARBAGE, NULL, NULL },
        { SPAN_INIT("\tEHLO a"), COMMAND_GARBAGE, NULL, NULL },
        { SPAN_INIT("NOOP\0QUIT"), COMMAND_CONTROL, NULL, NULL },
        { SPAN_INIT("EHLO a\0b"), COMMAND_CONTROL, NULL, NULL },
        { SPAN_INIT("MAIL FROM:<a\rX: 1@b>"), COMMAND_CONTROL, NULL, NULL },
        { SPAN_INIT("EHLO \x1b[2J"), COMMAND_CONTROL, NULL, NULL },
        { SPAN_INIT("NOOP \x7f"), COMMAND_CONTROL, NULL, NULL },
        { SPAN_INIT("Received: x"), COMMAND_HEADER, NULL, NULL },
        { SPAN_INIT("X-Foo:y"), COMMAND_HEADER, NULL, NULL },
    };

    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct command c = { 0 };

        assert_int_equal(command_split(rows[i].line, &c), rows[i].kind);
        if (rows[i].kind != COMMAND_VERB)
            continue;
        assert_true(span_is(c.verb, span_of(rows[i].verb)));
        assert_true(span_is(c.argument, span_of(rows[i].argument)));
    }
}

static void a_path_stands_behind_its_keyword_in_any_case(void **state)
{
    struct span path;

    (void)state;
    assert_true(command_path(SPAN("from:<a@b>"), SPAN("FROM:"), &path));
    assert_true(span_is(path, SPAN("<a@b>")));
    assert_false(command_path(SPAN("FROM <a@b>"), SPAN("FROM:"), &path));
    assert_false(command_path(SPAN("TO:<a@b>"), SPAN("FROM:"), &path));
    assert_false(command_path(SPAN(""), SPAN("FROM:"), &path));
}

static void a_client_name_is_one_visible_word(void **state)
{
    static const struct span good[] = {
        SPAN_INIT("a"),        SPAN_INIT("relay.example.org"),
        SPAN_INIT("my_pc"),    SPAN_INIT("[192.0.2.1]"),
        SPAN_INIT("<script>"),
    };
    static const struct span bad[] = {
        SPAN_INIT(""),         SPAN_INIT("a b"),   SPAN_INIT("a\tb"),
        SPAN_INIT("\xc3\xbc"), SPAN_INIT("a\x7f"),
    };

    (void)state;
    for (size_t i = 0; i < COUNT(good); i++)
        assert_true(command_is_client_name(good[i]));
    for (size_t i = 0; i < COUNT(bad); i++)
        assert_false(command_is_client_name(bad[i]));
}

static void mail_parameters_are_read_or_refused(void **state)
{
    enum { OK = PARAMETER_OK, BAD = PARAMETER_SYNTAX, NO = PARAMETER_UNKNOWN };
    static const struct {
        const char *rest;
        int extended, in_helo;
        uint64_t size;
    } rows[] = {
        { "", OK, OK, 0 },
        { "   ", OK, OK, 0 },
        { " SIZE=0", OK, NO, 0 },
        { " size=1000  body=8bitmime", OK, NO, 1000 },
        { " SIZE=18446744073709551615", OK, NO, UINT64_MAX },
        { " SIZE=18446744073709551616", BAD, NO, 0 },
        { " SIZE=000000000000000000001", BAD, NO, 0 },
        { " SIZE=-1", BAD, NO, 0 },
        { " SIZE=", BAD, BAD, 0 },
        { " SIZE", BAD, NO, 0 },
        { " SIZE=1e9", BAD, NO, 0 },
        { " SIZE=0x10", BAD, NO, 0 },
        { " SIZE=1 SIZE=2", BAD, NO, 0 },
        { " BODY=7BIT BODY=7BIT", BAD, NO, 0 },
        { " BODY=", BAD, BAD, 0 },
        { " BODY=9BIT", BAD, NO, 0 },
        { " BODY=BINARYMIME", NO, NO, 0 },
        { " SMTPUTF8", OK, NO, 0 },
        { " SMTPUTF8=1", BAD, NO, 0 },
        { " SMTPUTF8 SMTPUTF8", BAD, NO, 0 },
        { " FOO=BAR", NO, NO, 0 },
        { " FOO=", BAD, BAD, 0 },
        { " =X", BAD, BAD, 0 },
        { " -X=1", BAD, BAD, 0 },
        { " FOO=a=b", BAD, BAD, 0 },
        { " FOO=\xc3\xbc", BAD, BAD, 0 },
        { " x y", BAD, BAD, 0 },
        { " <c@d>", BAD, BAD, 0 },
        { ",<c@d>", BAD, BAD, 0 },
        { "x", BAD, BAD, 0 },
        { ">", BAD, BAD, 0 },
        { "\tSIZE=1", BAD, BAD, 0 },
        { " AUTH=<>", NO, NO, 0 },
        { " RET=FULL", NO, NO, 0 },
        { " ENVID=x", NO, NO, 0 },
        { " REQUIRETLS", NO, NO, 0 },
    };

    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct mail_parameters p = { 0 };
        struct span rest = span_of(rows[i].rest);

        assert_int_equal(command_mail_parameters(rest, true, &p),
                         rows[i].extended);
        assert_int_equal(p.size, rows[i].size);
        p = (struct mail_parameters){ 0 };
        assert_int_equal(command_mail_parameters(rest, false, &p),
                         rows[i].in_helo);
        assert_int_equal(p.size, 0);
    }
}

static void rcpt_takes_no_parameters_yet(void **state)
{
    (void)state;
    assert_int_equal(command_rcpt_parameters(SPAN("")), PARAMETER_OK);
    assert_int_equal(command_rcpt_parameters(SPAN("  ")), PARAMETER_OK);
    assert_int_equal(command_rcpt_parameters(SPAN(" NOTIFY=NEVER")),
                     PARAMETER_UNKNOWN);
    assert_int_equal(command_rcpt_parameters(SPAN(" SIZE=1")),
                     PARAMETER_UNKNOWN);
    assert_int_equal(command_rcpt_parameters(SPAN(" x y")), PARAMETER_SYNTAX);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_line_becomes_a_verb_and_its_argument),
        cmocka_unit_test(a_path_stands_behind_its_keyword_in_any_case),
        cmocka_unit_test(a_client_name_is_one_visible_word),
        cmocka_unit_test(mail_parameters_are_read_or_refused),
        cmocka_unit_test(rcpt_takes_no_parameters_yet),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
