/*
 * test_session_judge - what rules say of the whole message, before the 250.
 */
#include "fake_world.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "relay/inbound/variants.h"

#define TOP                                                                    \
    "hostname = \"mx.ok.test\"\n"                                              \
    "queue { path = \"/nonexistent/queue.db\" }\n"                             \
    "listener \"edge\" { address = \"127.0.0.1:2525\" }\n"                     \
    "route \"*\" { via = {\"mx\"} }\n"
#define RELAY "rule \"all\" { client = {\"192.0.2.0/24\"} action = relay }\n"

static struct fake_world w;

static void begin(const char *text)
{
    fake_open(&w, text, "192.0.2.1");
    fake_say(&w, "EHLO c.test\r\n");
    buffer_clear(&w.output);
    buffer_clear(&w.told);
}

static void assert_said(const char *expected)
{
    assert_string_equal(buffer_string(&w.output), expected);
    buffer_clear(&w.output);
}

static void assert_told(const char *part)
{
    if (!strstr(buffer_string(&w.told), part))
        fail_msg("\"%s\" is not in:\n%s", part, buffer_string(&w.told));
}

/* MAIL, RCPT for each, DATA. */
static void envelope(const char *a, const char *b)
{
    fake_say(&w, "MAIL FROM:<a@from.test>\r\n");
    fake_say(&w, a);
    if (b)
        fake_say(&w, b);
    fake_say(&w, "DATA\r\n");
    assert_non_null(strstr(buffer_string(&w.output), "354 "));
    buffer_clear(&w.output);
}

#define BOB "RCPT TO:<bob@x.test>\r\n"
#define EVE "RCPT TO:<eve@x.test>\r\n"

static const struct evidence_question *questions(size_t *out_count)
{
    assert_int_equal(session_wants(w.session), SESSION_ASKS);
    return session_questions(w.session, out_count);
}

/* The same answer to all that is asked, which are so many of that kind. */
static void answer(enum evidence_kind kind, size_t count, const char *text)
{
    size_t n;
    const struct evidence_question *q = questions(&n);

    assert_int_equal(n, count);
    for (size_t i = 0; i < n; i++) {
        assert_int_equal(q[i].kind, kind);
        if (text)
            evidence_put(session_evidence(w.session), kind, q[i].key,
                         EVIDENCE_ANSWERED, span_of(text));
    }
    session_answered(w.session, w.now_ms);
    fake_go_on(&w);
}

/* --- what decides ------------------------------------------------------------ */

static const char refusing[] =
    TOP "rule \"prizes\" { header = {'Subject: /prize/'} action = reject"
        " reply = \"550 5.7.1 <%{recipient}>: no prizes\" }\n"
        "rule \"exe\" { attachment = {\"*.exe\"} action = discard }\n"
        "rule \"odd\" { header = {\"X-Odd\"} action = hold }\n" RELAY;

static void a_refusal_is_that_of_the_first_recipient(void **state)
{
    (void)state;
    begin(refusing);
    envelope(BOB, EVE);
    fake_say(&w, "Subject: a\r\n prize\r\n\r\nx\r\n.\r\nMAIL FROM:<>\r\n");
    assert_said("550 5.7.1 <bob@x.test>: no prizes\r\n250 2.1.0 Ok\r\n");
    assert_told("data END-OF-DATA 550 5.7.1 <bob@x.test>: no prizes "
                "from=<a@from.test> to=<bob@x.test> rule=\"prizes\"");
    assert_int_equal(w.stored, 0);
    fake_close(&w);
}

static void who_is_discarded_or_held_is_marked(void **state)
{
    (void)state;
    begin(refusing);
    envelope(BOB, EVE);
    fake_say(&w, "X-Odd: y\r\n\r\nx\r\n.\r\n");
    assert_int_equal(w.stored, 1);
    assert_string_equal(buffer_string(&w.recipients),
                        "bob@x.test(hold) eve@x.test(hold)");
    envelope(BOB, NULL);
    fake_say(&w, "Content-Type: application/octet-stream;"
                 " name=\"A.EXE\"\r\n\r\nx\r\n.\r\n");
    assert_string_equal(buffer_string(&w.recipients), "bob@x.test(discard)");
    envelope(BOB, NULL);
    fake_say(&w, "Subject: x\r\n\r\nprize a.exe X-Odd:\r\n.\r\n");
    assert_string_equal(buffer_string(&w.recipients), "bob@x.test");
    fake_close(&w);
}

