/*
 * missive - input, recipients and header of a message that a program submits.
 */
#include "relay/main/missive.h"

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

static int file_of(struct span text)
{
    int fd = memfd_create("input", MFD_CLOEXEC);

    assert_true(fd >= 0);
    assert_int_equal(write(fd, text.at, text.len), (ssize_t)text.len);
    assert_int_equal(lseek(fd, 0, SEEK_SET), 0);
    return fd;
}

static void read_text(struct missive *m, struct span text, bool dot_ends)
{
    int fd = file_of(text);

    missive_init(m);
    assert_int_equal(missive_read(m, fd, dot_ends, 100000), 0);
    (void)close(fd);
}

static void lines_end_with_crlf_whatever_they_ended_with(void **state)
{
    static const struct {
        struct span in;
        bool dot_ends;
        const char *out;
    } rows[] = {
        { SPAN_INIT("a\nb\r\nc\rd\r\r\ne"), false,
          "a\r\nb\r\nc\r\nd\r\ne\r\n" },
        { SPAN_INIT("a\n.\nb\n"), true, "a\r\n" },
        { SPAN_INIT("a\r\n.\r\nb\n"), true, "a\r\n" },
        { SPAN_INIT("a\n.\nb\n"), false, "a\r\n.\r\nb\r\n" },
        { SPAN_INIT("a\n..\n.b\n"), true, "a\r\n..\r\n.b\r\n" },
        { SPAN_INIT("."), true, "" },
        { SPAN_INIT(""), false, "" },
        { SPAN_INIT("a\r"), false, "a\r\n" },
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct missive m;

        read_text(&m, rows[i].in, rows[i].dot_ends);
        assert_string_equal(buffer_string(&m.content), rows[i].out);
        missive_fini(&m);
    }
}

static void zeros_are_bytes_and_too_much_is_said(void **state)
{
    struct missive m;
    int fd;

    (void)state;
    read_text(&m, SPAN("a\0b\n"), false);
    assert_int_equal(m.content.len, 5);
    missive_fini(&m);
    fd = file_of(SPAN("0123456789"));
    assert_int_equal(missive_read(&m, fd, false, 5), ERROR_TOO_BIG);
    (void)close(fd);
    missive_fini(&m);
}

static void show_recipients(const struct missive *m, struct buffer *b)
{
    for (size_t i = 0; i < m->count; i++) {
        buffer_put(b, m->recipients[i].path);
        buffer_put(b, m->recipients[i].parameters);
    }
}

static void recipients_are_gathered_from_the_header(void **state)
{
    static const struct {
        const char *header, *to; /* NULL: it cannot be read */
    } rows[] = {
        { "To: ann, Bob <bob@example.org>\nCc: ann\nBcc: carl@example.org\n\n",
          "<ann><bob@example.org><carl@example.org>" },
        { "To: ann\nResent-To: dora\nResent-Bcc: eve\n\n", "<dora><eve>" },
        { "to: team: ann@a.example,\n bob@b.example;\nX-To: no\n\nTo: no\n",
          "<ann@a.example><bob@b.example>" },
        { "To: \"a b\"@example.org\n\n", "<\"a b\"@example.org>" },
        { "Subject: x\n\nTo: ann\n", "" },
        { "To: \"open\n\n", NULL },
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct buffer b = { 0 };
        struct missive m;
        bool ok;

        read_text(&m, span_of(rows[i].header), false);
        ok = missive_gather(&m, SPAN(""));
        assert_int_equal(ok, rows[i].to != NULL);
        show_recipients(&m, &b);
        if (ok)
            assert_string_equal(buffer_string(&b), rows[i].to);
        buffer_fini(&b);
        missive_fini(&m);
    }
}

static void nothing_that_ends_a_command_is_an_address(void **state)
{
    static const char *const bad[] = { "a\r\nDATA", "a> b", "\"a", "a\x01" };
    struct missive m;

    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct buffer b = { 0 };

        missive_init(&m);
        (void)missive_add(&m, span_of(bad[i]), SPAN(""));
        show_recipients(&m, &b);
        assert_null(strpbrk(buffer_string(&b), "\r\n\x01"));
        assert_null(strstr(buffer_string(&b), "> b"));
        buffer_fini(&b);
        missive_fini(&m);
    }
    missive_init(&m);
    assert_true(missive_set_sender(&m, SPAN("Joe <joe@example.org>")));
    assert_true(span_is(m.sender, SPAN("<joe@example.org>")));
    assert_true(missive_set_sender(&m, SPAN("")));
    assert_true(span_is(m.sender, SPAN("<>")));
    assert_false(missive_set_sender(&m, SPAN("a, b")));
    missive_fini(&m);
}

