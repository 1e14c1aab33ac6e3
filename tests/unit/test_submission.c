/*
 * test_submission - whose mail it is, and what of MAIL and RCPT is kept.
 */
#include "fake_world.h"
#include "queue/queue.h"
#include "relay/inbound/session_private.h"

#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

#define CONFIGURATION(listener, more)                                          \
    "hostname = \"mx.ok.test\"\norigin = \"ok.test\"\n"                        \
    "queue { path = \"/nonexistent/queue.db\" }\n"                             \
    "users { file = \"users\" senders = \"senders\" " more " }\n"              \
    "listener \"msa\" { address = \"127.0.0.1:2525\" " listener " }\n"         \
    "rule \"all\" { client = {\"192.0.2.0/24\"} action = relay }\n"            \
    "route \"*\" { via = {\"mx\"} }\n"

#define WITH_AUTH "auth = optional auth-without-tls = true "

static void open_as(struct fake_world *w, const char *configuration,
                    const char *login)
{
    fake_open(w, configuration, "192.0.2.1");
    free((char *)w->session->login.at);
    w->session->login = span_make(span_dup(span_of(login)), strlen(login));
    fake_say(w, "EHLO a\r\n");
    fake_take_output(w);
    buffer_clear(&w->output);
}

static void heard(struct fake_world *w, const char *wanted)
{
    struct buffer line = { 0 };

    if (!fake_heard(w, &line) ||
        !span_starts_nocase(buffer_span(&line), span_of(wanted)))
        fail_msg("wanted %s, got %s", wanted, buffer_string(&line));
    buffer_fini(&line);
}

static void a_sender_must_be_the_login_s_own(void **state)
{
    static const char with_auth[] = CONFIGURATION(WITH_AUTH, "");
    static const char without[] = CONFIGURATION("", "");
    static const struct {
        const char *configuration, *login, *sender, *reply;
    } rows[] = {
        { with_auth, "joe", "joe@ok.test", "250 " },
        { with_auth, "joe", "any@joe.test", "250 " },
        { with_auth, "joe", "", "250 " },
        { with_auth, "joe", "ann@ok.test",
          "553 5.7.1 <ann@ok.test>: Sender address rejected: not owned by "
          "user joe" },
        { with_auth, "joe", "x@else.test",
          "553 5.7.1 <x@else.test>: Sender address rejected: not owned by "
          "user joe" },
        { with_auth, "", "x@else.test", "250 " },
        { with_auth, "", "joe@ok.test",
          "553 5.7.1 <joe@ok.test>: Sender address rejected: not logged in" },
        { without, "", "joe@ok.test", "250 " },
        { without, "joe", "ann@ok.test", "250 " },
    };

    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct fake_world w;
        struct buffer line = { 0 };

        open_as(&w, rows[i].configuration, rows[i].login);
        buffer_printf(&line, "MAIL FROM:<%s>\r\n", rows[i].sender);
        fake_say(&w, buffer_string(&line));
        heard(&w, rows[i].reply);
        buffer_fini(&line);
        fake_close(&w);
    }
}

