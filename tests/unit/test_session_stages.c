/*
 * What rules want to know before the banner, and what is taken and remembered before a 250.
 */
#include "fake_world.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#define TOP                                                                    \
    "hostname = \"mx.ok.test\"\n"                                              \
    "queue { path = \"/nonexistent/queue.db\" }\n"
#define LISTENER "listener \"edge\" { address = \"127.0.0.1:2525\" }\n"
#define OURS                                                                   \
    "rule \"ours\" { to = {\"ok.test\", \"old.test\", \"full.ok.test\","       \
    " \"noroute.test\"} action = relay }\n"                                    \
    "route \"*\" { via = {\"mx\"} }\n"

static void assert_said(struct fake_world *w, const char *expected)
{
    fake_take_output(w);
    assert_string_equal(buffer_string(&w->output), expected);
    buffer_clear(&w->output);
}

static bool asks(const struct fake_world *w)
{
    return session_wants(w->session) == SESSION_ASKS;
}

/* The questions in hand, "kind key;", tabs shown as |. */
static void assert_asks(const struct fake_world *w, const char *expected)
{
    static const char *const kinds[EVIDENCE_KINDS] = {
        [EVIDENCE_NAME] = "name",       [EVIDENCE_ADDRESSES] = "addresses",
        [EVIDENCE_NOTE] = "note",       [EVIDENCE_BUDGET] = "budget",
        [EVIDENCE_COUNT] = "count",     [EVIDENCE_SERVER] = "server",
        [EVIDENCE_MAILBOX] = "mailbox", [EVIDENCE_CHARGE] = "charge",
    };
    struct buffer b = { 0 };
    size_t count;
    const struct evidence_question *q;

    assert_true(asks(w));
    q = session_questions(w->session, &count);
    for (size_t i = 0; i < count; i++) {
        buffer_printf(&b, "%s ", kinds[q[i].kind]);
        for (size_t n = 0; n < q[i].key.len; n++)
            buffer_put_byte(&b, q[i].key.at[n] == '\t' ? '|' : q[i].key.at[n]);
        if (q[i].kind == EVIDENCE_CHARGE)
            buffer_printf(&b, " %d", (int)q[i].amount);
        buffer_put_byte(&b, ';');
    }
    assert_string_equal(buffer_string(&b), expected);
    buffer_fini(&b);
}

/* One answer for each question in hand; NULL: none can be had. */
static void answer(struct fake_world *w, const char *const *answers)
{
    size_t count;
    const struct evidence_question *q = session_questions(w->session, &count);

    for (size_t i = 0; i < count; i++)
        if (answers[i])
            evidence_put(session_evidence(w->session), q[i].kind, q[i].key,
                         EVIDENCE_ANSWERED, span_of(answers[i]));
    session_answered(w->session, w->now_ms);
    fake_go_on(w);
}

#define ANSWER(w, ...) answer(w, (const char *const[]){ __VA_ARGS__ })

/* ------------------------------------------------------------ the banner ---- */

static void the_banner_waits_for_what_rules_ask(void **state)
{
    static const struct {
        const char *listed, *expected;
        enum session_wants wants;
    } rows[] = {
        { "", "220 mx.ok.test ESMTP Waypost\r\n", SESSION_READS },
        { "127.0.0.2", "554 5.7.1 192.0.2.1: Access denied\r\n",
          SESSION_READS },
        { NULL, "220 mx.ok.test ESMTP Waypost\r\n", SESSION_READS },
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct fake_world w;

        fake_open(&w,
                  TOP LISTENER
                  "rule \"l\" { dnsbl = {\"bl.test\"} action = reject }\n" OURS,
                  "192.0.2.1");
        assert_asks(&w, "addresses 1.2.0.192.bl.test;");
        fake_say(&w, "EHLO a\r\n"); /* waits as well */
        assert_said(&w, "");
        ANSWER(&w, rows[i].listed);
        assert_int_equal(session_wants(w.session), rows[i].wants);
        fake_take_output(&w);
        assert_memory_equal(buffer_string(&w.output), rows[i].expected,
                            strlen(rows[i].expected));
        fake_close(&w);
    }
}

static void who_talked_while_rules_asked_is_heard_before_the_banner(
    void **state)
{
    struct fake_world w;

    (void)state;
    fake_open(&w,
              TOP "listener \"edge\" { address = \"127.0.0.1:2525\""
                  " greet-delay = \"1s\" }\n"
                  "rule \"l\" { dnsbl = {\"bl.test\"} action = reject }\n" OURS,
              "192.0.2.1");
    fake_say(&w, "EHLO a\r\n");
    w.now_ms += 5000; /* the delay is long over */
    ANSWER(&w, "");
    assert_said(&w, "554 5.5.0 Error: you talk before your turn\r\n");
    assert_int_equal(session_wants(w.session), SESSION_CLOSES);
    fake_close(&w);
}

