/*
 * test_session_login - TLS and logins, as the caller of the session sees them.
 *
 * What is said on the wire is tested by the dialogs; here are the lengths and
 * bytes that a dialog cannot try one by one, and every verb in every state.
 */
#include "fake_world.h"
#include "relay/inbound/received.h"
#include "relay/inbound/session_private.h"

#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

static const char configuration[] =
    "hostname = \"mx.ok.test\"\n"
    "tls { certificate = \"/c.pem\" key = \"/k.pem\" }\n"
    "users { file = \"/users\" certificates = \"/devices\" }\n"
    "listener \"edge\" { address = \"127.0.0.1:2525\" tls = optional\n"
    "  auth = optional auth-without-tls = true xclient = {\"192.0.2.0/24\"} }\n"
    "rule \"domains\" { to = {\"ok.test\"} action = relay }\n"
    "route \"*\" { via = {\"mx\"} }\n";

/* What was said so far is of no interest. */
static void forget(struct fake_world *w)
{
    fake_take_output(w);
    buffer_clear(&w->output);
}

static void open_ready(struct fake_world *w)
{
    fake_open(w, configuration, "192.0.2.1");
    fake_say(w, "EHLO a\r\n");
    forget(w);
    w->session->settings->limits.errors = 1000000;
}

static void heard(struct fake_world *w, const char *wanted)
{
    struct span said = buffer_span(&w->output);

    if (!span_starts_nocase(said, span_of(wanted)))
        fail_msg("wanted %s, got %.*s", wanted, SPAN_FMT(said));
    buffer_clear(&w->output);
}

/* ---------------------------------------------------- base64, lengths ---- */

/* Base64 of n bytes, made the slow way. */
static void put_base64(struct buffer *b, const char *bytes, size_t n)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrs"
                                 "tuvwxyz0123456789+/";

    for (size_t i = 0; i < n; i += 3) {
        unsigned v = (unsigned char)bytes[i] << 16;

        v |= i + 1 < n ? (unsigned)(unsigned char)bytes[i + 1] << 8 : 0;
        v |= i + 2 < n ? (unsigned char)bytes[i + 2] : 0;
        buffer_put_byte(b, digits[v >> 18]);
        buffer_put_byte(b, digits[v >> 12 & 63]);
        buffer_put_byte(b, i + 1 < n ? digits[v >> 6 & 63] : '=');
        buffer_put_byte(b, i + 2 < n ? digits[v & 63] : '=');
    }
}

static void every_response_is_decoded_as_it_was_encoded(void **state)
{
    struct fake_world w;
    char bytes[300];

    (void)state;
    for (size_t i = 0; i < sizeof bytes; i++)
        bytes[i] = (char)(i * 7 + i / 64);
    open_ready(&w);
    for (size_t n = 1; n < sizeof bytes; n++) {
        struct buffer line = { 0 };
        const struct session_login *l;

        buffer_put_string(&line, "AUTH PLAIN ");
        put_base64(&line, bytes, n);
        buffer_put_string(&line, "\r\n");
        fake_feed(&w, buffer_span(&line));
        l = session_login(w.session);
        assert_non_null(l);
        assert_true(l->begins && l->has_response);
        assert_int_equal(l->mechanism, MECHANISM_PLAIN);
        assert_true(span_is(l->response, span_make(bytes, n)));
        fake_login(&w, SASL_BAD, "", "");
        heard(&w, "501 5.5.2 ");
        buffer_fini(&line);
    }
    fake_close(&w);
}

