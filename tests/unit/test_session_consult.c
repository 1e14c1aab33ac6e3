/*
 * A command that stops to ask, and what may happen meanwhile; recipients that are
 * verified are who asks.
 */
#include "fake_world.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#define TOP                                                                    \
    "hostname = \"mx.ok.test\"\n"                                              \
    "queue { path = \"/nonexistent/queue.db\" }\n"                             \
    "listener \"edge\" { address = \"127.0.0.1:2525\" }\n"                     \
    "limits { silence = 300s errors = 4 }\n"                                   \
    "rule \"domains\" { to = {\"ok.test\", \"plain.test\", \"list.test\","     \
    " \"lax.test\", \"noroute.test\"} action = relay }\n"                      \
    "route \"list.test\" { via = {\"mx\"} verify = \"table:list\" }\n"         \
    "route \"plain.test\" { via = {\"mx\"} }\n"                                \
    "route \"lax.test\" { via = {\"mx\"} verify = callout"                     \
    " verify-unknown = accept }\n"

static const char configuration[] =
    TOP "route \"*\" { via = {\"mx\"} verify = callout }\n";

/* The table "list" is read as any file: it is the configuration, unless it is asked for. */
static int read_file(void *user, const char *path, struct buffer *out)
{
    buffer_put_string(out, strcmp(path, "list") ? user
                                                : "ann@list.test\n"
                                                  "/^x/\n");
    return 0;
}

static struct settings *settings_of(const char *text)
{
    struct settings_source source = {
        .path = "test.conf",
        .machine_name = "mx.ok.test",
        .state_folder = "/nonexistent",
        .read_file = read_file,
        .user = (void *)text,
    };
    struct buffer faults = { 0 }, warnings = { 0 };
    struct settings *s = settings_read(&source, &faults, &warnings);

    if (!s)
        fail_msg("%s", buffer_string(&faults));
    buffer_fini(&faults);
    buffer_fini(&warnings);
    return s;
}

static void begin(struct fake_world *w, const char *text)
{
    struct host_address address;

    *w = (struct fake_world){ .now_ms = fake_start_ms };
    w->world = fake_world_of(w);
    w->settings = settings_of(text);
    assert_true(host_address_parse(SPAN("192.0.2.1"), &address));
    w->session = session_new(
        w->settings, &w->settings->listeners[0],
        &(struct session_client){ .address = address, .name = SPAN("c.test") },
        &w->world, w->now_ms);
    fake_say(w, "EHLO c.test\r\nMAIL FROM:<a@ext.test>\r\n");
    buffer_clear(&w->output);
    buffer_clear(&w->told);
}

static void assert_said(struct fake_world *w, const char *expected)
{
    assert_string_equal(buffer_string(&w->output), expected);
    buffer_clear(&w->output);
}

static bool asks(const struct fake_world *w)
{
    return session_wants(w->session) == SESSION_ASKS;
}

static void assert_asks(const struct fake_world *w, const char *key)
{
    size_t count;
    const struct evidence_question *q;

    assert_true(asks(w));
    q = session_questions(w->session, &count);
    assert_int_equal(count, 1);
    assert_int_equal(q->kind, EVIDENCE_MAILBOX);
    assert_true(span_is(q->key, span_of(key)));
}

/* -------------------------------------------------------------- answers ---- */

static void yes_no_and_unknown_have_their_replies(void **state)
{
    struct fake_world w;

    (void)state;
    begin(&w, configuration);
    fake_say(&w, "RCPT TO:<Ann@OK.test>\r\n");
    assert_asks(&w, "*\tAnn@ok.test");
    assert_said(&w, "");
    fake_tell_mailbox(&w, "yes");
    assert_said(&w, "250 2.1.5 Ok\r\n");
    fake_say(&w, "RCPT TO:<bob@ok.test>\r\n");
    fake_tell_mailbox(&w, "no 550 5.1.1 who is bob");
    assert_said(&w, "550 5.1.1 <bob@ok.test>: No such user here\r\n");
    assert_non_null(strstr(buffer_string(&w.told), "550 5.1.1"));
    fake_say(&w, "RCPT TO:<eve@ok.test>\r\n");
    fake_tell_mailbox(&w, NULL);
    assert_said(&w, "450 4.1.1 <eve@ok.test>: Recipient cannot be verified "
                    "now, try again later\r\n");
    fake_say(&w, "RCPT TO:<eve@lax.test>\r\n");
    assert_asks(&w, "lax.test\teve@lax.test");
    fake_tell_mailbox(&w, NULL);
    assert_said(&w, "250 2.1.5 Ok\r\n");
    fake_say(&w, "DATA\r\nx\r\n.\r\n");
    assert_string_equal(buffer_string(&w.recipients),
                        "Ann@OK.test eve@lax.test");
    fake_close(&w);
}

