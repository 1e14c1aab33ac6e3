/*
 * test_report - what is in a delivery report, and what must never be.
 */
#include "policy/vocabulary/utf8.h"
#include "relay/outbound/mimetext.h"
#include "relay/net/date.h"
#include "relay/outbound/report.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#define SIZE_OF(array) (sizeof(array) / sizeof((array)[0]))

#define MESSAGE "Subject: hi\r\nFrom: s@x\r\n\r\nbody\r\n"
enum { MESSAGE_HEADER = sizeof "Subject: hi\r\nFrom: s@x\r\n\r\n" - 1 };

#define RECEIVED_MS 1700000000000
#define RECEIVED    "Tue, 14 Nov 2023 22:13:20 +0000"

/* clang-format off */
#define ENVELOPE .sender = SPAN_INIT("s@x"), .received_ms = RECEIVED_MS, \
                 .header_bytes = MESSAGE_HEADER, .message_id = SPAN_INIT("<1@x>")
static const struct envelope plain = { ENVELOPE };
static const struct envelope headers_only = { ENVELOPE, .ret = SPAN_INIT("HDRS") };
static const struct envelope with_id = { ENVELOPE, .envid = SPAN_INIT("QQ 1\r\nX: y") };
static const struct envelope utf8 = { .sender = SPAN_INIT("\xc3\xa4@x"),
    .received_ms = RECEIVED_MS, .smtputf8 = true, .header_bytes = MESSAGE_HEADER };
static const struct envelope utf8_of_ascii = { ENVELOPE, .smtputf8 = true };
static const struct envelope binary = { ENVELOPE, .body = BODY_BINARYMIME };
static const struct envelope with_plain_id = { ENVELOPE, .envid = SPAN_INIT("a+b=c d") };
static const struct envelope in_time = { ENVELOPE, .deliver_by_ms = RECEIVED_MS + 1000 };
static const struct envelope from_nobody = { .received_ms = RECEIVED_MS,
    .header_bytes = MESSAGE_HEADER };
static const struct envelope bad_id = { .sender = SPAN_INIT("s@x"),
    .message_id = SPAN_INIT("<1@x>\r\nBcc: <victim@y>"), .received_ms = RECEIVED_MS };

static const struct report_recipient failed[] = {
    { .address = SPAN_INIT("a@b"), .orcpt = SPAN_INIT("rfc822;A@b"),
      .action = REPORT_ACTION_FAILED, .status = { 5, 1, 1 }, .is_remote = true,
      .reply = SPAN_INIT("550 5.1.1 no such user (in reply to RCPT TO command)"),
      .host = SPAN_INIT("mx.b[192.0.2.1]:25"), .attempt_ms = RECEIVED_MS + 1000 },
    { .address = SPAN_INIT("c@b"), .action = REPORT_ACTION_FAILED,
      .status = { 4, 4, 7 }, .orcpt = SPAN_INIT("C@b"),
      .reply = SPAN_INIT("message expired: lost connection with peer") },
};
static const struct report_recipient delayed[] = {
    { .address = SPAN_INIT("a@b"), .action = REPORT_ACTION_DELAYED,
      .status = { 4, 2, 1 }, .is_remote = true, .reply = SPAN_INIT("450 4.2.1 wait"),
      .host = SPAN_INIT("mx.b[192.0.2.1]:25"), .until_ms = RECEIVED_MS + 2000 },
};
static const struct report_recipient by_address[] = {
    { .address = SPAN_INIT("a@b"), .action = REPORT_ACTION_FAILED, .is_remote = true,
      .status = { 5, 1, 1 }, .host = SPAN_INIT("192.0.2.1[192.0.2.1]:25") },
    { .address = SPAN_INIT("c@b"), .action = REPORT_ACTION_FAILED, .is_remote = true,
      .status = { 5, 1, 1 }, .host = SPAN_INIT("2001:db8::1[2001:db8::1]:25") },
};
static const struct report_recipient relayed[] = {
    { .address = SPAN_INIT("a@b"), .action = REPORT_ACTION_RELAYED,
      .status = { 2, 0, 0 }, .is_remote = true, .reply = SPAN_INIT("250 2.0.0 ok"),
      .host = SPAN_INIT("mx.b[192.0.2.1]:25") },
};
static const struct report_recipient international[] = {
    { .address = SPAN_INIT("\xc3\xb6@b"), .action = REPORT_ACTION_FAILED,
      .orcpt = SPAN_INIT("utf-8;\xc3\xa4+x@b"),
      .status = { 5, 6, 7 }, .reply = SPAN_INIT("SMTPUTF8 is required \xc3\xbc") },
};
static const struct report_recipient hostile[] = {
    { .address = SPAN_INIT("a@b\r\nEvil: 1"), .orcpt = SPAN_INIT("x;y\nEvil: 2"),
      .action = REPORT_ACTION_FAILED, .status = { 5, 0, 0 }, .is_remote = true,
      .reply = SPAN_INIT("550 \x1b[31m\xc3\xa4\xff\r\nEvil: 3\r\n\r\n--x"),
      .host = SPAN_INIT("mx\r\nEvil: 4[192.0.2.1]:25") },
};

