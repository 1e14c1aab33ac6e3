/*
 * test_witness - who looks on sees all, but no secret.
 */
#include "policy/vocabulary/buffer.h"
#include "relay/outbound/witness.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static void on_said(void *user, struct span line)
{
    buffer_put(user, line);
    buffer_put_byte(user, '|');
}

static void on_heard(void *user, enum client_stage stage, const struct reply *r)
{
    buffer_printf(user, "%d:%d %.*s|", (int)stage, r->code, SPAN_FMT(r->text));
}

static void on_awaits(void *user, enum client_stage stage)
{
    buffer_printf(user, "[%d]", (int)stage);
}

static void shows(const char *out, bool is_login, const char *wanted)
{
    struct buffer b = { 0 };
    struct witness w = { .user = &b, .said = on_said };

    witness_show(&w, span_of(out), is_login);
    assert_string_equal(buffer_string(&b), wanted);
    buffer_fini(&b);
}

static void commands_are_shown_line_by_line(void **state)
{
    (void)state;
    shows("EHLO a\r\n", false, "EHLO a|");
    shows("MAIL FROM:<>\r\nRCPT TO:<a@b>\r\n", false,
          "MAIL FROM:<>|RCPT TO:<a@b>|");
    shows("", false, "");
}

static void of_a_login_only_the_mechanism_is_shown(void **state)
{
    (void)state;
    shows("AUTH PLAIN AHVzAHB3\r\n", true, "AUTH PLAIN [secret]|");
    shows("AUTH LOGIN\r\n", true, "AUTH LOGIN|");
    shows("dXM=\r\n", true, "[secret]|");
}

static void feed(struct client *c, const char *bytes)
{
    (void)client_feed(c, span_of(bytes), 0);
}

/* A peer that repeats a password must not bring it to people's eyes. */
static void a_peer_that_repeats_the_secret_is_withheld(void **state)
{
    struct buffer b = { 0 };
    struct witness w = {
        .user = &b, .said = on_said, .heard = on_heard, .awaits = on_awaits
    };
    struct client_options o = {
        .hostname = SPAN("relay.test"),
        .timeouts = &client_timeouts_default,
        .login = SPAN("us"),
        .secret = SPAN("hush-hush"),
        .login_without_tls = true,
        .host = SPAN("a.test"),
        .witness = &w,
    };
    struct client *c = client_new(&o, 0);

    (void)state;
    feed(c, "220 a.test\r\n");
    feed(c, "250-a.test\r\n250 AUTH PLAIN\r\n");
    assert_true(client_is_logging_in(c));
    buffer_clear(client_output(c));
    feed(c, "535 5.7.8 hush-hush is wrong\r\n");
    assert_null(strstr(buffer_string(&b), "hush"));
    assert_non_null(strstr(buffer_string(&b), "535 (text withheld)"));
    assert_false(client_is_logging_in(c));
    buffer_fini(&b);
    client_free(c);
}

static void each_stage_is_told_when_it_is_awaited(void **state)
{
    struct buffer b = { 0 }, wanted = { 0 };
    struct witness w = {
        .user = &b, .said = on_said, .heard = on_heard, .awaits = on_awaits
    };
    struct client_options o = { .hostname = SPAN("relay.test"),
                                .timeouts = &client_timeouts_default,
                                .witness = &w };
    struct client *c = client_new(&o, 0);

    (void)state;
    feed(c, "220 a.test\r\n");
    feed(c, "250-a.test\r\n250 SIZE\r\n");
    buffer_printf(&wanted, "%d:220 a.test|[%d]%d:250 a.test\nSIZE|[%d]",
                  STAGE_GREETING, STAGE_HELO, STAGE_HELO, STAGE_IDLE);
    assert_string_equal(buffer_string(&b), buffer_string(&wanted));
    buffer_fini(&b);
    buffer_fini(&wanted);
    client_free(c);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(commands_are_shown_line_by_line),
        cmocka_unit_test(of_a_login_only_the_mechanism_is_shown),
        cmocka_unit_test(a_peer_that_repeats_the_secret_is_withheld),
        cmocka_unit_test(each_stage_is_told_when_it_is_awaited),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