/* U02: each length, each byte that is none of base64's, each place. */
static void what_is_no_base64_is_501(void **state)
{
    struct fake_world w;

    (void)state;
    open_ready(&w);
    for (size_t n = 1; n <= 300; n += n < 12 ? 1 : 37) {
        for (size_t at = 0; at < n; at += n < 12 ? 1 : 11) {
            for (int c = 1; c < 256; c++) {
                char line[320];

                if (c == '\n' || c == '\r' || c == ' ' || c == '\t' ||
                    c == 127 || c < 32 || c == '=' || c == '+' || c == '/' ||
                    c == '*' || (c >= '0' && c <= '9') ||
                    (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z'))
                    continue;
                memset(line, 'A', n);
                line[at] = (char)c;
                fake_say(&w, "AUTH PLAIN ");
                fake_feed(&w, span_make(line, n));
                fake_say(&w, "\r\n");
                heard(&w, "501 5.5.2 ");
            }
        }
    }
    fake_close(&w);
}

static void padding_stands_at_the_end_and_is_canonical(void **state)
{
    static const struct {
        const char *text;
        bool is_right;
    } rows[] = {
        { "AA==", true },   { "AAA=", true },        { "AAAA", true },
        { "A", false },     { "AA", false },         { "AAA", false },
        { "AAAAA", false }, { "A===", false },       { "====", false },
        { "AA=A", false },  { "=AAA", false },       { "AB==", false },
        { "AAB=", false },  { "AA==AA==", false },   { "AAAA====", false },
        { "AAAA=", false }, { "==", false },         { "AAAAAA==", true },
        { "AA= =", false }, { "AAAA\tAAAA", false },
    };
    struct fake_world w;

    (void)state;
    open_ready(&w);
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        fake_say(&w, "AUTH PLAIN\r\n");
        fake_login(&w, SASL_MORE, "", "");
        heard(&w, "334 \r\n");
        fake_say(&w, rows[i].text);
        fake_say(&w, "\r\n");
        if ((session_login(w.session) != NULL) != rows[i].is_right)
            fail_msg("%s", rows[i].text);
        if (rows[i].is_right)
            fake_login(&w, SASL_BAD, "", "");
        heard(&w, "501 5.5.2 ");
    }
    fake_close(&w);
}

static void say_long(struct fake_world *w, const char *before, size_t n,
                     size_t piece)
{
    struct buffer line = { 0 };
    struct span rest;

    buffer_put_string(&line, before);
    while (n--)
        buffer_put_byte(&line, 'A');
    buffer_put_string(&line, "\r\n");
    for (rest = buffer_span(&line); rest.len; rest = span_skip(rest, piece))
        fake_feed(w, span_first(rest, piece));
    buffer_fini(&line);
}

/* U03. */
static void responses_may_have_12288_bytes_and_no_more(void **state)
{
    static const size_t pieces[] = { 1, 1000, 100000 };
    struct fake_world w;

    (void)state;
    for (size_t i = 0; i < 3; i++) {
        open_ready(&w);
        say_long(&w, "AUTH PLAIN ", 12288, pieces[i]);
        assert_non_null(session_login(w.session));
        assert_int_equal(session_login(w.session)->response.len, 9216);
        fake_login(&w, SASL_MORE, "", "");
        heard(&w, "334 \r\n");
        say_long(&w, "", 12288, pieces[i]);
        assert_non_null(session_login(w.session));
        fake_login(&w, SASL_MORE, "", "");
        heard(&w, "334 \r\n");
        say_long(&w, "", 12289, pieces[i]);
        heard(&w, "500 5.5.6 ");
        say_long(&w, "AUTH PLAIN ", 12292, pieces[i]);
        heard(&w, "500 5.5.6 ");
        fake_say(&w, "NOOP\r\n");
        heard(&w, "250 ");
        say_long(&w, "NOOP ", 12288, pieces[i]);
        heard(&w, "500 5.5.2 "); /* all others have the lower limit */
        say_long(&w, "AUTH PLAIN ", 1000000, pieces[i]);
        heard(&w, "500 5.5.6 ");
        fake_close(&w);
    }
}

static void nobody_answers_a_server_that_has_not_spoken(void **state)
{
    struct fake_world w;

    (void)state;
    open_ready(&w);
    w.session->settings->listeners[0].mechanisms |= MECHANISM_CRAM_MD5;
    fake_say(&w, "AUTH CRAM-MD5 dQ==\r\n");
    heard(&w, "501 5.7.0 ");
    fake_say(&w, "AUTH CRAM-MD5 =\r\n");
    heard(&w, "501 5.7.0 ");
    fake_say(&w, "AUTH CRAM-MD5\r\n");
    assert_int_equal(session_wants(w.session), SESSION_AUTHENTICATES);
    fake_close(&w);
}

static void a_long_line_of_a_login_takes_little_memory(void **state)
{
    char block[1000];
    struct fake_world w;
    size_t sent = 0;

    (void)state;
    memset(block, 'A', sizeof block);
    open_ready(&w);
    fake_say(&w, "AUTH PLAIN ");
    while (session_wants(w.session) == SESSION_READS && sent < 10000000) {
        fake_feed(&w, span_make(block, sizeof block));
        sent += sizeof block;
        assert_true(w.session->line.size <= 16384);
    }
    assert_true(sent <= 66000);
    heard(&w, "500 5.5.6 ");
    fake_close(&w);
}

/* Where nobody can log in, AUTH has no longer lines than others. */
static void without_logins_the_lower_limit_holds(void **state)
{
    struct fake_world w;

    (void)state;
    fake_open(&w, fake_configuration, "192.0.2.1");
    forget(&w);
    say_long(&w, "AUTH PLAIN ", 2048, 100000);
    heard(&w, "500 5.5.2 ");
    fake_close(&w);
}

/* ------------------------------------------------------------- secrets ---- */

static void a_login_leaves_nothing_behind(void **state)
{
    struct fake_world w;

    (void)state;
    open_ready(&w);
    fake_say(&w, "AUTH PLAIN AHUA");
    fake_say(&w, "cA==\r\n");
    assert_non_null(w.session->auth);
    fake_login(&w, SASL_OK, "", "u");
    heard(&w, "235 2.7.0 ");
    assert_null(w.session->auth);
    assert_null(w.session->line.at);
    assert_null(w.session->output.at);
    assert_true(span_is(w.session->login, SPAN("u")));
    assert_int_equal(session_deadline_ms(w.session), fake_start_ms + 300000);
    fake_close(&w);
}

static void the_draft_and_the_judge_hear_of_the_login(void **state)
{
    struct fake_world w;

    (void)state;
    open_ready(&w);
    w.mood = FAKE_LATER;
    fake_say(&w, "AUTH PLAIN AHUAcA==\r\n");
    fake_login(&w, SASL_OK, "", "u");
    fake_say(&w,
             "MAIL FROM:<s@ext.test>\r\nRCPT TO:<u@ok.test>\r\nDATA\r\n.\r\n");
    assert_true(span_is(session_draft(w.session)->envelope.login, SPAN("u")));
    assert_true(
        span_is(session_draft(w.session)->envelope.protocol, SPAN("ESMTPA")));
    fake_answer(&w, 0);
    fake_close(&w);
}

/* -------------------------------------------------------------- states ---- */

/* Brings a session into each state that it can wait in. */
static void into_greeting(struct fake_world *w)
{
    fake_open(w, configuration, "192.0.2.1");
}

static void into_mail(struct fake_world *w)
{
    open_ready(w);
    fake_say(w, "MAIL FROM:<s@ext.test>\r\n");
}

static void into_rcpt(struct fake_world *w)
{
    into_mail(w);
    fake_say(w, "RCPT TO:<u@ok.test>\r\n");
}

static void into_chunks(struct fake_world *w)
{
    into_rcpt(w);
    fake_say(w, "BDAT 3\r\nabc");
}

static void into_securing(struct fake_world *w)
{
    open_ready(w);
    fake_say(w, "STARTTLS\r\n");
}

static void into_asking(struct fake_world *w)
{
    open_ready(w);
    fake_say(w, "AUTH PLAIN\r\n");
}

static void into_login(struct fake_world *w)
{
    into_asking(w);
    fake_login(w, SASL_MORE, "", "");
}

static void into_pausing(struct fake_world *w)
{
    into_asking(w);
    fake_login(w, SASL_WRONG, "", "");
}

static const char *const lines[] = {
    "EHLO a\r\n",
    "HELO a\r\n",
    "MAIL FROM:<s@ext.test>\r\n",
    "RCPT TO:<u@ok.test>\r\n",
    "DATA\r\n",
    "RSET\r\n",
    "NOOP\r\n",
    "VRFY a\r\n",
    "HELP\r\n",
    "STARTTLS\r\n",
    "AUTH PLAIN\r\n",
    "XCLIENT ADDR=192.0.2.9\r\n",
    "XFORWARD NAME=a\r\n",
    "QUIT\r\n",
    "WIZ\r\n",
};

/* code of the reply to each line; 0: nothing is said (yet) */
static const struct {
    void (*enter)(struct fake_world *w);
    short codes[sizeof lines / sizeof lines[0]];
} states[] = {
    { into_greeting,
      { 250, 250, 503, 503, 503, 250, 250, 252, 214, 220, 503, 220, 550, 221,
        500 } },
    { open_ready,
      { 250, 250, 250, 503, 503, 250, 250, 252, 214, 220, 0, 220, 550, 221,
        500 } },
    { into_mail,
      { 250, 250, 503, 250, 503, 250, 250, 252, 214, 220, 503, 503, 503, 221,
        500 } },
    { into_rcpt,
      { 250, 250, 503, 250, 354, 250, 250, 252, 214, 220, 503, 503, 503, 221,
        500 } },
    { into_chunks,
      { 250, 250, 503, 503, 503, 250, 250, 252, 214, 503, 503, 503, 503, 221,
        500 } },
    /* words of four or eight letters are base64 too */
    { into_login,
      { 501, 501, 501, 501, 0, 0, 0, 501, 0, 0, 501, 501, 501, 0, 501 } },
    { into_securing, { 0 } },
    { into_asking, { 0 } },
    { into_pausing, { 0 } },
};

static void every_verb_is_answered_in_every_state(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof states / sizeof states[0]; i++) {
        for (size_t n = 0; n < sizeof lines / sizeof lines[0]; n++) {
            struct fake_world w;
            int code;

            states[i].enter(&w);
            forget(&w);
            fake_say(&w, lines[n]);
            code = w.output.len
                       ? (int)strtol(buffer_string(&w.output), NULL, 10)
                       : 0;
            if (code != states[i].codes[n])
                fail_msg("state %zu: %d to %s", i, code, lines[n]);
            fake_close(&w);
        }
    }
}

