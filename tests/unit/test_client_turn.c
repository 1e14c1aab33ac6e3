/*
 * test_client_turn - ATRN of the client, as scripts.
 */
#include "client_play.h"

/* clang-format off */
static const struct client_options user = {
    .hostname = SPAN_INIT("us"), .timeouts = &client_timeouts_default,
    .login = SPAN_INIT("user"), .secret = SPAN_INIT("pencil-case"),
    .login_without_tls = true };
static const struct client_options secured = {
    .hostname = SPAN_INIT("us"), .timeouts = &client_timeouts_default,
    .tls = CLIENT_TLS_MUST,
    .login = SPAN_INIT("user"), .secret = SPAN_INIT("pencil-case") };

#define AUTH "AUTH PLAIN AHVzZXIAcGVuY2lsLWNhc2U=\r\n"
#define FREE "S:220 isp\r\n", "C:EHLO us\r\n", "S:250-isp\r\n250-ATRN\r\n250 AUTH PLAIN\r\n", \
             "C:" AUTH, "S:235 ok\r\n", "=FREE"
#define ASKED FREE, "turn:", "=READS", "C:ATRN\r\n"

/* NOLINTBEGIN(bugprone-suspicious-missing-comma): long lines are broken */
static const struct script scripts[] = {
    { "250: the roles are changed, and nothing is said", &user, {
        ASKED, "S:250 OK now reversing the connection\r\n", "=TURNED", "C:", "trouble:",
        "rest:" } },
    { "domains are named, with commas", &user, {
        FREE, "turn:a.example,b.example", "C:ATRN a.example,b.example\r\n",
        "S:250 ok\r\n", "=TURNED" } },
    { "what is behind the 250 is not ours", &user, {
        ASKED, "S:250-yes\r\n250 OK\r\nEHLO isp\r\nMA", "=TURNED", "C:",
        "rest:EHLO isp\r\nMA" } },
    { "nor is what comes later", &user, {
        ASKED, "S:250 OK\r\n", "S:250 what\r\n", "=TURNED", "C:", "rest:250 what\r\n" } },
    { "under TLS, by what was offered there", &secured, {
        "S:220 isp\r\n", "C:EHLO us\r\n", "S:250-isp\r\n250 STARTTLS\r\n", "C:STARTTLS\r\n",
        "S:220 go\r\n", "secured", "C:EHLO us\r\n", "S:250-isp\r\n250-atrn\r\n250 AUTH PLAIN\r\n",
        "C:" AUTH, "S:235 ok\r\n", "=FREE", "turn:", "C:ATRN\r\n", "S:250 ok\r\n", "=TURNED" } },
    { "an ATRN that was offered before TLS alone is none", &secured, {
        "S:220 isp\r\n", "C:EHLO us\r\n", "S:250-isp\r\n250-ATRN\r\n250 STARTTLS\r\n",
        "C:STARTTLS\r\n", "S:220 go\r\n", "secured", "C:EHLO us\r\n",
        "S:250-isp\r\n250 AUTH PLAIN\r\n", "C:" AUTH, "S:235 ok\r\n", "turn:", "=CLOSES",
        "C:QUIT\r\n", "trouble:OTHER_HOST 4.5.1 peer does not offer ATRN: no mail can be "
        "fetched from it\n" } },
    { "not offered: not said", &user, {
        "S:220 isp\r\n", "C:EHLO us\r\n", "S:250-isp\r\n250 AUTH PLAIN\r\n", "C:" AUTH,
        "S:235 ok\r\n", "turn:a.example", "=CLOSES", "C:QUIT\r\n",
        "trouble:OTHER_HOST 4.5.1 peer does not offer ATRN: no mail can be fetched from it\n" } },
    { "453: there is no mail", &user, {
        ASKED, "S:453 You have no mail\r\n", "=CLOSES", "C:QUIT\r\n",
        "trouble:OTHER_HOST 4.0.0 453 You have no mail (in reply to ATRN command)\n" } },
    { "450: not now", &user, {
        ASKED, "S:450 4.7.1 ATRN request refused\r\n", "=CLOSES", "C:QUIT\r\n",
        "trouble:OTHER_HOST 4.7.1 450 4.7.1 ATRN request refused (in reply to ATRN "
        "command)\n" } },
    { "530", &user, {
        ASKED, "S:530 5.7.0 Authentication required\r\n", "=CLOSES", "C:QUIT\r\n" } },
    { "another 2xx is no 250", &user, {
        ASKED, "S:251 maybe\r\n", "=CLOSES", "rest:",
        "trouble:OTHER_HOST 4.5.0 peer broke the protocol: 251 maybe (in reply to ATRN "
        "command)\n" } },
    { "half a reply, and gone", &user, {
        ASKED, "S:250-OK\r\n", "=READS", "lost:", "=CLOSES",
        "trouble:OTHER_HOST 4.4.2 lost connection with peer while sending ATRN\n" } },
    { "lost when the roles were changed already", &user, {
        ASKED, "S:250 OK\r\n", "lost:Connection reset", "=CLOSES" } },
};
/* NOLINTEND(bugprone-suspicious-missing-comma) */

static const struct stage stages[] = {
    { "ATRN", &user, { ASKED },
      { "OTHER_HOST 4.4.2 CLOSES", "OTHER_HOST 4.7.0 CLOSES", "OTHER_HOST 4.7.0 CLOSES",
        "OTHER_HOST 4.3.2 CLOSES", "OTHER_HOST 4.4.2 CLOSES", "OTHER_HOST 4.5.0 CLOSES" } },
};
/* clang-format on */

static void the_peer_is_asked_for_our_mail(void **state)
{
    (void)state;
    play_all(scripts, SIZE_OF(scripts), NULL);
}

static void trouble_with_ATRN_is_the_sessions(void **state)
{
    (void)state;
    strike_all(stages, SIZE_OF(stages), NULL);
}

static void the_code_tells_what_ATRN_was_answered(void **state)
{
    static const struct {
        const char *said;
        short code;
    } rows[] = {
        { "250 OK\r\n", 250 }, { "453 none\r\n", 453 }, { "502 what\r\n", 502 },
        { "251 x\r\n", 0 },    { "421 bye\r\n", 0 },
    };

    (void)state;
    for (size_t i = 0; i < SIZE_OF(rows); i++) {
        struct play p = { .name = rows[i].said, .now_ms = 1000 };
        static const char *const way[] = { ASKED };

        p.client = client_new(&user, p.now_ms);
        for (size_t k = 0; k < SIZE_OF(way); k++)
            play_line(&p, way[k]);
        assert_int_equal(client_turn_code(p.client), 0);
        feed(&p, span_of(rows[i].said));
        assert_int_equal(client_turn_code(p.client), rows[i].code);
        client_free(p.client);
    }
}

static void an_answer_is_waited_for_ten_minutes(void **state)
{
    static const char *const way[] = { ASKED };
    struct play p = { .name = "time", .now_ms = 1000 };

    (void)state;
    p.client = client_new(&user, p.now_ms);
    for (size_t k = 0; k < SIZE_OF(way); k++)
        play_line(&p, way[k]);
    assert_int_equal(client_deadline_ms(p.client), 1000 + 600000);
    client_free(p.client);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_peer_is_asked_for_our_mail),
        cmocka_unit_test(trouble_with_ATRN_is_the_sessions),
        cmocka_unit_test(the_code_tells_what_ATRN_was_answered),
        cmocka_unit_test(an_answer_is_waited_for_ten_minutes),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
