/*
 * test_client_tls - STARTTLS, implicit TLS and AUTH of the client, as scripts.
 */
#include "client_play.h"

/* clang-format off */
static const struct envelope plain = { .sender = SPAN_INIT("s@x"), .size_bytes = 5 };
static const struct envelope unvouched = { .sender = SPAN_INIT("s@x"),
                                           .is_unvouched = true };
static const struct client_recipient one[] = { { SPAN_INIT("a@b") } };
static const struct client_transaction transactions[] = {
    { .envelope = &plain, .recipients = one, .count = 1 },
    { .envelope = &unvouched, .recipients = one, .count = 1 },
};

#define BASE .hostname = SPAN_INIT("us"), .timeouts = &client_timeouts_default
#define USER .login = SPAN_INIT("user"), .secret = SPAN_INIT("pencil-case")

static const struct client_options
    must = { BASE, .tls = CLIENT_TLS_MUST },
    may = { BASE, .tls = CLIENT_TLS_IF_OFFERED },
    smtps = { BASE, .tls = CLIENT_TLS_MUST, .begins_secured = true },
    lmtp = { BASE, .is_lmtp = true, .tls = CLIENT_TLS_MUST },
    user = { BASE, .tls = CLIENT_TLS_MUST, USER },
    user_may = { BASE, .tls = CLIENT_TLS_IF_OFFERED, USER },
    user_clear = { BASE, .login_without_tls = true, USER },
    user_login = { BASE, .tls = CLIENT_TLS_MUST, USER, .mechanisms = MECHANISM_LOGIN },
    user_smtps = { BASE, .tls = CLIENT_TLS_MUST, .begins_secured = true, USER },
    no_secret = { BASE, .tls = CLIENT_TLS_MUST, .login = SPAN_INIT("user") },
    nobody = { BASE, .tls = CLIENT_TLS_MUST, .mechanisms = MECHANISM_EXTERNAL },
    bearer = { BASE, .tls = CLIENT_TLS_MUST, .login = SPAN_INIT("u,s=r@x"),
               .secret = SPAN_INIT("token123"), .secret_is_token = true,
               .host = SPAN_INIT("mx.test"), .port = 587 };

#define HELLO    "S:220 mx ready\r\n", "C:EHLO us\r\n"
#define OFFERED  HELLO, "S:250-mx\r\n250-PIPELINING\r\n250 STARTTLS\r\n", "C:STARTTLS\r\n"
#define SECURED  OFFERED, "S:220 go\r\n", "=STARTS_TLS", "C:", "secured", "=READS", \
                 "C:EHLO us\r\n"
#define AUTH(list) SECURED, "S:250-mx\r\n250 AUTH " list "\r\n"
/* \0user\0pencil-case */
#define PLAIN    "AHVzZXIAcGVuY2lsLWNhc2U="
#define NO_TLS   "trouble:OTHER_HOST 4.7.4 "