/* Whatever the state: the end of input, our own end and silence end it, once. */
static void every_state_can_end(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof states / sizeof states[0]; i++) {
        for (int way = 0; way < 3; way++) {
            struct fake_world w;

            states[i].enter(&w);
            forget(&w);
            if (way == 0)
                session_end_of_input(w.session, w.now_ms);
            else if (way == 1)
                session_shut_down(w.session, SESSION_GOING_DOWN, w.now_ms);
            else
                fake_wait(&w, 1000000);
            fake_take_output(&w);
            /* what waits for us is not ended by the clock */
            if (way < 2 || states[i].enter != into_asking)
                assert_int_equal(session_wants(w.session), SESSION_CLOSES);
            if (states[i].enter == into_securing)
                assert_int_equal(w.output.len, 0);
            else if (way == 1)
                heard(&w, "421 4.3.2 ");
            fake_close(&w);
        }
    }
}

static void a_reload_in_the_midst_waits_for_its_turn(void **state)
{
    struct fake_world w;
    struct settings *fresh = fake_settings(configuration);

    (void)state;
    into_securing(&w);
    session_reload(w.session, fresh, &fresh->listeners[0]);
    assert_ptr_not_equal(w.session->settings, fresh);
    fake_secure(&w, &fake_tls);
    assert_ptr_equal(w.session->settings, fresh);
    settings_release(fresh);
    fake_close(&w);
}

