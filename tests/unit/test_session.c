/*
 * test_session - what the caller of the inbound session may rely on.
 *
 * What is said on the wire is tested by the dialogs.
 */
#include "fake_world.h"
#include "relay/inbound/received.h"
#include "relay/net/date.h"
#include "relay/inbound/session_private.h"

#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

static const char envelope_of_two[] = "EHLO a\r\nMAIL FROM:<s@ext.test>\r\n"
                                      "RCPT TO:<u@ok.test>\r\n"
                                      "RCPT TO:<w@ok.test>\r\nDATA\r\n";

static void heard(struct fake_world *w, const char *last_line)
{
    struct span rest, said = buffer_span(&w->output);
    struct span last = { 0 };

    for (rest = said; rest.len;)
        last = span_split(rest, '\n', &rest);
    if (!span_starts_nocase(last, span_of(last_line)))
        fail_msg("wanted %s, got %.*s", last_line, SPAN_FMT(last));
    buffer_clear(&w->output);
}

static void open_in_content(struct fake_world *w)
{
    fake_open(w, fake_configuration, "192.0.2.1");
    fake_say(w, envelope_of_two);
    heard(w, "354 ");
    assert_true(session_in_content(w->session));
}

static void an_idle_session_holds_no_buffer(void **state)
{
    struct fake_world w;
    const struct session *s;

    (void)state;
    open_in_content(&w);
    fake_say(&w, "x\r\n.\r\nNOO");
    fake_say(&w, "P\r\n");
    s = w.session;
    assert_null(s->line.at);
    assert_null(s->output.at);
    assert_null(s->content);
    assert_null(s->draft.content.at);
    assert_null(s->draft.recipients);
    assert_null(s->arena.blocks);
    assert_true(sizeof *s <= 1024);
    fake_close(&w);
}

static void nothing_is_consumed_while_the_queue_has_the_draft(void **state)
{
    static const char rest[] = "x\r\n.\r\nNOOP\r\nQUIT\r\n";
    struct fake_world w;
    size_t n;

    (void)state;
    open_in_content(&w);
    n = session_feed(w.session, span_of(rest), w.now_ms);
    assert_int_equal(n, 6);
    assert_int_equal(session_wants(w.session), SESSION_STORES);
    assert_int_equal(session_feed(w.session, SPAN("NOOP\r\n"), w.now_ms), 0);
    assert_int_equal(session_output(w.session)->len, 0);
    assert_int_equal(session_deadline_ms(w.session), INT64_MAX);
    session_timeout(w.session, w.now_ms + 10000000);
    assert_int_equal(session_wants(w.session), SESSION_STORES);
    session_stored(w.session, 0, w.now_ms);
    fake_take_output(&w);
    heard(&w, "250 2.0.0 Ok: queued as ");
    assert_int_equal(session_messages(w.session), 1);
    assert_null(session_draft(w.session));
    fake_say(&w, "QUIT\r\n");
    heard(&w, "221 ");
    fake_close(&w);
}

static void the_draft_says_what_came(void **state)
{
    struct fake_world w;
    const struct draft *d;

    (void)state;
    open_in_content(&w);
    w.mood = FAKE_LATER;
    fake_say(&w, "Message-ID: <x@y>\r\nA: b\r\n\r\nb\xc3\xbc\r\n.\r\n");
    d = session_draft(w.session);
    assert_non_null(d);
    assert_int_equal(d->id, 1);
    assert_int_equal(d->count, 2);
    assert_true(span_is(d->sender.domain, SPAN("ext.test")));
    assert_true(span_is(d->recipients[1].address.local, SPAN("w")));
    assert_true(span_is(d->recipients[1].address.domain, SPAN("ok.test")));
    assert_true(span_is(d->recipients[0].rule->title, SPAN("domains")));
    assert_true(span_is(d->envelope.message_id, SPAN("<x@y>")));
    assert_true(span_is(d->envelope.client, SPAN("192.0.2.1")));
    assert_true(span_is(d->envelope.client_name, SPAN("client.test")));
    assert_true(span_is(d->envelope.listener, SPAN("edge")));
    assert_true(span_is(d->envelope.protocol, SPAN("ESMTP")));
    assert_true(span_is(d->envelope.helo, SPAN("a")));
    assert_int_equal(d->envelope.received_ms, fake_start_ms);
    assert_true(d->envelope.has_8bit);
    assert_int_equal(d->envelope.size_bytes, d->content.len);
    assert_int_equal(d->content.len - d->envelope.header_bytes, 5);
    fake_answer(&w, 0);
    fake_close(&w);
}