static const struct report_case {
    const char *name;
    struct report report;
    const char *has[20], *lacks[8];
} cases[] = {
    { "two failures in one report",
      { .kind = REPORT_FAILED, .envelope = &plain, .recipients = failed, .count = 2,
        .content = SPAN_INIT(MESSAGE), .content_is_whole = true },
      { "Date: " RECEIVED "\r\nFrom: Mail Delivery System <MAILER-DAEMON@relay.us>\r\n"
        "To: <s@x>\r\nSubject: Undelivered Mail Returned to Sender\r\n"
        "Message-ID: <000000000000G@relay.us>\r\n",
        "In-Reply-To: <1@x>\r\n", "Auto-Submitted: auto-replied\r\n",
        "Precedence: bulk\r\n", "MIME-Version: 1.0\r\n",
        "Content-Type: multipart/report; report-type=delivery-status;\r\n"
        "    boundary=\"=_000000000000G.0\"\r\n\r\n",
        "Content-Type: text/plain; charset=us-ascii\r\n",
        "<a@b>:\r\n    the host mx.b[192.0.2.1]:25 said:\r\n"
        "    550 5.1.1 no such user (in reply to RCPT TO command)\r\n",
        "no such mailbox", "<c@b>:\r\n    message expired: lost connection with peer\r\n",
        "Content-Type: message/delivery-status\r\n\r\nReporting-MTA: dns; relay.us\r\n"
        "X-Waypost-Queue-ID: 000000000000H\r\nX-Waypost-Sender: rfc822; s@x\r\n"
        "Arrival-Date: " RECEIVED "\r\n\r\n"
        "Final-Recipient: rfc822; a@b\r\nOriginal-Recipient: rfc822;A@b\r\n"
        "Action: failed\r\nStatus: 5.1.1\r\nRemote-MTA: dns; mx.b\r\n"
        "Diagnostic-Code: smtp; 550 5.1.1 no such user\r\n"
        "Last-Attempt-Date: Tue, 14 Nov 2023 22:13:21 +0000\r\n\r\n"
        "Final-Recipient: rfc822; c@b\r\nOriginal-Recipient: rfc822;C@b\r\n"
        "Action: failed\r\nStatus: 4.4.7\r\n"
        "Diagnostic-Code: X-Waypost; message expired: lost connection with peer\r\n\r\n",
        "Content-Type: message/rfc822\r\n\r\n" MESSAGE "\r\n--" },
      { "8bit", "Will-Retry-Until", "Original-Envelope-Id", "rfc822-headers" } },
    { "RET=HDRS",
      { .kind = REPORT_FAILED, .envelope = &headers_only, .recipients = failed,
        .count = 1, .content = SPAN_INIT(MESSAGE), .content_is_whole = true },
      { "Content-Type: text/rfc822-headers\r\n\r\nSubject: hi\r\nFrom: s@x\r\n\r\n--" },
      { "body", "message/rfc822" } },
    { "only the beginning of the content is there",
      { .kind = REPORT_FAILED, .envelope = &plain, .recipients = failed, .count = 1,
        .content = SPAN_INIT("Subject: hi\r\nFrom") },
      { "text/rfc822-headers\r\n\r\nSubject: hi\r\n\r\n--" }, { "From\r\n" } },
    { "a delay",
      { .kind = REPORT_DELAYED, .envelope = &plain, .recipients = delayed, .count = 1,
        .content = SPAN_INIT(MESSAGE), .content_is_whole = true },
      { "Subject: Delayed Mail (still being retried)\r\n", "Action: delayed\r\n",
        "Status: 4.2.1\r\n", "Will-Retry-Until: Tue, 14 Nov 2023 22:13:22 +0000\r\n",
        "need not do", "tried until Tue, 14 Nov 2023", "text/rfc822-headers" },
      { "body\r\n", "Undelivered" } },
    { "a success that was handed on",
      { .kind = REPORT_SUCCESS, .envelope = &plain, .recipients = relayed, .count = 1,
        .content = SPAN_INIT(MESSAGE), .content_is_whole = true },
      { "Subject: Successful Mail Delivery Report\r\n", "Action: relayed\r\n",
        "Status: 2.0.0\r\n", "Diagnostic-Code: smtp; 250 2.0.0 ok\r\n",
        "text/rfc822-headers" },
      { "body\r\n", "enclosed at the end" } },
    { "until when it was to be delivered",
      { .kind = REPORT_DELAYED, .envelope = &in_time, .recipients = delayed, .count = 1,
        .content = SPAN_INIT(MESSAGE), .content_is_whole = true },
      { "Arrival-Date: " RECEIVED "\r\n"
        "Deliver-By-Date: Tue, 14 Nov 2023 22:13:21 +0000\r\n\r\n" },
      { NULL } },
    { "a host without a name is a domain literal",
      { .kind = REPORT_FAILED, .envelope = &plain, .recipients = by_address, .count = 2,
        .content = SPAN_INIT(MESSAGE), .content_is_whole = true },
      { "Remote-MTA: dns; [192.0.2.1]\r\n", "Remote-MTA: dns; [IPv6:2001:db8::1]\r\n" },
      { "dns; 192", "dns; 2001" } },
    { "an envelope id cannot begin a line",
      { .kind = REPORT_FAILED, .envelope = &with_id, .recipients = failed, .count = 1,
        .content = SPAN_INIT(MESSAGE), .content_is_whole = true },
      { "Original-Envelope-Id: QQ 1\\x0D\\x0AX: y\r\n" }, { "\nX: y" } },
    { "an international report",
      { .kind = REPORT_FAILED, .envelope = &utf8, .recipients = international,
        .count = 1, .content = SPAN_INIT(MESSAGE), .content_is_whole = true },
      { "To: <\xc3\xa4@x>\r\n", "report-type=global-delivery-status;\r\n",
        "Content-Transfer-Encoding: 8bit\r\n\r\n",
        "Content-Type: text/plain; charset=utf-8\r\n",
        "Content-Type: message/global-delivery-status\r\n",
        "Final-Recipient: utf-8; \xc3\xb6@b\r\n", "Content-Type: message/global\r\n",
        "Diagnostic-Code: X-Waypost; SMTPUTF8 is required \xc3\xbc\r\n",
        "international e-mail" },
      { "message/rfc822", "In-Reply-To" } },
    { "8-bit content is converted, our own words stay ASCII",
      { .kind = REPORT_FAILED, .envelope = &plain, .recipients = hostile, .count = 1,
        .content = SPAN_INIT("Subject: hi\r\nFrom: s@x\r\n\r\n\xe4"),
        .content_is_whole = true },
      { "    boundary=\"=_000000000000G.0\"\r\n\r\n",
        "Content-Type: message/rfc822\r\n\r\nSubject: hi\r\nFrom: s@x\r\nMIME-Version: 1.0\r\n"
        "Content-Type: text/plain; charset=unknown-8bit\r\n"
        "Content-Transfer-Encoding: quoted-printable\r\n\r\n=E4=\r\n\r\n--", "charset=us-ascii",
        "Diagnostic-Code: smtp; 550 \\x1B[31m\\xC3\\xA4\\xFF\\x0D\\x0AEvil:\r\n 3" },
      { "\nEvil", "\n--x", "\n    Evil: 1", "Encoding: 8bit" } },
    { "8-bit headers are enclosed alone, encoded",
      { .kind = REPORT_FAILED, .envelope = &plain, .recipients = failed, .count = 1,
        .content = SPAN_INIT("Subject: \xe4\r\n\r\nbody\r\n"), .content_is_whole = true },
      { "Content-Type: text/rfc822-headers; charset=unknown-8bit\r\n"
        "Content-Transfer-Encoding: quoted-printable\r\n\r\nSubject: =E4\r\n\r\n--" },
      { "body\r\n" } },
    { "a large message's too, and the charset is told where it is known",
      { .kind = REPORT_DELAYED, .envelope = &plain, .recipients = delayed, .count = 1,
        .content = SPAN_INIT("Subject: \xc3\xa4\r\n\r\nbo") },
      { "Content-Type: text/rfc822-headers; charset=utf-8\r\n"
        "Content-Transfer-Encoding: quoted-printable\r\n\r\nSubject: =C3=A4\r\n\r\n--" },
      { NULL } },
    { "an international message of an ASCII sender gets a report for anybody",
      { .kind = REPORT_FAILED, .envelope = &utf8_of_ascii, .recipients = international,
        .count = 1, .content = SPAN_INIT("Subject: \xc3\xa4\r\n\r\nbody\r\n"),
        .content_is_whole = true },
      { "To: <s@x>\r\n", "    boundary=\"=_000000000000G.0\"\r\n\r\n",
        "Content-Type: text/plain; charset=utf-8\r\n"
        "Content-Transfer-Encoding: quoted-printable\r\n\r\n", "<=C3=B6@b>:\r\n",
        "Content-Type: message/delivery-status\r\n\r\n",
        "Final-Recipient: utf-8; \\x{F6}@b\r\nOriginal-Recipient: utf-8;\\x{E4}\\x{2B}x@b\r\n",
        "Content-Type: message/global\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\n"
        "Subject: =C3=A4\r\n\r\nbody\r\n\r\n--" },
      { "global-delivery", "Encoding: 8bit" } },
    { "its headers alone",
      { .kind = REPORT_DELAYED, .envelope = &utf8_of_ascii, .recipients = delayed,
        .count = 1, .content = SPAN_INIT("Subject: \xc3\xa4\r\n\r\nbody\r\n"),
        .content_is_whole = true },
      { "Content-Type: message/global-headers\r\nContent-Transfer-Encoding: quoted-printable\r\n" },
      { "Encoding: 8bit" } },
    { "binary content leaves no bare line end",
      { .kind = REPORT_FAILED, .envelope = &binary, .recipients = failed, .count = 1,
        .content = SPAN_INIT("Subject: hi\r\nFrom: s@x\r\n\r\na\rb\n"), .content_is_whole = true },
      { "Content-Transfer-Encoding: base64\r\n\r\nYQ1iCg==\r\n\r\n--" }, { NULL } },
    { "the postmaster hears of what came from nobody",
      { .kind = REPORT_DOUBLE, .envelope = &from_nobody, .recipients = failed, .count = 1,
        .to = SPAN_INIT("ops@x"), .content = SPAN_INIT(MESSAGE), .content_is_whole = true },
      { "To: <ops@x>\r\nSubject: Postmaster Notice: Undelivered Mail from <>\r\n",
        "Nobody else is told", "Action: failed\r\n", "message/rfc822\r\n\r\n" MESSAGE },
      { "X-Waypost-Sender", "Please check" } },
    { "the envelope id is given as it was meant",
      { .kind = REPORT_FAILED, .envelope = &with_plain_id, .recipients = failed, .count = 1,
        .content = SPAN_INIT(MESSAGE), .content_is_whole = true },
      { "Original-Envelope-Id: a+b=c d\r\n" }, { NULL } },
    { "a message-id that is none is not repeated",
      { .kind = REPORT_FAILED, .envelope = &bad_id, .recipients = failed, .count = 1,
        .content = SPAN_INIT(""), .content_is_whole = true },
      { "Message-ID: <000000000000G@relay.us>\r\n" }, { "Bcc", "In-Reply-To" } },
    { "the boundary is not what somebody guessed",
      { .kind = REPORT_FAILED, .envelope = &plain, .recipients = failed, .count = 1,
        .content = SPAN_INIT("A: b\r\n\r\n--=_000000000000G.0--\r\n=_000000000000G.1"),
        .content_is_whole = true },
      { "boundary=\"=_000000000000G.2\"\r\n" }, { NULL } },
};
/* clang-format on */