static void asking_at_hello_and_mail_goes_on_there(void **state)
{
    struct fake_world w;

    (void)state;
    fake_open(
        &w,
        TOP "listener \"edge\" { address = \"127.0.0.1:2525\" auth = none tls "
            "= none }\n"
            "rule \"h\" { helo = {\"*.test\"} dnsbl = {\"h.test\"} action = "
            "reject }\n"
            "rule \"s\" { from = {\"b.test\"} dnsbl = {\"s.test\"} action = "
            "defer }\n" OURS,
        "192.0.2.1");
    assert_said(&w, "220 mx.ok.test ESMTP Waypost\r\n");
    fake_say(&w, "HELO x.test\r\nMAIL FROM:<a@b.test>\r\nRSET\r\n");
    assert_asks(&w, "addresses 1.2.0.192.h.test;");
    assert_said(&w, "");
    ANSWER(&w, "");
    assert_said(&w, "250 mx.ok.test\r\n");
    assert_asks(&w, "addresses 1.2.0.192.s.test;");
    ANSWER(&w, "127.0.0.2");
    assert_said(&w, "450 4.7.1 192.0.2.1: Try again later\r\n"
                    "250 2.0.0 Ok\r\n");
    /* what is known of the client is not asked again */
    fake_say(&w, "MAIL FROM:<a@b.test>\r\nMAIL FROM:<a@c.test>\r\n");
    assert_said(&w, "450 4.7.1 192.0.2.1: Try again later\r\n"
                    "250 2.1.0 Ok\r\n");
    assert_non_null(strstr(buffer_string(&w.told), "mail MAIL 450 4.7.1 "));
    fake_close(&w);
}

/* --------------------------------------------------------------- charges ---- */

#define LIMIT                                                                  \
    "rule \"l\" { action = limit per = client rate = {\"3/h\", \"9/d\"}"       \
    " count = recipients }\n"
#define BUDGETS "budget limit|l|192.0.2.1|0;budget limit|l|192.0.2.1|1;"
#define CHARGES "charge limit|l|192.0.2.1|0 1;charge limit|l|192.0.2.1|1 1;"

static void begin(struct fake_world *w, const char *configuration)
{
    fake_open(w, configuration, "192.0.2.1");
    fake_say(w, "EHLO c.test\r\nMAIL FROM:<a@ext.test> SIZE=500\r\n");
    buffer_clear(&w->output);
    buffer_clear(&w->told);
}

static void what_counts_is_taken_before_the_250(void **state)
{
    struct fake_world w;

    (void)state;
    begin(&w, TOP LISTENER LIMIT OURS);
    fake_say(&w, "RCPT TO:<a@ok.test>\r\nNOOP\r\n");
    assert_asks(&w, BUDGETS);
    ANSWER(&w, "3", "9");
    assert_asks(&w, CHARGES);
    assert_said(&w, "");
    ANSWER(&w, "taken", "taken");
    assert_said(&w, "250 2.1.5 Ok\r\n250 2.0.0 Ok\r\n");
    /* what is left is asked once for a mail: the charge would tell */
    fake_say(&w, "RCPT TO:<b@ok.test>\r\n");
    assert_asks(&w, CHARGES);
    ANSWER(&w, "taken", "taken");
    /* given twice is taken once; refused is not taken */
    fake_say(&w, "RCPT TO:<b@ok.test>\r\nRCPT TO:<b@denied.test>\r\n"
                 "RCPT TO:<b@noroute.test>\r\nRCPT TO:<b@full.ok.test>\r\n");
    assert_false(asks(&w));
    assert_said(&w, "250 2.1.5 Ok\r\n250 2.1.5 Ok\r\n"
                    "554 5.7.1 <b@denied.test>: Relay access denied\r\n"
                    "451 4.3.5 Server configuration problem\r\n"
                    "452 4.2.2 Too much mail waits for that host\r\n");
    fake_say(&w, "RSET\r\nMAIL FROM:<a@ext.test>\r\nRCPT TO:<b@ok.test>\r\n");
    assert_asks(&w, BUDGETS);
    fake_close(&w);
}

static void where_another_was_faster_the_rule_says_no(void **state)
{
    struct fake_world w;

    (void)state;
    begin(&w, TOP LISTENER LIMIT OURS);
    fake_say(&w, "RCPT TO:<a@ok.test>\r\n");
    ANSWER(&w, "1", "9");
    ANSWER(&w, "over", "");
    assert_asks(&w, BUDGETS); /* anew */
    ANSWER(&w, "0", "9");
    assert_said(&w, "450 4.7.1 <a@ok.test>: Too much mail for now, try again later\r\n");
    assert_non_null(strstr(buffer_string(&w.told), "rule=\"l\""));
    fake_close(&w);
}

static void what_cannot_be_counted_is_put_off(void **state)
{
    struct fake_world w;

    (void)state;
    begin(&w, TOP LISTENER LIMIT OURS);
    fake_say(&w, "RCPT TO:<a@ok.test>\r\n");
    ANSWER(&w, "1", "9");
    ANSWER(&w, "taken", NULL);
    assert_said(&w, "451 4.3.0 Error: cannot count this now\r\n");
    fake_say(&w, "DATA\r\n");
    assert_said(&w, "554 5.5.1 Error: no valid recipients\r\n");
    fake_close(&w);
}

