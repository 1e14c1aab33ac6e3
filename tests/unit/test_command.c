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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_line_becomes_a_verb_and_its_argument),
        cmocka_unit_test(a_path_stands_behind_its_keyword_in_any_case),
        cmocka_unit_test(a_client_name_is_one_visible_word),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
