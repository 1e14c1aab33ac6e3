/*
 * The policy protocol: a request as Postfix writes it, and each answer it knows.
 */
#include "policy/delegation.h"

#include <stdarg.h>
#include <setjmp.h>
#include <stdio.h>
#include <cmocka.h>

static void a_request_has_all_names_in_order(void **state)
{
    static const char expected[] = "request=smtpd_access_policy\n"
                                   "protocol_state=RCPT\n"
                                   "protocol_name=ESMTP\n"
                                   "client_address=192.0.2.1\n"
                                   "client_name=mx.ext.test\n"
                                   "client_port=4711\n"
                                   "reverse_client_name=mx.ext.test\n"
                                   "server_address=2001:db8::1\n"
                                   "server_port=25\n"
                                   "helo_name=he?lo?\n"
                                   "sender=\n"
                                   "recipient=v@ok.test\n"
                                   "recipient_count=0\n"
                                   "queue_id=\n"
                                   "instance=s1\n"
                                   "size=12345\n"
                                   "etrn_domain=\n"
                                   "stress=\n"
                                   "sasl_method=PLAIN\n"
                                   "sasl_username=joe\n"
                                   "sasl_sender=\n"
                                   "ccert_subject=c.test\n"
                                   "ccert_issuer=\n"
                                   "ccert_fingerprint=00ff\n"
                                   "ccert_pubkey_fingerprint=\n"
                                   "encryption_protocol=TLSv1.3\n"
                                   "encryption_cipher=AES\n"
                                   "encryption_keysize=256\n"
                                   "policy_context=\n"
                                   "\n";
    struct facts f = {
        .helo = SPAN("he\nlo\x7f"),
        .login = SPAN("joe"),
        .mechanism = SPAN("PLAIN"),
        .certificate = SPAN("sha256:00ff"),
        .certificate_name = SPAN("c.test"),
        .tls_version = SPAN("TLSv1.3"),
        .tls_bits = 256,
        .cipher = SPAN("AES"),
        .session = SPAN("s1"),
        .size_bytes = 12345,
        .client_port = 4711,
        .server_port = 25,
        .recipient_count = 3,
    };
    struct address to;
    struct buffer b = { 0 };

    (void)state;
    assert_true(host_address_parse(SPAN("192.0.2.1"), &f.client));
    assert_true(host_address_parse(SPAN("2001:db8::1"), &f.server));
    assert_int_equal(address_parse(SPAN("v@ok.test"), &to), ADDRESS_OK);
    f.recipient = &to;
    delegation_write(&b, &f, SPAN("mx.ext.test"));
    assert_string_equal(buffer_string(&b), expected);
    buffer_clear(&b);
    f = (struct facts){ .stage = STAGE_CONTENT,
                        .client = f.client,
                        .mechanism = SPAN("PLAIN"),
                        .protocol = SPAN("SMTP"),
                        .recipient = &to,
                        .recipient_count = 3 };
    delegation_write(&b, &f, SPAN(""));
    assert_non_null(strstr(buffer_string(&b), "\nclient_name=unknown\n"));
    assert_non_null(strstr(buffer_string(&b), "=END-OF-MESSAGE\n"));
    assert_non_null(strstr(buffer_string(&b), "\nprotocol_name=SMTP\n"));
    assert_non_null(strstr(buffer_string(&b), "\nrecipient_count=3\n"));
    assert_non_null(strstr(buffer_string(&b), "\nrecipient=\n"));
    assert_non_null(strstr(buffer_string(&b), "\nsasl_method=\n"));
    buffer_fini(&b);
}

static void each_answer_means_what_it_means_to_postfix(void **state)
{
    static const struct {
        const char *answer;
        enum delegation_action action;
        const char *text; /* of the reply, else the text */
    } rows[] = {
        { "DUNNO", DELEGATION_GOES_ON, "" },
        { "dunno ", DELEGATION_GOES_ON, "" },
        { "OK", DELEGATION_GOES_ON, "" },
        { "permit", DELEGATION_GOES_ON, "" },
        { "REJECT", DELEGATION_REJECT, "554 5.7.1 Access denied" },
        { "REJECT  Not you", DELEGATION_REJECT, "554 5.7.1 Not you" },
        { "REJECT 5.1.8 Not you", DELEGATION_REJECT, "554 5.1.8 Not you" },
        { "550 5.7.23 SPF", DELEGATION_REJECT, "550 5.7.23 SPF" },
        { "550 Bad", DELEGATION_REJECT, "550 5.7.1 Bad" },
        /* a status of the other class is put right */
        { "450 5.1.1 Later", DELEGATION_DEFER, "450 4.1.1 Later" },
        { "421", DELEGATION_DEFER, "421 4.7.1 Try again later" },
        { "DEFER", DELEGATION_DEFER, "450 4.7.1 Try again later" },
        { "DEFER_IF_PERMIT Greylisted", DELEGATION_DEFER_IF_PERMIT,
          "450 4.7.1 Greylisted" },
        { "defer_if_reject x", DELEGATION_DEFER_IF_REJECT, "450 4.7.1 x" },
        { "HOLD why", DELEGATION_HOLD, "why" },
        { "DISCARD", DELEGATION_DISCARD, "" },
        { "PREPEND X-Spf: pass", DELEGATION_PREPEND, "X-Spf: pass" },
        { "PREPEND", DELEGATION_UNKNOWN, "" },
        { "PREPEND no field", DELEGATION_UNKNOWN, "" },
        { "PREPEND : x", DELEGATION_UNKNOWN, "" },
        { "PREPEND A B: x", DELEGATION_UNKNOWN, "" },
        { "PREPEND A: x\r\nB: y", DELEGATION_UNKNOWN, "" },
        { "REDIRECT a@b.test", DELEGATION_REDIRECT, "a@b.test" },
        { "REDIRECT nobody", DELEGATION_UNKNOWN, "" },
        { "BCC a@b.test", DELEGATION_BCC, "a@b.test" },
        { "BCC", DELEGATION_UNKNOWN, "" },
        { "WARN odd", DELEGATION_LOG, "odd" },
        { "INFO odd", DELEGATION_LOG, "odd" },
        { "FILTER smtp:x", DELEGATION_UNKNOWN, "" },
        { "reject_unauth_destination", DELEGATION_UNKNOWN, "" },
        { "250 Ok", DELEGATION_UNKNOWN, "" },
        { "600 Ok", DELEGATION_UNKNOWN, "" },
        { "5xx Ok", DELEGATION_UNKNOWN, "" },
        { "", DELEGATION_UNKNOWN, "" },
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct delegation_answer a = delegation_read(span_of(rows[i].answer));
        struct buffer said = { 0 };

        if (a.reply.code)
            reply_print(&said, &a.reply);
        else
            buffer_put(&said, a.text);
        if (a.action != rows[i].action ||
            strcmp(buffer_string(&said), rows[i].text) != 0)
            fail_msg("%s: %d %s", rows[i].answer, (int)a.action,
                     buffer_string(&said));
        buffer_fini(&said);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_request_has_all_names_in_order),
        cmocka_unit_test(each_answer_means_what_it_means_to_postfix),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
