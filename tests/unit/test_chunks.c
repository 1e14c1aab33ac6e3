/*
 * test_chunks - BDAT, as far as dialogs cannot say it.
 */
#include "fake_world.h"
#include "relay/inbound/session_private.h"

#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

static const char envelope[] = "EHLO a\r\nMAIL FROM:<s@ext.test>\r\n"
                               "RCPT TO:<u@ok.test>\r\n";
static const char binary_envelope[] =
    "EHLO a\r\nMAIL FROM:<s@ext.test> BODY=BINARYMIME\r\n"
    "RCPT TO:<u@ok.test>\r\n";

static void open_with(struct fake_world *w, const char *said)
{
    fake_open(w, fake_configuration, "192.0.2.1");
    fake_say(w, said);
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

/* G04: the answers, and whether the session goes on. */
static void sizes_are_read_or_the_session_ends(void **state)
{
    static const struct {
        const char *said, *reply;
        bool closes;
    } rows[] = {
        { "BDAT\r\n", "501 5.5.4 ", true },
        { "BDAT -1\r\n", "501 5.5.4 ", true },
        { "BDAT +1\r\n", "501 5.5.4 ", true },
        { "BDAT 0x1\r\n", "501 5.5.4 ", true },
        { "BDAT 5LAST\r\n", "501 5.5.4 ", true },
        { "BDAT 5 FOO\r\n", "501 5.5.4 ", true },
        { "BDAT 5 \x01\r\nNOOP\r\n", "554 5.5.0 ", true },
        { "BDAT 5 LAST FOO\r\n", "501 5.5.4 ", true },
        { "BDAT LAST\r\n", "501 5.5.4 ", true },
        { "BDAT 18446744073709551616\r\n", "501 5.5.4 ", true },
        { "BDAT 99999999999999999999\r\n", "501 5.5.4 ", true },
        { "BDAT 0\r\n", "250 2.0.0 Ok: 0 bytes", false },
        { "BDAT 0 LAST\r\n", "250 2.0.0 Ok: 0 bytes queued as ", false },
        { "bdat 000000000000000000003  last \r\nabc",
          "250 2.0.0 Ok: 3 bytes queued as ", false },
    };

    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct fake_world w;

        open_with(&w, envelope);
        fake_say(&w, rows[i].said);
        heard(&w, rows[i].reply);
        assert_int_equal(w.output.len, 0);
        assert_int_equal(session_wants(w.session) == SESSION_CLOSES,
                         rows[i].closes);
        fake_close(&w);
    }
}

/* Whatever is wrong with it: what is in a chunk is never a command. */
static void a_refused_chunk_is_read_and_thrown_away(void **state)
{
    static const struct {
        const char *before, *command, *reply;
        unsigned mood;
    } rows[] = {
        { "", "BDAT 6", "503 5.5.1 ", 0 },
        { "EHLO a\r\n", "BDAT 6 LAST", "503 5.5.1 ", 0 },
        { "EHLO a\r\nMAIL FROM:<>\r\n", "BDAT 6", "503 5.5.1 ", 0 },
        { "EHLO a\r\nMAIL FROM:<>\r\nRCPT TO:<a@else.test>\r\n", "BDAT 6 LAST",
          "554 5.5.1 ", 0 },
        { "HELO a\r\nMAIL FROM:<>\r\nRCPT TO:<u@ok.test>\r\n", "BDAT 6 LAST",
          "503 5.5.1 ", 0 },
        { envelope, "BDAT 6 LAST", "452 4.3.1 ", FAKE_FULL },
    };

    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct fake_world w;

        open_with(&w, rows[i].before);
        w.mood = rows[i].mood;
        fake_say(&w, rows[i].command);
        fake_say(&w, "\r\n");
        fake_say(&w, "QUI");
        assert_int_equal(w.output.len, 0);
        fake_say(&w, "T\r\nNOOP\r\n");
        heard(&w, rows[i].reply);
        heard(&w, "250 2.0.0 Ok");
        assert_int_equal(session_wants(w.session), SESSION_READS);
        assert_int_equal(w.stored, 0);
        fake_close(&w);
    }
}