static void chunks_are_looked_at_like_dots(void **state)
{
    (void)state;
    begin(refusing);
    fake_say(&w, "MAIL FROM:<a@from.test>\r\n" BOB);
    buffer_clear(&w.output);
    fake_say(&w, "BDAT 10\r\nSubject: pBDAT 8\r\nrize\r\n\r\n");
    fake_say(&w, "BDAT 0 LAST\r\n");
    assert_said("250 2.0.0 Ok: 10 bytes\r\n250 2.0.0 Ok: 8 bytes\r\n"
                "550 5.7.1 <bob@x.test>: no prizes\r\n");
    fake_say(&w, "MAIL FROM:<a@from.test>\r\n" BOB);
    buffer_clear(&w.output);
    /* the line end that is added at last is seen, too */
    fake_say(&w, "BDAT 14 LAST\r\nSubject: prize");
    assert_said("550 5.7.1 <bob@x.test>: no prizes\r\n");
    fake_close(&w);
}

/* --- what edits ---------------------------------------------------------------- */

static const char editing[] =
    TOP "rule \"mark\" { to = {\"bob@x.test\"} action = add-header"
        " add-header = {\"X-To: %{recipient}\"} }\n" RELAY;

static struct draft *finish(const char *content)
{
    struct draft *d;

    w.mood = FAKE_LATER;
    fake_say(&w, content);
    assert_int_equal(session_wants(w.session), SESSION_STORES);
    d = session_draft(w.session);
    assert_non_null(d);
    return d;
}

static void the_head_is_apart_only_where_rules_may_edit_it(void **state)
{
    static const char content[] = "A: b\r\n\r\nbody\r\n.\r\n";
    struct draft *d;

    (void)state;
    begin(editing);
    envelope(EVE, NULL);
    d = finish(content);
    assert_int_equal(d->head.len, 0);
    assert_null(d->variants);
    fake_answer(&w, 0);
    w.mood = 0;
    envelope(BOB, EVE);
    d = finish(content);
    assert_true(span_is(buffer_span(&d->content), SPAN("body\r\n")));
    assert_true(span_is(span_skip(buffer_span(&d->head), d->trace_bytes),
                        SPAN("A: b\r\n\r\n")));
    assert_int_equal(d->envelope.header_bytes, d->head.len);
    assert_int_equal(d->envelope.size_bytes, d->head.len + d->content.len);
    assert_int_equal(d->variants->count, 2);
    assert_int_equal(d->variants->all[0].id, d->id);
    assert_true(d->variants->all[1].id > d->id);
    /* its trace line has its own id */
    assert_true(d->variants->all[1].trace.len > 0);
    fake_answer(&w, 0);
    fake_close(&w);
}

static void a_caller_may_take_the_body_but_never_the_head(void **state)
{
    struct draft *d;

    (void)state;
    begin(editing);
    envelope(BOB, NULL);
    fake_say(&w, "A: b\r\n");
    assert_false(session_in_content(w.session));
    fake_say(&w, "\r\nbo");
    assert_true(session_in_content(w.session));
    d = session_draft(w.session);
    assert_true(span_is(buffer_span(&d->content), SPAN("bo")));
    d->taken_bytes += d->content.len;
    buffer_fini(&d->content);
    d = finish("dy\r\n.\r\n");
    assert_true(span_is(buffer_span(&d->content), SPAN("dy\r\n")));
    assert_int_equal(d->envelope.size_bytes, d->head.len + 6);
    fake_answer(&w, 0);
    fake_close(&w);
}

/* --- what asks ------------------------------------------------------------------- */

static const char asking[] =
    TOP "rule \"server\" { header = {\"X-Ask\"} action = policy"
        " server = \"127.0.0.1:10023\" }\n" RELAY;

static void ask_about_message(void)
{
    envelope(BOB, NULL);
    fake_say(&w, "X-Ask: y\r\n\r\nx\r\n.\r\nNOOP\r\n");
    if (session_messages(w.session) == 0) /* known from then on */
        answer(EVIDENCE_NAME, 1, "c.test");
    assert_said("");
}