static void who_is_not_to_be_verified_is_not_asked_about(void **state)
{
    struct fake_world w;

    (void)state;
    begin(&w, configuration);
    fake_say(&w, "RCPT TO:<ann@plain.test>\r\n"
                 "RCPT TO:<postmaster>\r\n"
                 "RCPT TO:<ann@denied.test>\r\n"
                 "RCPT TO:<ann@noroute.test>\r\n");
    assert_false(asks(&w));
    assert_said(&w, "250 2.1.5 Ok\r\n"
                    "250 2.1.5 Ok\r\n"
                    "554 5.7.1 <ann@denied.test>: Relay access denied\r\n"
                    "451 4.3.5 Server configuration problem\r\n");
    fake_close(&w);
}

static void a_list_says_so_at_once(void **state)
{
    struct fake_world w;

    (void)state;
    begin(&w, configuration);
    fake_say(&w, "RCPT TO:<ANN@list.test>\r\n"
                 "RCPT TO:<xyz@list.test>\r\n"
                 "RCPT TO:<bob@list.test>\r\n");
    assert_said(&w, "250 2.1.5 Ok\r\n"
                    "250 2.1.5 Ok\r\n"
                    "550 5.1.1 <bob@list.test>: No such user here\r\n");
    fake_close(&w);
}

static void an_answer_counts_for_the_transaction_only(void **state)
{
    struct fake_world w;

    (void)state;
    begin(&w, configuration);
    fake_say(&w, "RCPT TO:<bob@ok.test>\r\n");
    fake_tell_mailbox(&w, "no");
    fake_say(&w, "RCPT TO:<bob@ok.test>\r\n");
    assert_said(&w, "550 5.1.1 <bob@ok.test>: No such user here\r\n"
                    "550 5.1.1 <bob@ok.test>: No such user here\r\n");
    fake_say(&w, "RSET\r\nMAIL FROM:<>\r\nRCPT TO:<bob@ok.test>\r\n");
    assert_asks(&w, "*\tbob@ok.test");
    fake_tell_mailbox(&w, "yes");
    assert_said(&w, "250 2.0.0 Ok\r\n250 2.1.0 Ok\r\n250 2.1.5 Ok\r\n");
    fake_close(&w);
}

static void refusals_count_as_errors(void **state)
{
    struct fake_world w;

    (void)state;
    begin(&w, configuration);
    for (int i = 0; i < 4; i++) {
        fake_say(&w, "RCPT TO:<bob@ok.test>\r\n");
        if (asks(&w))
            fake_tell_mailbox(&w, "no");
    }
    assert_int_equal(session_wants(w.session), SESSION_CLOSES);
    assert_non_null(strstr(buffer_string(&w.output), "421 4.7.0"));
    fake_close(&w);
}

/* ------------------------------------------------------------- meanwhile ---- */