/* NOLINTBEGIN(bugprone-suspicious-missing-comma): long lines are broken */
static const struct script scripts[] = {
    { "STARTTLS, and what was offered before it is forgotten", &must, {
        SECURED, "S:250-mx\r\n250-STARTTLS\r\n250 SIZE 10\r\n", "=FREE", "C:", "about:",
        "start 0", "C:MAIL FROM:<s@x> SIZE=5\r\n", "trouble:" } },
    { "tls = none does not see STARTTLS", NULL, {
        HELLO, "S:250-mx\r\n250 STARTTLS\r\n", "=FREE", "C:" } },
    { "C01: clear text behind the 220 is never read", &must, {
        OFFERED, "S:220 go\r\n250-x\r\n250 AUTH LOGIN\r\n", "=CLOSES", "C:", "about:tls",
        NO_TLS "peer broke the protocol: clear text where TLS begins (while "
        "performing the TLS handshake)\n" } },
    { "C01: not even half a line of it", &user_may, {
        OFFERED, "S:220 go\r\n2", "=CLOSES", "C:", "about:tls" } },
    { "C02: not offered, and a must", &must, {
        HELLO, "S:250-mx\r\n250 PIPELINING\r\n", "=CLOSES", "C:QUIT\r\n", "about:tls",
        NO_TLS "TLS is required, but was not offered by peer\n" } },
    { "C02: not offered, and no must", &may, {
        HELLO, "S:250-mx\r\n250 PIPELINING\r\n", "=FREE", "C:", "about:", "trouble:" } },
    { "C03: 454, and a must", &must, {
        OFFERED, "S:454 4.7.0 not now\r\n", "=CLOSES", "C:QUIT\r\n", "about:tls",
        NO_TLS "454 4.7.0 not now (in reply to STARTTLS command)\n" } },
    { "C03: 502, and a must", &must, {
        OFFERED, "S:502 5.5.1 what\r\n", "=CLOSES", "C:QUIT\r\n", "about:tls",
        NO_TLS "502 5.5.1 what (in reply to STARTTLS command)\n" } },
    { "C03: 454, and no must: on in clear, not asked again", &may, {
        OFFERED, "S:454 4.7.0 not now\r\n", "=FREE", "C:", "about:", "trouble:",
        "start 0", "C:MAIL FROM:<s@x>\r\nRCPT TO:<a@b>\r\nDATA\r\n" } },
    { "C03: 220 and closed", &may, {
        OFFERED, "S:220 go\r\n", "=STARTS_TLS", "lost:", "=CLOSES", "about:tls",
        NO_TLS "lost connection with peer while performing the TLS handshake\n" } },
    { "C03: closed instead of an answer", &may, {
        OFFERED, "lost:", "=CLOSES", "about:tls",
        NO_TLS "lost connection with peer while sending STARTTLS\n" } },
    { "C03: garbage instead of an answer", &may, {
        OFFERED, "S:\x16\x03\x01\r\n", "=CLOSES", "C:", "about:tls" } },
    { "another 2xx is no 220", &may, {
        OFFERED, "S:250 ok\r\n", "=CLOSES", "C:", "about:tls",
        NO_TLS "peer broke the protocol: 250 ok (in reply to STARTTLS command)\n" } },
    { "421 to STARTTLS", &may, {
        OFFERED, "S:421 4.3.2 down\r\n", "=CLOSES", "C:", "about:tls",
        NO_TLS "421 4.3.2 down (in reply to STARTTLS command)\n" } },
    { "the handshake hangs", &may, {
        OFFERED, "S:220 go\r\n", "timeout", "=CLOSES", "about:tls", NO_TLS
        "conversation with peer timed out while performing the TLS handshake\n" } },
    { "the handshake fails", &may, {
        OFFERED, "S:220 go\r\n", "tls failed:no shared cipher", "=CLOSES", "C:",
        "about:tls", NO_TLS "TLS handshake failed: no shared cipher\n" } },
    { "C06: the certificate is for another name", &must, {
        OFFERED, "S:220 go\r\n", "tls untrusted:name does not match", "=CLOSES", "C:",
        "about:tls", "trouble:OTHER_HOST 4.7.5 certificate of peer is not trusted: "
        "name does not match\n" } },
    { "C04: HELO hides STARTTLS", &must, {
        HELLO, "S:502 what\r\n", "C:HELO us\r\n", "S:250 mx\r\n", "=CLOSES",
        "C:QUIT\r\n", "about:tls",
        NO_TLS "TLS is required, but was not offered by peer\n" } },
    { "HELO in clear where that is allowed", &may, {
        HELLO, "S:502 what\r\n", "C:HELO us\r\n", "S:250 mx\r\n", "=FREE" } },
    { "EHLO in TLS may be refused: HELO is safe there", &must, {
        SECURED, "S:502 what\r\n", "C:HELO us\r\n", "S:250 mx\r\n", "=FREE", "start 0",
        "C:MAIL FROM:<s@x>\r\n" } },
    { "LMTP: LHLO, and LHLO again; no HELO", &lmtp, {
        "S:220 mx LMTP\r\n", "C:LHLO us\r\n", "S:250-mx\r\n250 STARTTLS\r\n",
        "C:STARTTLS\r\n", "S:220 go\r\n", "secured", "C:LHLO us\r\n", "S:500 what\r\n",
        "=CLOSES", "C:QUIT\r\n" } },
    { "smtps: TLS, then the greeting", &smtps, {
        "=STARTS_TLS", "C:", "secured", "=READS", "C:", "S:220 mx\r\n", "C:EHLO us\r\n",
        "S:250-mx\r\n250 STARTTLS\r\n", "=FREE", "C:" } },
    { "smtps: a greeting in clear is none", &smtps, {
        "S:220 mx\r\n", "=CLOSES", "C:", "about:" } },
    { "smtps: refused, failed", &smtps, {
        "lost:Connection refused", "=CLOSES", "about:",
        "trouble:OTHER_HOST 4.4.1 Connection refused\n" } },
    { "smtps: the handshake fails, and clear text is no way out", &smtps, {
        "tls failed:wrong version", "=CLOSES", "about:",
        NO_TLS "TLS handshake failed: wrong version\n" } },

    { "AUTH PLAIN in one line", &user, {
        AUTH("PLAIN LOGIN"), "C:AUTH PLAIN " PLAIN "\r\n", "=READS",
        "S:235 2.7.0 welcome\r\n", "=FREE", "C:", "about:", "trouble:",
        "start 0", "C:MAIL FROM:<s@x>\r\n" } },
    { "AUTH=<> where we logged in, of what somebody else was asked about", &user, {
        AUTH("PLAIN"), "C:AUTH PLAIN " PLAIN "\r\n", "S:235 2.7.0 welcome\r\n",
        "start 1", "C:MAIL FROM:<s@x> AUTH=<>\r\n" } },
    { "AUTH= is not said without a login", &may, {
        HELLO, "S:250-mx\r\n250 AUTH PLAIN\r\n", "start 1", "C:MAIL FROM:<s@x>\r\n" } },
    { "AUTH by its old name", &user, {
        SECURED, "S:250-mx\r\n250 AUTH=LOGIN PLAIN\r\n", "C:AUTH PLAIN " PLAIN "\r\n" } },
    { "AUTH LOGIN", &user_login, {
        AUTH("PLAIN LOGIN"), "C:AUTH LOGIN\r\n", "S:334 VXNlcm5hbWU6\r\n",
        "C:dXNlcg==\r\n", "=READS", "S:334 wrong base64!\r\n", "C:cGVuY2lsLWNhc2U=\r\n",
        "S:235 ok\r\n", "=FREE" } },
    { "AUTH CRAM-MD5 before PLAIN", &user, {
        AUTH("PLAIN CRAM-MD5"), "C:AUTH CRAM-MD5\r\n", "S:334 PDFAeD4=\r\n",
        "C:dXNlciAyYWFlMThhZjgyZGFkZjcxYWJhM2JjY2VlNjI5YTkyNw==\r\n", "S:235 ok\r\n",
        "=FREE" } },
    { "AUTH EXTERNAL where there is a certificate only", &no_secret, {
        AUTH("PLAIN EXTERNAL"), "C:AUTH EXTERNAL dXNlcg==\r\n", "S:235 ok\r\n",
        "=FREE" } },
    { "AUTH EXTERNAL as whom the certificate says", &nobody, {
        AUTH("PLAIN EXTERNAL"), "C:AUTH EXTERNAL =\r\n", "S:235 ok\r\n",
        "=FREE" } },
    { "AUTH EXTERNAL must be had", &nobody, {
        AUTH("PLAIN"), "=CLOSES", "C:QUIT\r\n",
        "trouble:OTHER_HOST 4.7.8 login is not possible: peer offers no mechanism "
        "that may be used\n" } },
    { "EXTERNAL is not guessed at", &user, {
        AUTH("PLAIN EXTERNAL"), "C:AUTH PLAIN " PLAIN "\r\n" } },
    { "AUTH OAUTHBEARER", &bearer, {
        AUTH("XOAUTH2 PLAIN OAUTHBEARER"), "C:AUTH OAUTHBEARER "
        "bixhPXU9MkNzPTNEckB4LAFob3N0PW14LnRlc3QBcG9ydD01ODcBYXV0aD1CZWFyZXIgdG9rZW4xMjM"
        "BAQ==\r\n", "S:235 ok\r\n", "=FREE" } },
    { "AUTH OAUTHBEARER: the error is fetched", &bearer, {
        AUTH("OAUTHBEARER"), "C:AUTH OAUTHBEARER "
        "bixhPXU9MkNzPTNEckB4LAFob3N0PW14LnRlc3QBcG9ydD01ODcBYXV0aD1CZWFyZXIgdG9rZW4xMjM"
        "BAQ==\r\n", "S:334 eyJzdGF0dXMiOiJpbnZhbGlkX3Rva2VuIn0=\r\n", "C:AQ==\r\n",
        "S:535 5.7.8 expired\r\n", "=CLOSES", "C:QUIT\r\n", "about:login",
        "trouble:OTHER_HOST 4.7.8 535 5.7.8 expired (in reply to AUTH command)\n" } },
    { "AUTH XOAUTH2: the error is fetched", &bearer, {
        AUTH("XOAUTH2 PLAIN"), "C:AUTH XOAUTH2 "
        "dXNlcj11LHM9ckB4AWF1dGg9QmVhcmVyIHRva2VuMTIzAQE=\r\n",
        "S:334 eyJzdGF0dXMiOiI0MDAifQ==\r\n", "C:\r\n", "S:535 5.7.3 no\r\n",
        "=CLOSES", "C:QUIT\r\n", "about:login",
        "trouble:OTHER_HOST 4.7.8 535 5.7.3 no (in reply to AUTH command)\n" } },
    { "a 235 after the error of a bearer token is none", &bearer, {
        AUTH("XOAUTH2"), "C:AUTH XOAUTH2 "
        "dXNlcj11LHM9ckB4AWF1dGg9QmVhcmVyIHRva2VuMTIzAQE=\r\n",
        "S:334 e30=\r\n", "C:\r\n", "S:235 ok\r\n", "=CLOSES", "about:login" } },
    { "a password is never shown as a token, nor a token as a password", &bearer, {
        AUTH("PLAIN LOGIN SCRAM-SHA-256 CRAM-MD5 EXTERNAL"), "=CLOSES", "C:QUIT\r\n",
        "about:login", "trouble:OTHER_HOST 4.7.8 login is not possible: peer offers no "
        "mechanism that may be used\n" } },
    { "login refused", &user, {
        AUTH("PLAIN"), "C:AUTH PLAIN " PLAIN "\r\n", "S:535 5.7.8 wrong\r\n", "=CLOSES",
        "C:QUIT\r\n", "about:login",
        "trouble:OTHER_HOST 4.7.8 535 5.7.8 wrong (in reply to AUTH command)\n" } },
    { "login cannot be checked now", &user, {
        AUTH("PLAIN"), "C:AUTH PLAIN " PLAIN "\r\n", "S:454 4.7.0 later\r\n", "=CLOSES",
        "C:QUIT\r\n", "about:",
        "trouble:OTHER_HOST 4.7.0 454 4.7.0 later (in reply to AUTH command)\n" } },
    { "504: the next mechanism", &user, {
        AUTH("CRAM-MD5 PLAIN"), "C:AUTH CRAM-MD5\r\n", "S:504 5.5.4 not today\r\n",
        "C:AUTH PLAIN " PLAIN "\r\n", "S:504 no\r\n", "=CLOSES", "C:QUIT\r\n",
        "about:login" } },
    { "nothing offered", &user, {
        SECURED, "S:250 mx\r\n", "=CLOSES", "C:QUIT\r\n", "about:login",
        "trouble:OTHER_HOST 4.7.8 login is not possible: peer offers no mechanism that "
        "may be used\n" } },
    { "no login in clear text, even where mail might go so", &user_may, {
        HELLO, "S:250-mx\r\n250 AUTH PLAIN SCRAM-SHA-256\r\n", "=CLOSES", "C:QUIT\r\n",
        "about:", NO_TLS "login needs TLS, which was not to be had from peer\n" } },
    { "C12: nor after a refused STARTTLS", &user_may, {
        HELLO, "S:250-mx\r\n250-AUTH PLAIN\r\n250 STARTTLS\r\n", "C:STARTTLS\r\n",
        "S:454 no\r\n", "=CLOSES", "C:QUIT\r\n" } },
    { "in clear text where the route says so", &user_clear, {
        HELLO, "S:250-mx\r\n250 AUTH PLAIN CRAM-MD5 EXTERNAL SCRAM-SHA-1-PLUS\r\n",
        "C:AUTH CRAM-MD5\r\n" } },
    { "what was offered in clear text is not believed in TLS", &user, {
        HELLO, "S:250-mx\r\n250-AUTH PLAIN\r\n250 STARTTLS\r\n", "C:STARTTLS\r\n",
        "S:220 go\r\n", "secured", "C:EHLO us\r\n", "S:250 mx\r\n", "=CLOSES",
        "C:QUIT\r\n", "about:login" } },
    { "C12: 235 to EHLO", &user_smtps, {
        "secured", HELLO, "S:235 welcome\r\n", "=CLOSES", "C:" } },
    { "C12: 334 to EHLO", &user_smtps, {
        "secured", HELLO, "S:334 \r\n", "=CLOSES", "C:" } },
    { "C12: 334 to STARTTLS", &user, { OFFERED, "S:334 \r\n", "=CLOSES", "C:" } },
    { "235 before the password was asked for", &user_login, {
        AUTH("LOGIN"), "C:AUTH LOGIN\r\n", "S:334 VXNlcm5hbWU6\r\n", "C:dXNlcg==\r\n",
        "S:235 ok\r\n", "=CLOSES", "C:QUIT\r\n", "about:login" } },
    { "a third question of LOGIN", &user_login, {
        AUTH("LOGIN"), "C:AUTH LOGIN\r\n", "S:334 \r\n", "C:dXNlcg==\r\n", "S:334 \r\n",
        "C:cGVuY2lsLWNhc2U=\r\n", "S:334 \r\n", "C:*\r\n", "=CLOSES", "about:login" } },
    { "a question where all was said", &user, {
        AUTH("PLAIN"), "C:AUTH PLAIN " PLAIN "\r\n", "S:334 \r\n", "C:*\r\n", "=CLOSES",
        "about:login" } },
    { "a challenge that is no base64", &user, {
        AUTH("CRAM-MD5"), "C:AUTH CRAM-MD5\r\n", "S:334 a b\r\n", "C:*\r\n", "=CLOSES",
        "about:login" } },
    { "250 to AUTH", &user, {
        AUTH("PLAIN"), "C:AUTH PLAIN " PLAIN "\r\n", "S:250 ok\r\n", "=CLOSES", "C:",
        "trouble:OTHER_HOST 4.5.0 peer broke the protocol: 250 ok (in reply to AUTH "
        "command)\n" } },
    { "a peer that repeats our password is not quoted", &user, {
        AUTH("PLAIN"), "C:AUTH PLAIN " PLAIN "\r\n", "S:500 what is " PLAIN "?\r\n",
        "trouble:OTHER_HOST 4.7.8 500 (text withheld) (in reply to AUTH command)\n" } },
    { "nor in nonsense", &user, {
        AUTH("PLAIN"), "C:AUTH PLAIN " PLAIN "\r\n", "S:AUTH PLAIN " PLAIN "\r\n",
        "trouble:OTHER_HOST 4.5.0 peer broke the protocol: (text withheld) (in reply to "
        "AUTH command)\n" } },
};
/* NOLINTEND(bugprone-suspicious-missing-comma) */