static void a_policy_server_is_asked_before_the_250(void **state)
{
    size_t n;

    (void)state;
    begin(asking);
    ask_about_message();
    assert_true(memmem(questions(&n)->key.at, questions(&n)->key.len,
                       "protocol_state=END-OF-MESSAGE", 29) != NULL);
    answer(EVIDENCE_SERVER, 1, "DUNNO");
    assert_said("250 2.0.0 Ok: queued as 0000000000001\r\n250 2.0.0 Ok\r\n");
    ask_about_message();
    answer(EVIDENCE_SERVER, 1, "REJECT not you");
    assert_non_null(
        strstr(buffer_string(&w.output), "not you\r\n250 2.0.0 Ok"));
    fake_close(&w);
}

static void who_does_not_answer_in_time_makes_it_temporary(void **state)
{
    (void)state;
    begin(asking);
    ask_about_message();
    fake_wait(&w, 31000);
    assert_non_null(strstr(buffer_string(&w.output), "451 4.3.5 "));
    assert_int_equal(w.stored, 0);
    fake_close(&w);
}

static void the_last_chunk_asks_as_well(void **state)
{
    (void)state;
    begin(asking);
    fake_say(&w, "MAIL FROM:<a@from.test>\r\n" BOB "BDAT 12 LAST\r\n"
                 "X-Ask: y\r\n\r\n");
    buffer_clear(&w.output);
    /* not cut by the patience for the client */
    assert_true(session_deadline_ms(w.session) <= w.now_ms + 30000);
    answer(EVIDENCE_NAME, 1, "");
    answer(EVIDENCE_SERVER, 1, "PREPEND X-Answer: yes");
    assert_int_equal(w.stored, 1);
    fake_close(&w);
}

static const char limiting[] =
    TOP "rule \"few\" { action = limit per = client rate = {\"5/h\"}"
        " count = messages }\n" RELAY;

static void limit(void)
{
    fake_say(&w, "MAIL FROM:<a@from.test>\r\n");
    fake_say(&w, BOB);
    if (session_wants(w.session) == SESSION_ASKS)
        answer(EVIDENCE_BUDGET, 1, "1");
    fake_say(&w, EVE);
    fake_say(&w, "DATA\r\n");
    buffer_clear(&w.output);
    fake_say(&w, "x: y\r\n\r\n.\r\n");
}

static void a_message_is_charged_once_before_it_is_stored(void **state)
{
    size_t n;
    const struct evidence_question *q;

    (void)state;
    begin(limiting);
    limit();
    q = questions(&n);
    assert_int_equal(n, 1);
    assert_int_equal(q->kind, EVIDENCE_CHARGE);
    assert_int_equal(q->amount, 1);
    assert_ptr_equal(q->rule, &w.settings->rules[0]);
    assert_int_equal(w.stored, 0);
    answer(EVIDENCE_CHARGE, 1, "taken");
    assert_int_equal(w.stored, 1);
    fake_close(&w);
}

static void limits_hold_for_our_postmaster_too(void **state)
{
    (void)state;
    begin(TOP "postmaster = \"ops@x.test\"\n"
              "rule \"few\" { action = limit per = to-domain rate = {\"5/h\"}"
              " count = recipients }\n"
              "rule \"no\" { to = {\"*\"} action = reject }\n");
    fake_say(&w, "MAIL FROM:<a@from.test>\r\n");
    buffer_clear(&w.output);
    fake_say(&w, "RCPT TO:<postmaster@mx.ok.test>\r\n");
    answer(EVIDENCE_BUDGET, 1, "1");
    answer(EVIDENCE_CHARGE, 1, "taken");
    assert_said("250 2.1.5 Ok\r\n");
    fake_say(&w, "RSET\r\nMAIL FROM:<b@from.test>\r\n");
    buffer_clear(&w.output);
    fake_say(&w, "RCPT TO:<postmaster@mx.ok.test>\r\n");
    answer(EVIDENCE_BUDGET, 1, "0");
    assert_said("450 4.7.1 <postmaster@mx.ok.test>: Too much mail for now, try "
                "again later\r\n");
    assert_told("rule=\"few\"");
    fake_close(&w);
}