static void pipelined_input_waits_and_replies_keep_their_order(void **state)
{
    struct fake_world w;

    (void)state;
    begin(&w, configuration);
    fake_say(&w, "RCPT TO:<a@plain.test>\r\nRCPT TO:<no@ok.test>\r\n"
                 "RCPT TO:<b@plain.test>\r\nRCPT TO:<yes@ok.test> "
                 "NOTIFY=NEVER ORCPT=rfc822;+2B@x\r\nDATA\r\nSubject: x\r\n");
    assert_said(&w, "250 2.1.5 Ok\r\n");
    assert_asks(&w, "*\tno@ok.test");
    fake_say(&w, "\r\nbody\r\n.\r\nNOOP\r\n");
    assert_asks(&w, "*\tno@ok.test");
    assert_said(&w, "");
    fake_tell_mailbox(&w, "no");
    assert_asks(&w, "*\tyes@ok.test");
    assert_said(&w, "550 5.1.1 <no@ok.test>: No such user here\r\n"
                    "250 2.1.5 Ok\r\n");
    fake_tell_mailbox(&w, "yes");
    assert_said(&w, "250 2.1.5 Ok\r\n"
                    "354 End data with <CR><LF>.<CR><LF>\r\n"
                    "250 2.0.0 Ok: queued as 0000000000001\r\n"
                    "250 2.0.0 Ok\r\n");
    assert_string_equal(buffer_string(&w.recipients),
                        "a@plain.test b@plain.test yes@ok.test");
    fake_close(&w);
}

static void parameters_outlive_the_command_line(void **state)
{
    struct fake_world w;
    struct draft *d;

    (void)state;
    begin(&w, configuration);
    w.mood = FAKE_LATER;
    fake_say(&w, "RCPT TO:<\"q q\"@ok.test> NOTIFY=FAILURE "
                 "ORCPT=rfc822;first+2Blast@x.test\r\nNOOP and more and more "
                 "and more and more and more\r\n");
    fake_tell_mailbox(&w, "yes");
    fake_say(&w, "DATA\r\nx\r\n.\r\n");
    d = session_draft(w.session);
    assert_non_null(d);
    assert_int_equal(d->count, 1);
    assert_true(
        span_is(d->recipients[0].address.text, SPAN("\"q q\"@ok.test")));
    assert_true(
        span_is(d->recipients[0].orcpt, SPAN("rfc822;first+last@x.test")));
    assert_int_not_equal(d->recipients[0].notify, 0);
    fake_answer(&w, 0);
    fake_close(&w);
}

static void after_its_time_the_question_has_failed(void **state)
{
    struct fake_world w;
    int64_t deadline;

    (void)state;
    begin(&w, configuration);
    fake_say(&w, "RCPT TO:<a@ok.test>\r\nNOOP\r\n");
    deadline = session_deadline_ms(w.session);
    assert_int_equal(deadline, w.now_ms + 30000);
    session_timeout(w.session, deadline - 1);
    assert_true(asks(&w));
    fake_wait(&w, 30000);
    assert_false(asks(&w));
    assert_said(&w, "450 4.1.1 <a@ok.test>: Recipient cannot be verified now, "
                    "try again later\r\n250 2.0.0 Ok\r\n");
    session_answered(w.session, w.now_ms); /* too late, and nobody's */
    assert_said(&w, "");
    assert_int_equal(session_deadline_ms(w.session), w.now_ms + 300000);
    /* the next one waits anew */
    fake_say(&w, "RCPT TO:<b@ok.test>\r\n");
    assert_int_equal(session_deadline_ms(w.session), w.now_ms + 30000);
    fake_tell_mailbox(&w, "yes");
    assert_said(&w, "250 2.1.5 Ok\r\n");
    fake_close(&w);
}

static void going_down_or_losing_the_client_ends_the_wait(void **state)
{
    struct fake_world w;

    (void)state;
    begin(&w, configuration);
    fake_say(&w, "RCPT TO:<a@ok.test>\r\n");
    session_shut_down(w.session, SESSION_GOING_DOWN, w.now_ms);
    fake_take_output(&w);
    assert_said(&w, "421 4.3.2 mx.ok.test Service shutting down\r\n");
    assert_int_equal(session_wants(w.session), SESSION_CLOSES);
    session_answered(w.session, w.now_ms);
    fake_close(&w);
    begin(&w, configuration);
    fake_say(&w, "RCPT TO:<a@ok.test>\r\n");
    session_end_of_input(w.session, w.now_ms);
    assert_int_equal(session_wants(w.session), SESSION_CLOSES);
    fake_close(&w);
    begin(&w, configuration);
    fake_say(&w, "RCPT TO:<a@ok.test>\r\n");
    fake_close(&w); /* in the middle of it */
}