static void under_tls_a_handshake_byte_is_a_byte(void **state)
{
    struct fake_world w;

    (void)state;
    into_securing(&w);
    fake_secure(&w, &fake_tls);
    buffer_clear(&w.output);
    fake_say(&w, "\x16\x03\x01\r\n");
    heard(&w, "501 5.5.2 ");
    assert_int_equal(session_wants(w.session), SESSION_READS);
    fake_close(&w);
}

static void implicit_tls_without_a_certificate_closes_at_once(void **state)
{
    struct fake_world w;
    struct session *s;
    struct session_client client = { .name = SPAN("unknown") };

    (void)state;
    fake_open(&w, configuration, "192.0.2.1");
    w.settings->listeners[0].tls = LISTENER_TLS_IMPLICIT;
    s = session_new(w.settings, &w.settings->listeners[0], &client, &w.world,
                    w.now_ms);
    assert_int_equal(session_wants(s), SESSION_CLOSES);
    assert_int_equal(session_output(s)->len, 0);
    session_free(s);
    fake_close(&w);
}

static void without_a_certificate_starttls_is_454(void **state)
{
    struct fake_world w;

    (void)state;
    open_ready(&w);
    w.session->has_tls = false;
    fake_say(&w, "STARTTLS\r\n");
    heard(&w, "454 4.7.0 ");
    fake_close(&w);
}

static void the_trace_line_hides_the_client_where_it_should(void **state)
{
    struct host_address client = { { 0 } };
    struct received r = {
        .helo = SPAN("a"),
        .client_name = SPAN("b"),
        .client = &client,
        .hides_client = true,
        .tls = &fake_tls,
        .hostname = SPAN("mx.ok.test"),
        .protocol = SPAN("ESMTPSA"),
        .id = 1,
    };
    struct buffer b = { 0 };

    (void)state;
    received_write(&b, &r);
    assert_string_equal(buffer_string(&b),
                        "Received: (using TLSv1.3 with cipher "
                        "TLS_AES_256_GCM_SHA384 (256/256 bits))\r\n"
                        "\tby mx.ok.test (Waypost) with ESMTPSA id "
                        "0000000000001;\r\n"
                        "\tThu, 1 Jan 1970 00:00:00 +0000\r\n");
    buffer_fini(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_response_is_decoded_as_it_was_encoded),
        cmocka_unit_test(what_is_no_base64_is_501),
        cmocka_unit_test(padding_stands_at_the_end_and_is_canonical),
        cmocka_unit_test(responses_may_have_12288_bytes_and_no_more),
        cmocka_unit_test(nobody_answers_a_server_that_has_not_spoken),
        cmocka_unit_test(a_long_line_of_a_login_takes_little_memory),
        cmocka_unit_test(without_logins_the_lower_limit_holds),
        cmocka_unit_test(a_login_leaves_nothing_behind),
        cmocka_unit_test(the_draft_and_the_judge_hear_of_the_login),
        cmocka_unit_test(every_verb_is_answered_in_every_state),
        cmocka_unit_test(every_state_can_end),
        cmocka_unit_test(a_reload_in_the_midst_waits_for_its_turn),
        cmocka_unit_test(under_tls_a_handshake_byte_is_a_byte),
        cmocka_unit_test(implicit_tls_without_a_certificate_closes_at_once),
        cmocka_unit_test(without_a_certificate_starttls_is_454),
        cmocka_unit_test(the_trace_line_hides_the_client_where_it_should),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