/* As a caller does that moves large content away while it comes. */
static void content_may_be_taken_away_in_parts(void **state)
{
    struct buffer all = { 0 };
    struct fake_world w;
    struct draft *d;
    size_t ours;

    (void)state;
    open_in_content(&w);
    w.mood = FAKE_LATER;
    ours = session_draft(w.session)->content.len;
    for (int i = 0; i < 1000; i++) {
        fake_say(&w, "A: 23456789\r\n");
        d = session_draft(w.session);
        if (d->content.len > 2000) {
            buffer_put(&all, buffer_span(&d->content));
            d->taken_bytes += d->content.len;
            buffer_fini(&d->content);
        }
    }
    fake_say(&w, "\r\n.\r\n");
    d = session_draft(w.session);
    buffer_put(&all, buffer_span(&d->content));
    assert_int_equal(all.len, ours + 13002);
    assert_int_equal(d->envelope.size_bytes, all.len);
    assert_int_equal(d->envelope.header_bytes, all.len);
    assert_true(span_ends_nocase(buffer_span(&all), SPAN("789\r\n\r\n")));
    fake_answer(&w, 0);
    buffer_fini(&all);
    fake_close(&w);
}

static void refused_content_is_let_go_and_its_draft_is_gone(void **state)
{
    struct fake_world w;
    struct draft *d;

    (void)state;
    open_in_content(&w);
    w.settings->limits.message_bytes = 1;
    fake_say(&w, "MAIL FROM:<a@b.test>\r\n.\r\n");
    heard(&w, "250 "); /* the limit is that of the beginning */
    fake_say(&w, "MAIL FROM:<a@b.test>\r\nRCPT TO:<u@ok.test>\r\nDATA\r\n");
    fake_say(&w, "four\r\n");
    d = session_draft(w.session);
    assert_non_null(d);
    assert_null(d->content.at);
    fake_say(&w, ".\r\n");
    heard(&w, "552 5.3.4 ");
    assert_null(session_draft(w.session));
    assert_int_equal(w.stored, 1);
    fake_close(&w);
}

static void the_end_of_input_keeps_nothing_before_the_dot(void **state)
{
    static const char *const said[] = { "", "EHLO a\r\n", "NOO",
                                        envelope_of_two, NULL };

    (void)state;
    for (size_t i = 0; said[i]; i++) {
        struct fake_world w;

        fake_open(&w, fake_configuration, "192.0.2.1");
        fake_say(&w, said[i]);
        session_end_of_input(w.session, w.now_ms);
        assert_int_equal(session_wants(w.session), SESSION_CLOSES);
        assert_null(session_draft(w.session));
        session_end_of_input(w.session, w.now_ms);
        assert_int_equal(w.stored, 0);
        fake_close(&w);
    }
}

static void going_down_cuts_content_at_once(void **state)
{
    struct fake_world w;

    (void)state;
    open_in_content(&w);
    fake_say(&w, "half");
    session_shut_down(w.session, SESSION_GOING_DOWN, w.now_ms);
    fake_take_output(&w);
    heard(&w, "421 4.3.2 mx.ok.test ");
    assert_int_equal(session_wants(w.session), SESSION_CLOSES);
    assert_null(session_draft(w.session));
    fake_say(&w, "\r\n.\r\n");
    assert_int_equal(w.stored, 0);
    assert_int_equal(w.output.len, 0);
    fake_close(&w);
}

static void an_early_timeout_is_none(void **state)
{
    struct fake_world w;

    (void)state;
    fake_open(&w, fake_configuration, "192.0.2.1");
    assert_int_equal(session_deadline_ms(w.session), fake_start_ms + 300000);
    session_timeout(w.session, fake_start_ms + 299999);
    assert_int_equal(session_wants(w.session), SESSION_READS);
    session_timeout(w.session, fake_start_ms + 300000);
    assert_int_equal(session_wants(w.session), SESSION_CLOSES);
    assert_int_equal(session_deadline_ms(w.session), INT64_MAX);
    fake_close(&w);
}

static void content_at_the_least_rate_may_go_on(void **state)
{
    char block[5000];
    struct fake_world w;

    (void)state;
    memset(block, 'x', sizeof block);
    memcpy(block + sizeof block - 2, "\r\n", 2);
    open_in_content(&w);
    for (int i = 0; i < 500; i++) {
        fake_wait(&w, 10000);
        fake_feed(&w, span_make(block, sizeof block));
        assert_int_equal(session_wants(w.session), SESSION_READS);
    }
    /* a burst buys no more than the silence that is allowed anyway */
    for (int i = 0; i < 500; i++)
        fake_feed(&w, span_make(block, sizeof block));
    assert_int_equal(session_deadline_ms(w.session), w.now_ms + 300000);
    fake_wait(&w, 300000);
    heard(&w, "421 4.4.2 ");
    fake_close(&w);
}

