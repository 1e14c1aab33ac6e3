/*
 * test_tape - what was said on a connection, for people: whole, bounded, without secrets.
 */
#include "policy/vocabulary/mechanism.h"
#include "relay/outbound/client.h"
#include "relay/outbound/tape.h"

#include <malloc.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

static void assert_tape(const struct tape *t, const char *wanted)
{
    struct buffer b = { 0 };

    tape_print(t, &b);
    assert_string_equal(buffer_string(&b), wanted);
    buffer_fini(&b);
}

static void a_tape_has_both_sides_line_by_line(void **state)
{
    struct tape t = { 0 };

    (void)state;
    assert_tape(&t, "");
    tape_heard(&t, 220, (struct status){ 0 }, SPAN("mx.test"));
    tape_said(&t, SPAN("EHLO us"));
    tape_heard(&t, 250, (struct status){ 0 }, SPAN("mx\nSIZE 1000\n8BITMIME"));
    tape_begin(&t);
    tape_said(&t, SPAN("MAIL FROM:<>"));
    tape_heard(&t, 451, STATUS(4, 7, 100), SPAN("later\x1b[2J"));
    assert_tape(&t, "< 220 mx.test\n> EHLO us\n"
                    "< 250-mx\n< 250-SIZE 1000\n< 250 8BITMIME\n"
                    "> MAIL FROM:<>\n< 451 4.7.100 later\\x1B[2J\n");
    tape_begin(&t);
    assert_tape(&t, "< 220 mx.test\n> EHLO us\n"
                    "< 250-mx\n< 250-SIZE 1000\n< 250 8BITMIME\n");
}

static void a_tape_keeps_the_beginning_and_the_end(void **state)
{
    struct buffer b = { 0 };
    struct tape t = { 0 };
    char line[32];

    (void)state;
    tape_heard(&t, 220, (struct status){ 0 }, SPAN("first"));
    tape_begin(&t);
    for (int i = 0; i < 1000; i++) {
        (void)snprintf(line, sizeof line, "RCPT TO:<%d@x>", i);
        tape_said(&t, span_of(line));
    }
    tape_heard(&t, 554, (struct status){ 0 }, SPAN("last"));
    tape_print(&t, &b);
    assert_true(b.len < TAPE_OPENING + 2 * TAPE_HALF);
    assert_non_null(strstr(buffer_string(&b), "< 220 first\n...\n> RCPT"));
    assert_non_null(strstr(buffer_string(&b), "<998@x>\n> RCPT TO:<999@x>\n"
                                              "< 554 last\n"));
    buffer_fini(&b);
}

static void a_tape_cuts_what_is_long_and_escapes_what_is_foul(void **state)
{
    struct buffer b = { 0 };
    struct tape t = { 0 };
    char *text = test_calloc(1, 65536);

    (void)state;
    for (int round = 0; round < 2; round++) {
        for (size_t i = 0; i < 65535; i++)
            text[i] = i % 7 == 6 ? '\n' : '\x1b';
        tape_heard(&t, 550, STATUS(5, 1, 1), span_of(text));
        memset(text, '\xff', 65535);
        tape_said(&t, span_of(text));
        tape_begin(&t);
        tape_said(&t, span_of(text));
    }
    tape_print(&t, &b);
    assert_true(b.len <= TAPE_TEXT);
    for (size_t i = 0; i < b.len; i++)
        assert_true(b.at[i] == '\n' || (b.at[i] >= ' ' && b.at[i] < 127));
    buffer_fini(&b);
    test_free(text);
}

/* What succeeds makes no text and takes no memory. */
static void a_tape_costs_no_memory(void **state)
{
    struct tape t = { 0 };
    size_t before = mallinfo2().uordblks;

    (void)state;
    for (int i = 0; i < 10000; i++) {
        tape_begin(&t);
        tape_said(&t, SPAN("MAIL FROM:<a@b> SIZE=1000"));
        tape_heard(&t, 250, STATUS(2, 1, 0), SPAN("Ok"));
    }
    assert_int_equal(mallinfo2().uordblks, before);
    assert_true(sizeof t < 2300);
}