static void a_large_chunk_is_refused_without_memory(void **state)
{
    char block[1000];
    struct fake_world w;

    (void)state;
    memset(block, 'x', sizeof block);
    open_with(&w, envelope);
    w.settings->limits.message_bytes = 100000;
    fake_say(&w, "BDAT 60000\r\n");
    for (int i = 0; i < 60; i++)
        fake_feed(&w, span_make(block, sizeof block));
    heard(&w, "250 2.0.0 Ok: 60000 bytes");
    fake_say(&w, "BDAT 60000 LAST\r\n");
    for (int i = 0; i < 60; i++) {
        assert_int_equal(w.output.len, 0);
        fake_feed(&w, span_make(block, sizeof block));
        assert_null(w.session->draft.content.at);
        assert_null(session_draft(w.session));
    }
    heard(&w, "552 5.3.4 ");
    assert_null(w.session->content);
    assert_null(w.session->draft.recipients);
    fake_say(&w, "BDAT 0 LAST\r\n");
    heard(&w, "503 5.5.1 ");
    assert_int_equal(w.stored, 0);
    fake_close(&w);
}

/* G10 */
static void many_small_chunks_leave_nothing_behind(void **state)
{
    struct fake_world w;

    (void)state;
    open_with(&w, envelope);
    for (int i = 0; i < 100000; i++) {
        fake_say(&w, "BDAT 1\r\nx");
        assert_true(
            span_is(buffer_span(&w.output), SPAN("250 2.0.0 Ok: 1 bytes\r\n")));
        buffer_clear(&w.output);
    }
    assert_true(w.session->draft.content.size <= 300000);
    assert_true(w.session->arena.taken_bytes <= 1000);
    fake_say(&w, "BDAT 2 LAST\r\n\r\n");
    heard(&w, "250 2.0.0 Ok: 100002 bytes queued as ");
    assert_int_equal(w.stored, 1);
    fake_close(&w);
}

/* G09: between chunks too. */
static void a_dropped_connection_leaves_nothing(void **state)
{
    static const char *const said[] = { "BDAT 10\r\n", "BDAT 10\r\nabc",
                                        "BDAT 3\r\nabc",
                                        "BDAT 3\r\nabcBDAT 4 LAST\r\nabc" };

    (void)state;
    for (size_t i = 0; i < COUNT(said); i++) {
        struct fake_world w;

        open_with(&w, envelope);
        fake_say(&w, said[i]);
        assert_non_null(session_draft(w.session));
        assert_true(session_in_content(w.session));
        session_end_of_input(w.session, w.now_ms);
        assert_null(session_draft(w.session));
        assert_null(w.session->draft.content.at);
        assert_int_equal(w.stored, 0);
        fake_close(&w);
    }
}

static void a_slow_chunk_runs_out_of_time(void **state)
{
    struct fake_world w;

    (void)state;
    open_with(&w, envelope);
    fake_say(&w, "BDAT 1000000\r\n");
    for (int i = 0; i < 5; i++) {
        fake_wait(&w, 61000);
        fake_say(&w, "x");
    }
    heard(&w, "421 4.4.2 ");
    fake_close(&w);
}

/* What is stored of this content, whose trace line is left out. */
static void store(struct buffer *out, const char *before, struct span content,
                  const size_t *chunks, size_t count, bool bytewise)
{
    struct fake_world w;
    struct buffer said = { 0 };
    size_t ours;

    open_with(&w, before);
    if (chunks) {
        for (size_t i = 0; i < count; i++) {
            size_t n = i + 1 < count && chunks[i] < content.len ? chunks[i]
                                                                : content.len;

            buffer_printf(&said, "BDAT %zu%s\r\n", n,
                          i + 1 == count ? " LAST" : "");
            buffer_put(&said, span_first(content, n));
            content = span_skip(content, n);
        }
    } else {
        buffer_put(&said, SPAN("DATA\r\n"));
        for (size_t i = 0; i < content.len; i++) {
            if (content.at[i] == '.' && (i == 0 || content.at[i - 1] == '\n'))
                buffer_put_byte(&said, '.');
            buffer_put_byte(&said, content.at[i]);
        }
        if (content.len && content.at[content.len - 1] != '\n')
            buffer_put(&said, SPAN("\r\n"));
        buffer_put(&said, SPAN(".\r\n"));
    }
    for (size_t i = 0; bytewise && i < said.len; i++)
        fake_feed(&w, span_make(said.at + i, 1));
    if (!bytewise)
        fake_feed(&w, buffer_span(&said));
    assert_int_equal(w.stored, 1);
    ours = span_find(buffer_span(&w.content), ';');
    ours += span_find(span_skip(buffer_span(&w.content), ours), '\n') + 1;
    if (ours < w.content.len && w.content.at[ours] == '\t')
        ours += span_find(span_skip(buffer_span(&w.content), ours), '\n') + 1;
    buffer_put(out, span_skip(buffer_span(&w.content), ours));
    buffer_printf(out, "|%u %d", w.envelope.header_bytes - (unsigned)ours,
                  w.envelope.has_8bit);
    buffer_fini(&said);
    fake_close(&w);
}