static void compose(struct buffer *b, const struct report *given)
{
    struct report r = *given;

    r.hostname = SPAN("relay.us");
    r.id = 16;
    r.about = 17;
    r.now_ms = RECEIVED_MS;
    report_compose(b, &r);
}

static void a_report_has_all_its_parts(void **state)
{
    (void)state;
    for (size_t i = 0; i < SIZE_OF(cases); i++) {
        const struct report_case *c = &cases[i];
        struct buffer b = { 0 };

        compose(&b, &c->report);
        for (size_t j = 0; j < SIZE_OF(c->has) && c->has[j]; j++)
            if (!strstr(buffer_string(&b), c->has[j])) {
                print_error("%s lacks: %s\n%s", c->name, c->has[j],
                            buffer_string(&b));
                fail();
            }
        for (size_t j = 0; j < SIZE_OF(c->lacks) && c->lacks[j]; j++)
            if (strstr(buffer_string(&b), c->lacks[j])) {
                print_error("%s has: %s\n%s", c->name, c->lacks[j],
                            buffer_string(&b));
                fail();
            }
        buffer_fini(&b);
    }
}

static void every_line_is_fit_to_be_sent(void **state)
{
    (void)state;
    for (size_t i = 0; i < SIZE_OF(cases); i++) {
        struct buffer b = { 0 };
        struct span rest;
        size_t delimiters = 0;

        compose(&b, &cases[i].report);
        if (!utf8_has_high(cases[i].report.envelope->sender))
            assert_false(utf8_has_high(buffer_span(&b)));
        rest = buffer_span(&b);
        while (rest.len) {
            struct span line = span_split(rest, '\n', &rest);

            assert_true(line.len > 0 && line.len <= 999);
            assert_int_equal(span_find(line, '\r'), line.len - 1);
            delimiters += line.len > 2 && memcmp(line.at, "--=_", 4) == 0;
        }
        assert_true(delimiters == 4 || i == SIZE_OF(cases) - 1);
        buffer_fini(&b);
    }
}