/* ------------------------------------------------------- of a client ----- */

static void feed(struct client *c, const char *text)
{
    (void)client_feed(c, span_of(text), 0);
    buffer_clear(client_output(c));
}

static struct client *client_with_login(unsigned mechanisms)
{
    const struct client_options o = { .hostname = SPAN("us"),
                                      .timeouts = &client_timeouts_default,
                                      .login = SPAN("me"),
                                      .secret = SPAN("hunter2"),
                                      .mechanisms = mechanisms,
                                      .login_without_tls = true };

    return client_new(&o, 0);
}

static void assert_said(struct client *c, const char *wanted)
{
    struct buffer b = { 0 };

    client_dialogue(c, &b);
    assert_string_equal(buffer_string(&b), wanted);
    buffer_fini(&b);
}

static void a_client_keeps_no_secret_and_no_content(void **state)
{
    static const struct envelope e = { .sender = SPAN_INIT("a@b"),
                                       .size_bytes = 9 };
    static const struct client_recipient to[] = { { SPAN_INIT("c@d") } };
    static const struct client_transaction t = { .envelope = &e,
                                                 .recipients = to,
                                                 .count = 1 };
    struct client *c = client_with_login(MECHANISM_PLAIN);

    (void)state;
    feed(c, "220 mx\r\n");
    feed(c, "250-mx\r\n250 AUTH PLAIN\r\n");
    feed(c, "235 2.7.0 welcome, password hunter2\r\n");
    assert_int_equal(client_wants(c), CLIENT_FREE);
    client_start(c, &t, 0);
    feed(c, "250 2.1.0 Ok\r\n");
    feed(c, "250 2.1.5 Ok\r\n");
    feed(c, "354 go on\r\n");
    client_content(c, SPAN("SECRET\r\n"), true, 0);
    feed(c, "554 5.7.1 no\r\n");
    assert_int_equal(client_wants(c), CLIENT_DONE);
    assert_said(c, "< 220 mx\n> EHLO us\n< 250-mx\n< 250 AUTH PLAIN\n"
                   "> AUTH PLAIN (withheld)\n< 235 2.7.0 (withheld)\n"
                   "> MAIL FROM:<a@b>\n< 250 2.1.0 Ok\n"
                   "> RCPT TO:<c@d>\n< 250 2.1.5 Ok\n> DATA\n< 354 go on\n"
                   "> (content) .\n< 554 5.7.1 no\n");
    client_free(c);
}

static void a_client_keeps_no_challenge(void **state)
{
    struct client *c = client_with_login(MECHANISM_LOGIN);

    (void)state;
    feed(c, "220 mx\r\n");
    feed(c, "250-mx\r\n250 AUTH LOGIN\r\n");
    feed(c, "334 VXNlcm5hbWU6\r\n");
    feed(c, "334 UGFzc3dvcmQ6\r\n");
    feed(c, "535 5.7.8 aHVudGVyMg== is wrong\r\n");
    assert_said(c, "< 220 mx\n> EHLO us\n< 250-mx\n< 250 AUTH LOGIN\n"
                   "> AUTH LOGIN\n< 334 (withheld)\n> (withheld)\n"
                   "< 334 (withheld)\n> (withheld)\n"
                   "< 535 5.7.8 (withheld)\n");
    client_free(c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_tape_has_both_sides_line_by_line),
        cmocka_unit_test(a_tape_keeps_the_beginning_and_the_end),
        cmocka_unit_test(a_tape_cuts_what_is_long_and_escapes_what_is_foul),
        cmocka_unit_test(a_tape_costs_no_memory),
        cmocka_unit_test(a_client_keeps_no_secret_and_no_content),
        cmocka_unit_test(a_client_keeps_no_challenge),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