#define ALL_TLS(x) x, x, x, x, x, x
#define CLOSED_474 "OTHER_HOST 4.7.4 CLOSES"

static const struct stage matrix[] = {
    { "STARTTLS, a must", &must, { OFFERED }, { ALL_TLS(CLOSED_474) } },
    { "STARTTLS, no must", &may, { OFFERED }, {
        CLOSED_474, "nothing", "nothing", CLOSED_474, CLOSED_474, CLOSED_474 } },
    { "handshake", &must, { OFFERED, "S:220 go\r\n" }, { ALL_TLS(CLOSED_474) } },
    { "handshake of smtps", &smtps, { "=STARTS_TLS" }, {
        "OTHER_HOST 4.4.2 CLOSES", "OTHER_HOST 4.5.0 CLOSES", "OTHER_HOST 4.5.0 CLOSES",
        "OTHER_HOST 4.5.0 CLOSES", CLOSED_474, "OTHER_HOST 4.5.0 CLOSES" } },
    { "EHLO in TLS", &must, { SECURED }, {
        "OTHER_HOST 4.4.2 CLOSES", "OTHER_HOST 4.7.0 CLOSES", "HELO us",
        "OTHER_HOST 4.3.2 CLOSES", "OTHER_HOST 4.4.2 CLOSES", "OTHER_HOST 4.5.0 CLOSES" } },
    { "AUTH", &user, { AUTH("PLAIN"), "C:AUTH PLAIN " PLAIN "\r\n" }, {
        "OTHER_HOST 4.4.2 CLOSES", "OTHER_HOST 4.7.0 CLOSES", "OTHER_HOST 4.7.8 CLOSES",
        "OTHER_HOST 4.3.2 CLOSES", "OTHER_HOST 4.4.2 CLOSES", "OTHER_HOST 4.5.0 CLOSES" } },
};
/* clang-format on */