static void the_header_is_finished(void **state)
{
    static const struct {
        const char *in, *name, *out;
    } rows[] = {
        { "Date: x\nBcc: a\nSubject: y\nBCC: b,\n c\n\nbody\n", "Joe",
          "Date: x\r\nSubject: y\r\nFrom: Joe <joe>\r\n\r\nbody\r\n" },
        { "Date: x\nFrom: me\n\nbody\n", "Joe",
          "Date: x\r\nFrom: me\r\n\r\nbody\r\n" },
        { "From joe Mon Jan  1\nDate: x\n\nb\n", "",
          "Date: x\r\nFrom: joe\r\n\r\nb\r\n" },
        { "Date: x\nno field\n", "J. \"X\" Doe",
          "Date: x\r\nFrom: \"J. \\\"X\\\" Doe\" <joe>\r\n\r\nno field\r\n" },
        { "Date: x\n", "J\xc3\xb6rg",
          "Date: x\r\nFrom: =?utf-8?q?J=C3=B6rg?= <joe>\r\n\r\n" },
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct missive m;

        read_text(&m, span_of(rows[i].in), false);
        assert_true(missive_set_sender(&m, SPAN("joe")));
        missive_finish(&m, span_of(rows[i].name));
        assert_string_equal(buffer_string(&m.content), rows[i].out);
        missive_fini(&m);
    }
}

static void a_file_holds_all_of_it(void **state)
{
    struct buffer file = { 0 }, shown = { 0 };
    struct missive m, copy;

    (void)state;
    read_text(&m, SPAN("Subject: x\n\n.\n"), false);
    assert_true(missive_set_sender(&m, SPAN("joe@example.org")));
    m.parameters = SPAN(" BODY=8BITMIME");
    assert_true(
        missive_add(&m, SPAN("ann, \"b c\"@d.example"), SPAN(" NOTIFY=NEVER")));
    m.recipients[0].fate = MISSIVE_SENT;
    missive_put_file(&m, &file);
    missive_init(&copy);
    assert_true(missive_read_file(&copy, buffer_span(&file)));
    assert_true(span_is(copy.sender, m.sender));
    assert_true(span_is(copy.parameters, m.parameters));
    show_recipients(&copy, &shown);
    assert_string_equal(buffer_string(&shown),
                        "<\"b c\"@d.example> NOTIFY=NEVER");
    assert_true(span_is(buffer_span(&copy.content), buffer_span(&m.content)));
    buffer_fini(&shown);
    buffer_fini(&file);
    missive_fini(&m);
    missive_fini(&copy);
}

static void content_of_a_file_ends_with_a_line_end(void **state)
{
    struct missive m;

    (void)state;
    missive_init(&m);
    assert_true(missive_read_file(
        &m, SPAN("waypost-drop 1\nMAIL FROM:<a>\nRCPT TO:<b>\n\nx\r.\ny")));
    assert_string_equal(buffer_string(&m.content), "x\r\n.\r\ny\r\n");
    missive_fini(&m);
}

static void what_is_no_such_file_is_refused(void **state)
{
    static const char *const bad[] = {
        "",
        "waypost-drop 1\n",
        "waypost-drop 2\nMAIL FROM:<a>\nRCPT TO:<b>\n\nx",
        "waypost-drop 1\nMAIL FROM:<a>\n\nx",
        "waypost-drop 1\nMAIL FROM:<a\nRCPT TO:<b>\n\nx",
        "waypost-drop 1\nMAIL FROM:<a>x\nRCPT TO:<b>\n\nx",
        "waypost-drop 1\nMAIL FROM:<a>\nRCPT TO:<b>\nDATA\n\nx",
        "waypost-drop 1\nMAIL FROM:<a>\nRCPT TO:<b>\rDATA\n\nx",
        "waypost-drop 1\nVRFY a\nRCPT TO:<b>\n\nx",
    };

    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct missive m;

        missive_init(&m);
        assert_false(missive_read_file(&m, span_of(bad[i])));
        missive_fini(&m);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lines_end_with_crlf_whatever_they_ended_with),
        cmocka_unit_test(zeros_are_bytes_and_too_much_is_said),
        cmocka_unit_test(recipients_are_gathered_from_the_header),
        cmocka_unit_test(nothing_that_ends_a_command_is_an_address),
        cmocka_unit_test(the_header_is_finished),
        cmocka_unit_test(a_file_holds_all_of_it),
        cmocka_unit_test(content_of_a_file_ends_with_a_line_end),
        cmocka_unit_test(what_is_no_such_file_is_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