static void same(const struct buffer *got, const struct buffer *wanted)
{
    struct buffer shown = { 0 };

    if (span_is(buffer_span(got), buffer_span(wanted)))
        return;
    buffer_put_escaped(&shown, buffer_span(got));
    buffer_put_string(&shown, " instead of ");
    buffer_put_escaped(&shown, buffer_span(wanted));
    fail_msg("%s", buffer_string(&shown));
}

static void chunks_and_data_are_stored_alike(void **state)
{
    static const struct span contents[] = {
        SPAN_INIT(""),
        SPAN_INIT("A: b\r\n\r\nbody\r\n"),
        SPAN_INIT("A: b\r\n\r\n.\r\n..\r\n.x\r\nend"),
        SPAN_INIT(".\r\n"),
        SPAN_INIT("\r\n\r\n.\r\n"),
        SPAN_INIT("Message-ID: <a@b>\r\n folded: \xc3\xbc\r\n\r\n\0x\xff"),
        SPAN_INIT("no header at all"),
    };
    unsigned seed = 1;

    (void)state;
    for (size_t i = 0; i < COUNT(contents); i++) {
        struct buffer wanted = { 0 };

        store(&wanted, envelope, contents[i], NULL, 0, false);
        for (int n = 0; n < 200; n++) {
            struct buffer got = { 0 };
            size_t chunks[5];
            size_t count = 1 + (size_t)rand_r(&seed) % COUNT(chunks);

            for (size_t k = 0; k < count; k++)
                chunks[k] = (size_t)rand_r(&seed) % 8;
            store(&got, envelope, contents[i], chunks, count, n % 2);
            same(&got, &wanted);
            buffer_fini(&got);
        }
        buffer_fini(&wanted);
    }
}

static void binary_content_is_taken_as_it_is(void **state)
{
    static const struct span contents[] = {
        SPAN_INIT("A: b\r\n\r\n\0\r\n\n\r\xff.\r\n"),
        SPAN_INIT("A: b\n\nbody"),
        SPAN_INIT("A: b\r\n\rx"),
        SPAN_INIT("\r"),
        SPAN_INIT("A: b\r\nMessage-ID: <x@y>"),
        SPAN_INIT(""),
    };
    static const unsigned headers[] = { 8, 5, 6, 0, 23, 0 };
    unsigned seed = 1;

    (void)state;
    for (size_t i = 0; i < COUNT(contents); i++) {
        struct buffer wanted = { 0 };

        buffer_put(&wanted, contents[i]);
        buffer_printf(&wanted, "|%u %d", headers[i], i == 0);
        for (int n = 0; n < 100; n++) {
            struct buffer got = { 0 };
            size_t chunks[3];

            for (size_t k = 0; k < 3; k++)
                chunks[k] = (size_t)rand_r(&seed) % 9;
            store(&got, binary_envelope, contents[i], chunks, 3, n % 2);
            same(&got, &wanted);
            buffer_fini(&got);
        }
        buffer_fini(&wanted);
    }
}

static void a_bare_line_end_is_found_across_chunks(void **state)
{
    static const char *const said[] = {
        "BDAT 2\r\na\rBDAT 2 LAST\r\nb\n",
        "BDAT 2\r\na\nBDAT 2 LAST\r\nb\n",
        "BDAT 2 LAST\r\na\r",
        "BDAT 4 LAST\r\n\r\n\n\n",
    };

    (void)state;
    for (size_t i = 0; i < COUNT(said); i++) {
        struct fake_world w;

        open_with(&w, envelope);
        fake_say(&w, said[i]);
        assert_int_equal(session_wants(w.session), SESSION_CLOSES);
        assert_int_equal(w.stored, 0);
        fake_close(&w);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sizes_are_read_or_the_session_ends),
        cmocka_unit_test(a_refused_chunk_is_read_and_thrown_away),
        cmocka_unit_test(a_large_chunk_is_refused_without_memory),
        cmocka_unit_test(many_small_chunks_leave_nothing_behind),
        cmocka_unit_test(a_dropped_connection_leaves_nothing),
        cmocka_unit_test(a_slow_chunk_runs_out_of_time),
        cmocka_unit_test(chunks_and_data_are_stored_alike),
        cmocka_unit_test(binary_content_is_taken_as_it_is),
        cmocka_unit_test(a_bare_line_end_is_found_across_chunks),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