static void a_large_message_is_not_enclosed(void **state)
{
    struct buffer content = { 0 }, b = { 0 };
    struct report r = { .kind = REPORT_FAILED,
                        .envelope = &plain,
                        .recipients = failed,
                        .count = 1,
                        .content_is_whole = true };

    (void)state;
    buffer_put_string(&content, MESSAGE);
    while (content.len <= 51200)
        buffer_put_string(&content, "0123456789\r\n");
    r.content = buffer_span(&content);
    compose(&b, &r);
    assert_null(strstr(buffer_string(&b), "0123456789"));
    assert_non_null(strstr(buffer_string(&b), "text/rfc822-headers"));
    buffer_fini(&content);
    buffer_fini(&b);
}

static void dates_are_those_of_rfc_5322(void **state)
{
    /* clang-format off */
    static const struct { int64_t ms; const char *text; } dates[] = {
        { 0, "Thu, 1 Jan 1970 00:00:00 +0000" },
        { 951782399999, "Mon, 28 Feb 2000 23:59:59 +0000" },
        { 951782400000, "Tue, 29 Feb 2000 00:00:00 +0000" },
        { 4102444800000, "Fri, 1 Jan 2100 00:00:00 +0000" },
    };
    /* clang-format on */

    (void)state;
    for (size_t i = 0; i < SIZE_OF(dates); i++) {
        struct buffer b = { 0 };

        date_print(&b, dates[i].ms);
        assert_string_equal(buffer_string(&b), dates[i].text);
        buffer_fini(&b);
    }
}