static void two_who_are_always_faster_do_not_hold_a_command_forever(
    void **state)
{
    struct fake_world w;
    int rounds = 0;

    (void)state;
    begin(&w, TOP LISTENER LIMIT OURS);
    fake_say(&w, "RCPT TO:<a@ok.test>\r\n");
    for (; asks(&w) && rounds < 10000; rounds++) {
        size_t count;

        if (session_questions(w.session, &count)->kind == EVIDENCE_BUDGET)
            ANSWER(&w, "1", "9");
        else
            ANSWER(&w, "over", "");
    }
    assert_true(rounds > 2 && rounds < 1000);
    fake_take_output(&w);
    assert_non_null(strstr(buffer_string(&w.output), "451 4.3."));
    fake_close(&w);
}

static void the_day_is_counted_for_who_is_accepted(void **state)
{
    struct fake_world w;

    (void)state;
    begin(&w, TOP LISTENER
          "rule \"t\" { today = 2 to = {\"*\"} action = defer }\n" OURS);
    fake_say(&w, "RCPT TO:<a@ok.test>\r\n");
    assert_asks(&w, "count today|client 192.0.2.1;");
    ANSWER(&w, "1");
    assert_asks(&w, "charge today|client 192.0.2.1 1;");
    ANSWER(&w, "taken");
    fake_say(&w, "RCPT TO:<b@ok.test>\r\n");
    assert_asks(&w, "count today|client 192.0.2.1;"); /* it is more now */
    ANSWER(&w, "2");
    assert_said(&w, "250 2.1.5 Ok\r\n"
                    "450 4.7.1 <b@ok.test>: Try again later\r\n");
    fake_close(&w);
}

/* ----------------------------------------------------------------- notes ---- */

static void a_note_is_put_whatever_the_verdict_is(void **state)
{
    struct fake_world w;

    (void)state;
    begin(&w, TOP LISTENER
          "rule \"g\" { action = greylist trust-after = 0 }\n" OURS);
    fake_say(&w, "RCPT TO:<a@ok.test>\r\n");
    ANSWER(&w, "");
    assert_said(&w, "450 4.7.1 <a@ok.test>: Greylisted, try again in 300 seconds\r\n");
    assert_non_null(strstr(buffer_string(&w.told), "NOTE grey"));
    buffer_clear(&w.told);
    /* the same again, a minute later: it is known when it knocked first */
    w.now_ms += 60000;
    fake_say(&w, "RCPT TO:<a@ok.test>\r\n");
    assert_false(asks(&w));
    assert_said(&w, "450 4.7.1 <a@ok.test>: Greylisted, try again in 240 seconds\r\n");
    fake_close(&w);
}

/* ----------------------------------------------------- where it leads to ---- */

static void a_rewritten_recipient_is_looked_at_where_it_goes(void **state)
{
    struct fake_world w;

    (void)state;
    begin(&w, TOP LISTENER "rule \"w\" { action = rewrite rewrite-to ="
                           " {'/^(full|noroute)@old\\.test$/ x@$1.test',"
                           " '/^many@old\\.test$/ x@ok.test'} }\n" OURS);
    fake_say(&w, "RCPT TO:<noroute@old.test>\r\nRCPT TO:<many@old.test>\r\n");
    assert_said(&w, "451 4.3.5 Server configuration problem\r\n"
                    "250 2.1.5 Ok\r\n");
    fake_close(&w);
}

static void shadow_and_its_words_are_told_once(void **state)
{
    struct fake_world w;
    const char *told;

    (void)state;
    begin(&w, TOP LISTENER "rule \"s\" { from = {\"ext.test\"} action = reject "
                           "mode = shadow }\n" LIMIT OURS);
    fake_say(&w, "RCPT TO:<a@ok.test>\r\n");
    ANSWER(&w, "3", "9");
    ANSWER(&w, "taken", "taken");
    assert_said(&w, "250 2.1.5 Ok\r\n");
    told = strstr(buffer_string(&w.told), "would RCPT");
    assert_non_null(told);
    assert_null(strstr(told + 1, "would RCPT"));
    assert_non_null(strstr(told, "why=554 5.7.1 <a@ok.test>: Access denied"));
    fake_close(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_banner_waits_for_what_rules_ask),
        cmocka_unit_test(
            who_talked_while_rules_asked_is_heard_before_the_banner),
        cmocka_unit_test(asking_at_hello_and_mail_goes_on_there),
        cmocka_unit_test(what_counts_is_taken_before_the_250),
        cmocka_unit_test(where_another_was_faster_the_rule_says_no),
        cmocka_unit_test(what_cannot_be_counted_is_put_off),
        cmocka_unit_test(
            two_who_are_always_faster_do_not_hold_a_command_forever),
        cmocka_unit_test(the_day_is_counted_for_who_is_accepted),
        cmocka_unit_test(a_note_is_put_whatever_the_verdict_is),
        cmocka_unit_test(a_rewritten_recipient_is_looked_at_where_it_goes),
        cmocka_unit_test(shadow_and_its_words_are_told_once),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
