/*
 * A session on a connection whose roles were changed: TLS may be there already, and the
 * client is the provider that we asked.
 */
#include "fake_world.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static const char configuration[] =
    "hostname = \"mx.ok.test\"\n"
    "queue { path = \"/nonexistent/queue.db\" }\n"
    "users { file = \"/nonexistent/users\" }\n"
    "tls { certificate = \"/c\"  key = \"/k\" }\n"
    "listener \"edge\" { address = \"127.0.0.1:2525\" auth = optional "
    "turn = true }\n"
    "account \"us\" { user = us  password-file = \"/nonexistent/pw\" }\n"
    "fetch \"isp\" { from = \"smtp://isp.test\"  login = us }\n"
    "rule \"domains\" { to = {\"ok.test\"} action = relay }\n"
    "rule \"logins\" { login = {\"*\"} action = relay }\n"
    "route \"away.test\" { via = {\"pickup:away\"} "
    "offline { client = {\"192.0.2.1\"} } }\n"
    "route \"*\" { via = {\"mx\"} }\n";

/* As the intake opens one. */
static void open_turned(struct fake_world *w, const struct tls_facts *tls)
{
    struct session_client client = { .name = SPAN("unknown"),
                                     .mechanisms = MECHANISM_ALL,
                                     .has_tls = false,
                                     .tls = tls };

    fake_open(w, configuration, "192.0.2.1");
    session_free(w->session);
    assert_true(host_address_parse(SPAN("192.0.2.1"), &client.address));
    w->session = session_new(w->settings, &w->settings->fetches[0].listener,
                             &client, &w->world, w->now_ms);
    fake_take_output(w);
}

static bool has(struct buffer *b, const char *text)
{
    return strstr(buffer_string(b), text) != NULL;
}

static void it_greets_at_once_and_offers_nothing_that_leads_back(void **state)
{
    static const char *const verbs[] = {
        "STARTTLS\r\n",       "AUTH PLAIN AHUAcA==\r\n",
        "ETRN away.test\r\n", "ATRN\r\n",
        "TURN\r\n",
    };

    (void)state;
    for (int secured = 0; secured < 2; secured++) {
        struct fake_world w;

        open_turned(&w, secured ? &fake_tls : NULL);
        assert_string_equal(buffer_string(&w.output),
                            "220 mx.ok.test ESMTP Waypost\r\n");
        fake_say(&w, "EHLO isp.test\r\n");
        assert_true(has(&w.output, "250-PIPELINING\r\n"));
        for (size_t i = 0; i < sizeof verbs / sizeof verbs[0]; i++) {
            char word[16];

            (void)snprintf(word, sizeof word, "%.4s", verbs[i]);
            assert_false(has(&w.output, word));
        }
        for (size_t i = 0; i < sizeof verbs / sizeof verbs[0]; i++) {
            buffer_clear(&w.output);
            fake_say(&w, verbs[i]);
            /* with TLS it is there already */
            assert_true(has(&w.output, "50"));
            assert_false(has(&w.output, "530"));
        }
        fake_close(&w);
    }
}

static void the_trace_line_tells_of_TLS_that_was_there_before(void **state)
{
    (void)state;
    for (int secured = 0; secured < 2; secured++) {
        struct fake_world w;

        open_turned(&w, secured ? &fake_tls : NULL);
        fake_say(&w, "EHLO isp.test\r\nMAIL FROM:<a@b.test>\r\n"
                     "RCPT TO:<joe@ok.test>\r\nDATA\r\n");
        fake_say(&w, "x: y\r\n\r\nz\r\n.\r\n");
        assert_int_equal(w.stored, 1);
        assert_true(has(&w.content, secured ? "with ESMTPS" : "with ESMTP "));
        fake_close(&w);
    }
}

static void what_was_offered_and_what_was_taken_is_counted(void **state)
{
    struct fake_world w;

    (void)state;
    open_turned(&w, NULL);
    fake_say(&w, "EHLO isp.test\r\n");
    assert_int_equal(session_mails(w.session), 0);
    /* no login, no relay */
    fake_say(&w, "MAIL FROM:<a@b.test>\r\nRCPT TO:<joe@else.test>\r\n");
    assert_true(has(&w.output, "554 5.7.1 <joe@else.test>: Relay access "
                               "denied"));
    fake_say(&w, "RSET\r\nMAIL FROM:<a@b.test>\r\nRCPT TO:<joe@ok.test>\r\n"
                 "DATA\r\n");
    fake_say(&w, "x: y\r\n\r\nz\r\n.\r\nMAIL FROM:nonsense\r\n");
    assert_int_equal(session_mails(w.session), 3);
    assert_int_equal(session_messages(w.session), 1);
    fake_say(&w, "QUIT\r\n");
    assert_int_equal(session_wants(w.session), SESSION_CLOSES);
    assert_string_equal(session_stage(w.session), "QUIT");
    fake_close(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(it_greets_at_once_and_offers_nothing_that_leads_back),
        cmocka_unit_test(the_trace_line_tells_of_TLS_that_was_there_before),
        cmocka_unit_test(what_was_offered_and_what_was_taken_is_counted),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