static void from_is_held_against_the_login(void **state)
{
    static const char binds[] = CONFIGURATION(WITH_AUTH, "from-header = true");
    static const char binds_msa[] =
        CONFIGURATION(WITH_AUTH "submission = true", "from-header = true");
    static const char no_auth[] = CONFIGURATION("", "from-header = true");
    static const char loose[] = CONFIGURATION(WITH_AUTH, "");
    static const struct {
        const char *configuration, *header;
        bool good;
    } rows[] = {
        { binds, "From: joe@ok.test\r\n", true },
        { binds, "from : Joe <JOE@OK.test> (x)\r\n", true },
        { binds, "From: joe\r\n", true },
        { binds, "From: joe@ok.test,\r\n x@joe.test\r\n", true },
        { binds, "Subject: x\r\n", true },
        { binds, "From: ann@ok.test\r\n", false },
        { binds, "From: joe@ok.test, ann@ok.test\r\n", false },
        { binds, "From: joe@ok.test\r\nFrom: ann@ok.test\r\n", false },
        { binds, "From: \"joe@ok.test\" <ann@ok.test>\r\n", false },
        { binds, "From: joe@ok.test <ann@ok.test>\r\n", false },
        { binds, "From: g: ann@ok.test;\r\n", false },
        { binds, "From: ann\r\n", false },
        { binds, "From: Joe User\r\n", false },
        { binds, "From: joe@ok.test (\r\n", false },
        { binds, "From: <>\r\n", false },
        { binds, "From: \"ann@ok.test\" <joe@ok.test>\r\n", true },
        { binds, "From: Joe@ok.test <joe@OK.test>\r\n", true },
        { binds, "From: ann@ok.test <joe@ok.test>\r\n", false },
        { binds, "From: ann@ok.test: joe@ok.test;\r\n", false },
        { binds, "From: ann@ok.test:;\r\n", false },
        { binds, "From: nobody:;\r\n", false },
        { binds, "From:\r\n", false },
        { binds, "From: (ann@ok.test)\r\n", false },
        { binds, "From:\r\n =?utf-8?q?ann=40ok.test?=\r\n", false },
        { binds, "From: <@else.test:joe@ok.test>\r\n", false },
        { binds, "no field\r\nFrom: ann@ok.test\r\n", false },
        { binds, " folded\r\nFrom: ann@ok.test\r\n", false },
        { binds, "From joe Thu Jan 1\r\nFrom: ann@ok.test\r\n", false },
        { binds, "From: joe@ok.test\r\nno field\r\n", false },
        { binds, "\r\nFrom: ann@ok.test\r\n", true }, /* a body */
        { binds_msa, "no field\r\nFrom: ann@ok.test\r\n", false },
        { binds_msa, "Subject: x\r\n", true },
        { binds_msa, "From: joe\r\n", true },
        { binds_msa, "From: ann\r\n", false },
        { no_auth, "From: ann@ok.test\r\n", true },
        { loose, "From: ann@ok.test\r\n", true },
    };

    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++)
        for (int chunked = 0; chunked < 2; chunked++) {
            struct fake_world w;
            struct buffer said = { 0 };

            open_as(&w, rows[i].configuration, "joe");
            fake_say(&w, "MAIL FROM:<joe@ok.test>\r\nRCPT TO:<a@b.test>\r\n");
            buffer_clear(&w.output);
            if (chunked)
                buffer_printf(&said, "BDAT %zu\r\n%sBDAT 4 LAST\r\n\r\nx\n",
                              strlen(rows[i].header), rows[i].header);
            else
                buffer_printf(&said, "DATA\r\n%s\r\nbody\r\n.\r\n",
                              rows[i].header);
            if (chunked)
                said.at[said.len - 2] = '\r';
            fake_say(&w, buffer_string(&said));
            heard(&w, chunked ? "250 " : "354 ");
            heard(&w, rows[i].good ? "250 2.0.0 " : "553 5.7.1 ");
            assert_int_equal(w.stored, rows[i].good);
            assert_int_equal(session_wants(w.session), SESSION_READS);
            buffer_fini(&said);
            fake_close(&w);
        }
}

/* Nobody may take the header away before it was looked at. */
static void a_header_is_held_until_its_end(void **state)
{
    struct fake_world w;
    struct span stored;

    (void)state;
    open_as(&w, CONFIGURATION("submission = true", ""), "");
    fake_say(&w, "MAIL FROM:<joe>\r\nRCPT TO:<ann>\r\nDATA\r\n");
    for (int i = 0; i < 1000; i++) {
        fake_say(&w, "X: 3456789012345678901234567890\r\n");
        assert_false(session_in_content(w.session));
    }
    w.mood = FAKE_LATER;
    fake_say(&w, "From: joe\r\nDate: x\r\nMessage-ID: <y>\r\nHello");
    assert_false(session_in_content(w.session));
    fake_say(&w, " world\r\n");
    assert_true(session_in_content(w.session));
    fake_say(&w, ".\r\n");
    assert_int_equal(w.session->draft.envelope.header_bytes +
                         strlen("Hello world\r\n"),
                     w.session->draft.content.len);
    fake_answer(&w, 0);
    stored = buffer_span(&w.content);
    assert_true(span_ends_nocase(
        stored, SPAN("7890\r\nFrom: joe@ok.test\r\nDate: x\r\nMessage-ID: "
                     "<y>\r\n\r\nHello world\r\n")));
    assert_true(span_is(buffer_span(&w.message_id), SPAN("<y>")));
    fake_close(&w);
}

static void the_header_limit_holds_while_it_is_held(void **state)
{
    struct fake_world w;

    (void)state;
    open_as(&w, CONFIGURATION("submission = true", ""), "");
    w.settings->limits.header_bytes = 100;
    fake_say(&w, "MAIL FROM:<joe>\r\nRCPT TO:<ann>\r\nDATA\r\n");
    buffer_clear(&w.output);
    for (int i = 0; i < 10; i++)
        fake_say(&w, "X: 3456789012345678901234567890\r\n");
    assert_null(w.session->draft.content.at);
    fake_say(&w, "\r\nbody\r\n.\r\n");
    heard(&w, "552 5.3.4 ");
    fake_close(&w);
}