static void long_text_is_folded_and_loses_nothing(void **state)
{
    struct buffer text = { 0 }, b = { 0 };
    struct span rest;
    size_t kept = 0;

    (void)state;
    for (size_t i = 0; i < 3000; i++)
        buffer_put_byte(&text, i % 7 == 6 && i < 300 ? ' ' : 'x');
    mimetext_fold(&b, buffer_span(&text), 17, "    ");
    rest = buffer_span(&b);
    while (rest.len) {
        struct span line = span_split(rest, '\n', &rest);

        assert_true(line.len <= 998);
        for (size_t i = 0; i < line.len; i++)
            kept += line.at[i] == 'x';
    }
    assert_int_equal(kept, 3000 - 300 / 7);
    buffer_clear(&b);
    mimetext_fold(&b, SPAN("rfc822; \"a  b\"@c"), 17, "    ");
    assert_string_equal(buffer_string(&b), "rfc822; \"a  b\"@c");
    buffer_fini(&text);
    buffer_fini(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_report_has_all_its_parts),
        cmocka_unit_test(every_line_is_fit_to_be_sent),
        cmocka_unit_test(a_large_message_is_not_enclosed),
        cmocka_unit_test(dates_are_those_of_rfc_5322),
        cmocka_unit_test(long_text_is_folded_and_loses_nothing),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
