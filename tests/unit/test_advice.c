/*
 * test_advice - what kind of trouble is it, and what can be done?
 */
#include "relay/outbound/advice.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#define SIZE_OF(array) (sizeof(array) / sizeof((array)[0]))

/* clang-format off */
static const struct row {
    enum client_stage stage;
    short code;
    struct status status;
    const char *reply;
    enum failure failure;
} rows[] = {
    { STAGE_GREETING, 554, { 5, 7, 1 }, "554 no", FAILURE_GREETING_NO },
    { STAGE_GREETING, 421, { 4, 3, 2 }, "421 busy", FAILURE_GREETING_LATER },
    { STAGE_GREETING, 0, { 4, 4, 2 },
      "conversation with peer timed out while receiving the greeting", FAILURE_GREETING_SILENT },
    { STAGE_GREETING, 0, { 4, 5, 0 }, "peer broke the protocol: x", FAILURE_NOT_SMTP },
    { STAGE_GREETING, 0, { 4, 4, 2 }, "lost connection with peer", FAILURE_GREETING_LOST },
    { STAGE_HELO, 550, { 5, 7, 1 }, "550 who?", FAILURE_HELLO },
    { STAGE_HELO, 0, { 4, 7, 4 }, "TLS is required, but was not offered by peer",
      FAILURE_TLS_MISSING },
    { STAGE_HELO, 0, { 4, 7, 4 }, "login needs TLS, which was not to be had from peer",
      FAILURE_LOGIN_NEEDS_TLS },
    { STAGE_HELO, 0, { 4, 7, 8 }, "login is not possible", FAILURE_LOGIN },
    { STAGE_STARTTLS, 454, { 4, 7, 4 }, "454 no", FAILURE_TLS_REFUSED },
    { STAGE_TLS, 0, { 4, 7, 4 }, "TLS handshake failed: x", FAILURE_TLS_BROKEN },
    { STAGE_TLS, 0, { 4, 7, 5 }, "certificate of peer is not trusted: certificate has expired",
      FAILURE_CERTIFICATE_ENDED },
    { STAGE_TLS, 0, { 4, 7, 5 }, "not trusted: certificate is not yet valid",
      FAILURE_CERTIFICATE_EARLY },
    { STAGE_TLS, 0, { 4, 7, 5 }, "not trusted: the certificate is for a.example",
      FAILURE_CERTIFICATE_NAME },
    { STAGE_TLS, 0, { 4, 7, 5 }, "unable to get local issuer certificate",
      FAILURE_CERTIFICATE_ISSUER },
    { STAGE_TLS, 0, { 4, 7, 5 }, "self-signed certificate", FAILURE_CERTIFICATE_ISSUER },
    { STAGE_TLS, 0, { 4, 7, 5 }, "CA md too weak", FAILURE_CERTIFICATE },
    { STAGE_AUTH, 535, { 4, 7, 8 }, "535 no", FAILURE_LOGIN },
    { STAGE_AUTH, 454, { 4, 7, 0 }, "454 later", FAILURE_LOGIN_LATER },
    { STAGE_AUTH, 0, { 4, 4, 2 }, "lost connection with peer", FAILURE_LOGIN },
    { STAGE_RESET, 0, { 4, 4, 2 }, "lost connection with peer", FAILURE_SESSION },
};
/* clang-format on */

static void a_session_that_ends_early_has_a_kind(void **state)
{
    (void)state;
    for (size_t i = 0; i < SIZE_OF(rows); i++) {
        struct client_outcome o = { .status = rows[i].status,
                                    .reply = span_of(rows[i].reply) };

        assert_int_equal(advice_of_session(rows[i].stage, rows[i].code, &o),
                         rows[i].failure);
    }
}

static void an_address_that_does_not_answer_has_a_kind(void **state)
{
    (void)state;
    assert_int_equal(advice_of_connect(-ECONNREFUSED), FAILURE_REFUSED);
    assert_int_equal(advice_of_connect(-ETIMEDOUT), FAILURE_SILENT);
    assert_int_equal(advice_of_connect(-ENETUNREACH), FAILURE_UNREACHABLE);
    assert_int_equal(advice_of_connect(-EACCES), FAILURE_FORBIDDEN);
    assert_int_equal(advice_of_connect(-ENOENT), FAILURE_SOCKET_GONE);
    assert_int_equal(advice_of_connect(-EIO), FAILURE_CONNECT);
}

static void a_name_that_can_never_work_has_a_kind(void **state)
{
    (void)state;
    assert_int_equal(advice_of_name(STATUS(5, 1, 10)), FAILURE_NULL_MX);
    assert_int_equal(advice_of_name(STATUS(5, 4, 6)), FAILURE_OWN);
    assert_int_equal(advice_of_name(STATUS(5, 1, 2)), FAILURE_NO_DOMAIN);
    assert_int_equal(advice_of_name(STATUS(4, 4, 3)), FAILURE_LOOKUP);
}

static void what_is_said_of_a_mailbox_has_a_kind(void **state)
{
    struct client_outcome no = { .diagnosis = DIAGNOSIS_LATER };
    struct client_outcome yes = { .diagnosis = DIAGNOSIS_DELIVERED };

    (void)state;
    assert_int_equal(advice_of_mailbox(STAGE_RCPT, 550, &no), FAILURE_MAILBOX);
    assert_int_equal(advice_of_mailbox(STAGE_RCPT, 451, &no),
                     FAILURE_MAILBOX_LATER);
    assert_int_equal(advice_of_mailbox(STAGE_MAIL, 550, &no), FAILURE_SENDER);
    assert_int_equal(advice_of_mailbox(STAGE_IDLE, 0, &no), FAILURE_SESSION);
    assert_int_equal(advice_of_mailbox(STAGE_IDLE, 0, &yes), FAILURE_NONE);
}

static void each_kind_of_trouble_has_its_sentence(void **state)
{
    (void)state;
    for (int f = FAILURE_NONE + 1; f < FAILURES; f++) {
        const char *words = advice_words((enum failure)f);

        assert_non_null(words);
        assert_true(strlen(words) > 10);
        assert_non_null(strchr(".?", words[strlen(words) - 1]));
        for (int other = FAILURE_NONE + 1; other < f; other++)
            assert_string_not_equal(words, advice_words((enum failure)other));
    }
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_session_that_ends_early_has_a_kind),
        cmocka_unit_test(an_address_that_does_not_answer_has_a_kind),
        cmocka_unit_test(a_name_that_can_never_work_has_a_kind),
        cmocka_unit_test(what_is_said_of_a_mailbox_has_a_kind),
        cmocka_unit_test(each_kind_of_trouble_has_its_sentence),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