static void the_draft_keeps_what_was_asked_for(void **state)
{
    struct fake_world w;
    const struct draft *d;

    (void)state;
    open_as(&w, CONFIGURATION("submission = true verp = {\"192.0.2.1\"}", ""),
            "");
    w.mood = FAKE_LATER;
    fake_say(&w, "MAIL FROM:<joe> SMTPUTF8 RET=hdrs ENVID=a+2Bb BY=120;RT "
                 "HOLDFOR=60 MT-PRIORITY=-4 XVERP=-+ BODY=BINARYMIME\r\n"
                 "RCPT TO:<ann> NOTIFY=SUCCESS,DELAY "
                 "ORCPT=utf-8;\xc3\xbc@x.test\r\n"
                 "RCPT TO:<bob> NOTIFY=NEVER ORCPT=rfc822;b+2Bc@x.test\r\n"
                 "BDAT 0 LAST\r\n");
    d = session_draft(w.session);
    assert_non_null(d);
    assert_true(span_is(d->envelope.ret, SPAN("HDRS")));
    assert_true(span_is(d->envelope.envid, SPAN("a+b")));
    assert_int_equal(d->envelope.deliver_by_ms, fake_start_ms + 120000);
    assert_int_equal(d->envelope.deliver_by_mode, DELIVER_BY_RETURN);
    assert_true(d->envelope.deliver_by_trace);
    assert_int_equal(d->envelope.priority, -4);
    assert_true(span_is(d->envelope.verp, SPAN("-+")));
    assert_int_equal(d->envelope.body, BODY_BINARYMIME);
    assert_int_equal(d->envelope.release_ms, fake_start_ms + 60000);
    assert_int_equal(d->recipients[0].notify, NOTIFY_SUCCESS | NOTIFY_DELAY);
    assert_true(span_is(d->recipients[0].orcpt, SPAN("utf-8;\xc3\xbc@x.test")));
    assert_int_equal(d->recipients[1].notify, NOTIFY_NEVER);
    assert_true(span_is(d->recipients[1].orcpt, SPAN("rfc822;b+c@x.test")));
    fake_answer(&w, 0);
    fake_close(&w);
}

static void nothing_is_made_of_the_null_reverse_path(void **state)
{
    struct fake_world w;

    (void)state;
    open_as(&w, CONFIGURATION("verp = {\"192.0.2.1\"}", ""), "");
    fake_say(&w, "MAIL FROM:<> XVERP\r\nMAIL FROM:<a@x.test> XVERP\r\n");
    fake_take_output(&w);
    heard(&w, "503 5.5.4 ");
    heard(&w, "250 2.1.0 ");
    fake_close(&w);
}

static void a_from_of_ours_may_need_smtputf8(void **state)
{
    static const char *const logins[] = { "joe", "j\xc3\xbcrgen" };

    (void)state;
    for (size_t i = 0; i < COUNT(logins); i++) {
        struct fake_world w;

        open_as(&w, CONFIGURATION("submission = true", ""), logins[i]);
        w.mood = FAKE_LATER;
        fake_say(&w, "MAIL FROM:<> SMTPUTF8\r\nRCPT TO:<ann@x.test>\r\nDATA\r\n");
        fake_say(&w, "Subject: a\r\n\r\nb\r\n.\r\n");
        assert_non_null(session_draft(w.session));
        assert_int_equal(session_draft(w.session)->envelope.header_8bit, i);
        assert_int_equal(session_draft(w.session)->envelope.has_8bit, i);
        fake_answer(&w, 0);
        fake_close(&w);
    }
}

static void postmaster_remembers_who_was_meant(void **state)
{
    static const struct {
        const char *said, *orcpt;
    } rows[] = {
        { "RCPT TO:<Postmaster>\r\n", "rfc822;Postmaster" },
        { "RCPT TO:<postmaster@MX.ok.test>\r\n",
          "rfc822;postmaster@MX.ok.test" },
        { "RCPT TO:<postmaster@ok.test> ORCPT=rfc822;x@y\r\n", "rfc822;x@y" },
    };

    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct fake_world w;
        const struct draft *d;

        fake_open(&w, CONFIGURATION("", "") "postmaster = \"ops@else.test\"\n",
                  "198.51.100.1"); /* nobody grants this one anything */
        fake_say(&w, "EHLO a\r\nMAIL FROM:<>\r\n");
        buffer_clear(&w.output);
        fake_say(&w, rows[i].said);
        heard(&w, "250 2.1.5 ");
        d = &w.session->draft;
        assert_true(
            span_is(d->recipients[0].address.text, SPAN("ops@else.test")));
        assert_true(span_is(d->recipients[0].orcpt, span_of(rows[i].orcpt)));
        assert_null(d->recipients[0].rule);
        fake_say(&w, "RCPT TO:<ops@else.test>\r\n");
        heard(&w, "250 2.1.5 "); /* it stands there already */
        fake_say(&w, "RCPT TO:<root@mx.ok.test>\r\n");
        heard(&w, "554 5.7.1 ");
        fake_close(&w);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_sender_must_be_the_login_s_own),
        cmocka_unit_test(from_is_held_against_the_login),
        cmocka_unit_test(a_header_is_held_until_its_end),
        cmocka_unit_test(the_header_limit_holds_while_it_is_held),
        cmocka_unit_test(the_draft_keeps_what_was_asked_for),
        cmocka_unit_test(nothing_is_made_of_the_null_reverse_path),
        cmocka_unit_test(a_from_of_ours_may_need_smtputf8),
        cmocka_unit_test(postmaster_remembers_who_was_meant),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
