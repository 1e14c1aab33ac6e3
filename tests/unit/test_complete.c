/*
 * test_complete - what machines leave out of the mail they submit.
 */
#include "relay/inbound/complete.h"

#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

static const struct completion facts = {
    .origin = SPAN_INIT("o.test"),
    .hostname = SPAN_INIT("mx.o.test"),
    .sender = SPAN_INIT("s@b.test"),
    .login = SPAN_INIT("joe"),
    .id = 1,
    .has_body = true,
};

#define WHOLE "Date: x\r\nMessage-ID: <y@z>\r\nFrom: a@b.test\r\n"
#define DATE  "Date: Thu, 1 Jan 1970 00:00:00 +0000\r\n"
#define ID    "Message-ID: <0000000000001.0@mx.o.test>\r\n"
#define FROM  "From: s@b.test\r\n"

static void what_is_missing_is_put_and_nothing_else_touched(void **state)
{
    static const struct {
        const char *header, *wanted, *id;
    } rows[] = {
        { WHOLE "\r\n", WHOLE "\r\n", "" },
        { "dAtE :x\r\nMESSAGE-ID:\r\n <y@z>\r\nFROM\t: a@b\r\n\r\n",
          "dAtE :x\r\nMESSAGE-ID:\r\n <y@z>\r\nFROM\t: a@b\r\n\r\n", "" },
        { "Subject:  x \t\r\n\r\n", "Subject:  x \t\r\n" DATE ID FROM "\r\n",
          "<0000000000001.0@mx.o.test>" },
        { "\r\n", DATE ID FROM "\r\n", "<0000000000001.0@mx.o.test>" },
        { "", DATE ID FROM "\r\n", "<0000000000001.0@mx.o.test>" },
        { "Date: x\r\nFrom: a@b\r\n\r\n", "Date: x\r\nFrom: a@b\r\n" ID "\r\n",
          "<0000000000001.0@mx.o.test>" },
        { WHOLE, WHOLE "\r\n", "" },
        { WHOLE "To: joe, Ann <ann>,\r\n x@y.test (cc)\r\nSubject: joe\r\n\r\n",
          WHOLE "To: joe@o.test, Ann <ann@o.test>,\r\n x@y.test (cc)\r\n"
                "Subject: joe\r\n\r\n",
          "" },
        { WHOLE "cc: g: joe;\r\nBCC:ann\r\nReply-To: =?x?q?y?=\r\n\r\n",
          WHOLE "cc: g: joe@o.test;\r\nBCC:ann@o.test\r\n"
                "Reply-To: =?x?q?y?=\r\n\r\n",
          "" },
        { WHOLE "To: joe, \"\r\nSender: \"a b\"\r\n\r\n",
          WHOLE "To: joe, \"\r\nSender: \"a b\"@o.test\r\n\r\n", "" },
        { WHOLE "X-To: joe\r\nResent-To: joe\r\n\r\n",
          WHOLE "X-To: joe\r\nResent-To: joe\r\n\r\n", "" },
        { "Date: x\nMessage-ID: <y@z>\nFrom: joe\n\n",
          "Date: x\nMessage-ID: <y@z>\nFrom: joe@o.test\n\n", "" },
    };

    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct buffer b = { 0 };
        struct span id;

        buffer_put_string(&b, "Trace: x\r\n");
        complete_header(span_of(rows[i].header), &facts, &b, &id);
        assert_true(span_is(id, span_of(rows[i].id)));
        buffer_drop(&b, 10);
        assert_string_equal(buffer_string(&b), rows[i].wanted);
        buffer_fini(&b);
    }
}

static void an_author_is_found(void **state)
{
    static const struct {
        const char *sender, *login, *wanted;
    } rows[] = {
        { "s@b.test", "joe", "s@b.test" },
        { "", "joe", "joe@o.test" },
        { "", "joe@c.test", "joe@c.test" },
        { "", "joe user", "MAILER-DAEMON@mx.o.test" },
        { "", "", "MAILER-DAEMON@mx.o.test" },
    };

    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct completion c = facts;
        struct buffer b = { 0 }, wanted = { 0 };
        struct span id;

        c.sender = span_of(rows[i].sender);
        c.login = span_of(rows[i].login);
        c.has_body = false;
        complete_header(SPAN("Date: x\r\nMessage-ID: y"), &c, &b, &id);
        buffer_printf(&wanted, "Date: x\r\nMessage-ID: y\r\nFrom: %s\r\n",
                      rows[i].wanted);
        assert_string_equal(buffer_string(&b), buffer_string(&wanted));
        buffer_fini(&b);
        buffer_fini(&wanted);
    }
}

static void a_bare_path_gets_its_domain(void **state)
{
    static const struct {
        const char *path, *wanted; /* NULL: left alone */
    } rows[] = {
        { "<joe>", "<joe@o.test>" },
        { "  <joe> SIZE=1", "<joe@o.test> SIZE=1" },
        { "<\"a>b@c\"> X", "<\"a>b@c\"@o.test> X" },
        { "<joe@b.test>", NULL },
        { "<@a:joe>", NULL },
        { "<>", NULL },
        { "<joe", NULL },
        { "<\"joe", NULL },
        { "<\"joe\\", NULL },
        { "<joe user>", NULL },
        { "joe", NULL },
        { "", NULL },
    };

    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct buffer b = { 0 };

        assert_int_equal(
            complete_path(span_of(rows[i].path), SPAN("o.test"), &b),
            rows[i].wanted != NULL);
        if (rows[i].wanted)
            assert_string_equal(buffer_string(&b), rows[i].wanted);
        buffer_fini(&b);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_missing_is_put_and_nothing_else_touched),
        cmocka_unit_test(an_author_is_found),
        cmocka_unit_test(a_bare_path_gets_its_domain),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