static void who_came_too_late_is_weighed_again(void **state)
{
    (void)state;
    begin(limiting);
    limit();
    answer(EVIDENCE_CHARGE, 1, "over");
    answer(EVIDENCE_BUDGET, 1, "1");
    answer(EVIDENCE_CHARGE, 1, "over");
    answer(EVIDENCE_BUDGET, 1, "0");
    assert_int_equal(w.stored, 0);
    assert_non_null(strstr(buffer_string(&w.output), "450 4.7.1 "));
    assert_told("rule=\"few\"");
    /* always outrun: some day it is over */
    buffer_clear(&w.output);
    limit();
    for (int i = 0; i < 4; i++) {
        answer(EVIDENCE_CHARGE, 1, "over");
        answer(EVIDENCE_BUDGET, 1, "1");
    }
    answer(EVIDENCE_CHARGE, 1, "over");
    assert_said("451 4.3.5 Error: cannot tell now, try again later\r\n");
    limit();
    answer(EVIDENCE_CHARGE, 1, NULL);
    assert_said("451 4.3.5 Error: cannot tell now, try again later\r\n");
    fake_close(&w);
}

static void rules_in_shadow_are_told_and_do_nothing(void **state)
{
    (void)state;
    begin(TOP "rule \"maybe\" { header = {\"X-Odd\"} action = reject"
              " mode = shadow }\n" RELAY);
    envelope(BOB, NULL);
    fake_say(&w, "X-Odd: y\r\n\r\nx\r\n.\r\n");
    assert_int_equal(w.stored, 1);
    assert_told("would END-OF-DATA  from=<a@from.test> to=<bob@x.test> "
                "why=554 5.7.1 <bob@x.test>: Access denied rule=\"maybe\"");
    fake_close(&w);
}

/* --- many ------------------------------------------------------------------------ */

static void a_thousand_recipients_ask_once(void **state)
{
    struct buffer line = { 0 };

    (void)state;
    begin(asking);
    fake_say(&w, "MAIL FROM:<a@from.test>\r\n");
    for (int i = 0; i < 1000; i++) {
        buffer_clear(&line);
        buffer_printf(&line, "RCPT TO:<r%d@x.test>\r\n", i);
        fake_feed(&w, buffer_span(&line));
    }
    fake_say(&w, "DATA\r\nX-Ask: y\r\n\r\nx\r\n.\r\n");
    answer(EVIDENCE_NAME, 1, "c.test");
    answer(EVIDENCE_SERVER, 1, "DUNNO");
    assert_int_equal(w.stored, 1);
    buffer_fini(&line);
    fake_close(&w);
}

static void a_thousand_recipients_may_all_ask(void **state)
{
    struct buffer line = { 0 };
    size_t asked = 0, rounds = 0, n;

    (void)state;
    begin(TOP "rule \"each\" { header = {\"X-Ask\"} action = limit"
              " per = to-domain rate = {\"5/h\"} }\n" RELAY);
    fake_say(&w, "MAIL FROM:<a@from.test>\r\n");
    for (int i = 0; i < 1000; i++) {
        buffer_clear(&line);
        buffer_printf(&line, "RCPT TO:<r@x%d.test>\r\n", i);
        fake_feed(&w, buffer_span(&line));
    }
    fake_say(&w, "DATA\r\nX-Ask: y\r\n\r\nx\r\n.\r\n");
    while (session_questions(w.session, &n)->kind == EVIDENCE_BUDGET) {
        assert_true(n <= 64 && rounds++ < 100);
        asked += n;
        answer(EVIDENCE_BUDGET, n, "5");
    }
    assert_int_equal(asked, 1000);
    answer(EVIDENCE_CHARGE, 1000, "taken");
    assert_int_equal(w.stored, 1);
    buffer_fini(&line);
    fake_close(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_refusal_is_that_of_the_first_recipient),
        cmocka_unit_test(who_is_discarded_or_held_is_marked),
        cmocka_unit_test(chunks_are_looked_at_like_dots),
        cmocka_unit_test(the_head_is_apart_only_where_rules_may_edit_it),
        cmocka_unit_test(a_caller_may_take_the_body_but_never_the_head),
        cmocka_unit_test(a_policy_server_is_asked_before_the_250),
        cmocka_unit_test(who_does_not_answer_in_time_makes_it_temporary),
        cmocka_unit_test(the_last_chunk_asks_as_well),
        cmocka_unit_test(a_message_is_charged_once_before_it_is_stored),
        cmocka_unit_test(limits_hold_for_our_postmaster_too),
        cmocka_unit_test(who_came_too_late_is_weighed_again),
        cmocka_unit_test(rules_in_shadow_are_told_and_do_nothing),
        cmocka_unit_test(a_thousand_recipients_ask_once),
        cmocka_unit_test(a_thousand_recipients_may_all_ask),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