static void a_line_without_end_is_cut_with_little_memory(void **state)
{
    char block[1000];
    struct fake_world w;
    size_t sent = 0;

    (void)state;
    memset(block, 'x', sizeof block);
    fake_open(&w, fake_configuration, "192.0.2.1");
    while (session_wants(w.session) == SESSION_READS && sent < 10000000) {
        fake_feed(&w, span_make(block, sizeof block));
        sent += sizeof block;
        assert_true(w.session->line.size <= 4096);
    }
    assert_true(sent <= 66000);
    heard(&w, "500 5.5.2 ");
    fake_close(&w);
}

static void a_reload_lets_go_of_the_old_settings(void **state)
{
    struct fake_world w;
    struct settings *fresh = fake_settings(fake_configuration);
    unsigned before;

    (void)state;
    open_in_content(&w);
    before = w.settings->holders;
    session_reload(w.session, fresh, &fresh->listeners[0]);
    session_reload(w.session, fresh, &fresh->listeners[0]);
    assert_int_equal(w.settings->holders, before);
    assert_int_equal(fresh->holders, 2);
    fake_say(&w, ".\r\n");
    assert_int_equal(w.settings->holders, before - 1);
    assert_ptr_equal(w.session->settings, fresh);
    settings_release(fresh);
    fake_close(&w);
}

static void dates_are_those_of_rfc_5322(void **state)
{
    static const struct {
        int64_t ms;
        const char *text;
    } rows[] = {
        { 0, "Thu, 1 Jan 1970 00:00:00 +0000" },
        { 951827696999, "Tue, 29 Feb 2000 12:34:56 +0000" },
        { 1735689599000, "Tue, 31 Dec 2024 23:59:59 +0000" },
        { 4102444800000, "Fri, 1 Jan 2100 00:00:00 +0000" },
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct buffer b = { 0 };

        date_print(&b, rows[i].ms);
        assert_string_equal(buffer_string(&b), rows[i].text);
        buffer_fini(&b);
    }
}

static void the_trace_line_holds_no_stranger_s_syntax(void **state)
{
    struct host_address client;
    struct received r = {
        .helo = SPAN("a(b)\"c;\\<d>\x80"),
        .client_name = SPAN("ev\r\nil"),
        .client = &client,
        .hostname = SPAN("mx.ok.test"),
        .protocol = SPAN("ESMTP"),
        .id = 1,
    };
    struct buffer b = { 0 };

    (void)state;
    assert_true(host_address_parse(SPAN("2001:db8::1"), &client));
    received_write(&b, &r);
    assert_string_equal(buffer_string(&b),
                        "Received: from a?b??c???d?? (ev??il "
                        "[IPv6:2001:db8::1])\r\n"
                        "\tby mx.ok.test (Waypost) with ESMTP id "
                        "0000000000001;\r\n"
                        "\tThu, 1 Jan 1970 00:00:00 +0000\r\n");
    buffer_clear(&b);
    r.priority = -3;
    received_write(&b, &r);
    assert_non_null(strstr(buffer_string(&b), " PRIORITY -3;\r\n\t"));
    buffer_clear(&b);
    r.recipient = SPAN("u@ok.test");
    received_write(&b, &r);
    assert_non_null(
        strstr(buffer_string(&b), "for <u@ok.test> PRIORITY -3; Thu,"));
    buffer_fini(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_idle_session_holds_no_buffer),
        cmocka_unit_test(nothing_is_consumed_while_the_queue_has_the_draft),
        cmocka_unit_test(the_draft_says_what_came),
        cmocka_unit_test(content_may_be_taken_away_in_parts),
        cmocka_unit_test(refused_content_is_let_go_and_its_draft_is_gone),
        cmocka_unit_test(the_end_of_input_keeps_nothing_before_the_dot),
        cmocka_unit_test(going_down_cuts_content_at_once),
        cmocka_unit_test(an_early_timeout_is_none),
        cmocka_unit_test(content_at_the_least_rate_may_go_on),
        cmocka_unit_test(a_line_without_end_is_cut_with_little_memory),
        cmocka_unit_test(a_reload_lets_go_of_the_old_settings),
        cmocka_unit_test(dates_are_those_of_rfc_5322),
        cmocka_unit_test(the_trace_line_holds_no_stranger_s_syntax),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