static void a_reload_waits_for_the_end_of_the_mail(void **state)
{
    struct settings *other =
        settings_of(TOP "route \"*\" { via = {\"mx\"} }\n");
    struct fake_world w;

    (void)state;
    begin(&w, configuration);
    fake_say(&w, "RCPT TO:<a@ok.test>\r\n");
    session_reload(w.session, other, &other->listeners[0]);
    assert_ptr_equal(session_settings(w.session), w.settings);
    assert_asks(&w, "*\ta@ok.test");
    fake_tell_mailbox(&w, "yes");
    fake_say(&w, "RCPT TO:<b@ok.test>\r\n");
    assert_true(asks(&w));
    fake_tell_mailbox(&w, "yes");
    fake_say(&w, "RSET\r\nMAIL FROM:<>\r\nRCPT TO:<b@ok.test>\r\n");
    assert_false(asks(&w));
    assert_ptr_equal(session_settings(w.session), other);
    fake_close(&w);
    settings_release(other);
}

/* An answer that is lost again at once must not hold the command forever. */
static void asking_the_same_again_ends_some_time(void **state)
{
    struct fake_world w;
    int rounds = 0;

    (void)state;
    begin(&w, configuration);
    fake_say(&w, "RCPT TO:<a@ok.test>\r\n");
    for (; asks(&w) && rounds < 10000; rounds++) {
        session_answered(w.session, w.now_ms);
        fake_go_on(&w);
    }
    assert_int_equal(rounds, 1); /* no answer counts as failed */
    fake_close(&w);
}

/* The judge asks as well, of its own accord and before the route is. */
static void what_a_rule_asks_is_waited_for(void **state)
{
    struct fake_world w;
    size_t count;
    const struct evidence_question *q;

    (void)state;
    begin(&w, "hostname = \"mx.ok.test\"\n"
              "queue { path = \"/nonexistent/queue.db\" }\n"
              "listener \"edge\" { address = \"127.0.0.1:2525\" }\n"
              "rule \"listed\" { dnsbl = {\"bl.test\"} to = {\"*\"}"
              " action = reject }\n"
              "rule \"domains\" { to = {\"ok.test\"} action = relay }\n"
              "route \"*\" { via = {\"mx\"} verify = callout }\n");
    fake_say(&w, "RCPT TO:<a@ok.test>\r\n");
    assert_true(asks(&w));
    q = session_questions(w.session, &count);
    assert_int_equal(count, 1);
    assert_int_equal(q->kind, EVIDENCE_ADDRESSES);
    assert_true(span_is(q->key, SPAN("1.2.0.192.bl.test")));
    evidence_put(session_evidence(w.session), q->kind, q->key,
                 EVIDENCE_ANSWERED, SPAN(""));
    session_answered(w.session, w.now_ms);
    assert_asks(&w, "*\ta@ok.test");
    fake_tell_mailbox(&w, "yes");
    assert_said(&w, "250 2.1.5 Ok\r\n");
    /* what is known of the client is not asked again */
    fake_say(&w, "RCPT TO:<b@ok.test>\r\n");
    assert_asks(&w, "*\tb@ok.test");
    fake_wait(&w, 30000);
    assert_false(asks(&w));
    fake_close(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(yes_no_and_unknown_have_their_replies),
        cmocka_unit_test(who_is_not_to_be_verified_is_not_asked_about),
        cmocka_unit_test(a_list_says_so_at_once),
        cmocka_unit_test(an_answer_counts_for_the_transaction_only),
        cmocka_unit_test(refusals_count_as_errors),
        cmocka_unit_test(pipelined_input_waits_and_replies_keep_their_order),
        cmocka_unit_test(parameters_outlive_the_command_line),
        cmocka_unit_test(after_its_time_the_question_has_failed),
        cmocka_unit_test(going_down_or_losing_the_client_ends_the_wait),
        cmocka_unit_test(a_reload_waits_for_the_end_of_the_mail),
        cmocka_unit_test(asking_the_same_again_ends_some_time),
        cmocka_unit_test(what_a_rule_asks_is_waited_for),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