static void scripts_play_as_written(void **state)
{
    (void)state;
    play_all(scripts, SIZE_OF(scripts), transactions);
}

static void every_trouble_at_every_stage_has_one_outcome(void **state)
{
    (void)state;
    strike_all(matrix, SIZE_OF(matrix), transactions);
}

static void a_client_is_greeted_only_when_it_is_free(void **state)
{
    struct play p = { .name = "greeted", .now_ms = 1 };
    static const char *const way[] = { AUTH("PLAIN") };

    (void)state;
    p.client = client_new(&user, 1);
    for (size_t i = 0; i < SIZE_OF(way); i++)
        play_line(&p, way[i]);
    buffer_clear(client_output(p.client));
    assert_false(client_is_greeted(p.client));
    play_line(&p, "S:235 ok\r\n");
    assert_true(client_is_greeted(p.client));
    client_free(p.client);
}

/* RFC 4954 4: what does not fit into 512 octets follows its 334. */
static void a_long_initial_response_follows_the_334(void **state)
{
    static char token[1200];
    struct client_options o = bearer;
    struct play p = { .name = "long token", .now_ms = 1 };

    (void)state;
    memset(token, 't', sizeof token);
    o.secret = span_make(token, sizeof token);
    p.client = client_new(&o, 1);
    play_line(&p, "S:220 mx\r\n");
    play_line(&p, "S:250-mx\r\n250 STARTTLS\r\n");
    play_line(&p, "S:220 go\r\n");
    play_line(&p, "secured");
    buffer_clear(client_output(p.client));
    play_line(&p, "S:250-mx\r\n250 AUTH XOAUTH2\r\n");
    play_line(&p, "C:AUTH XOAUTH2\r\n");
    play_line(&p, "S:334 \r\n");
    assert_true(client_output(p.client)->len > 1600);
    buffer_clear(client_output(p.client));
    play_line(&p, "S:235 ok\r\n");
    assert_int_equal(client_wants(p.client), CLIENT_FREE);
    client_free(p.client);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(scripts_play_as_written),
        cmocka_unit_test(every_trouble_at_every_stage_has_one_outcome),
        cmocka_unit_test(a_client_is_greeted_only_when_it_is_free),
        cmocka_unit_test(a_long_initial_response_follows_the_334),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
