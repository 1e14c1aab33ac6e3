/*
 * test_log - lines as people's tools expect them, and nothing a stranger can
 * break.
 */
#include "policy/vocabulary/id.h"
#include "relay/net/log.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#define ID "0000000000010"

static const struct tls_facts fresh = { "TLSv1.3", "TLS_AES_256_GCM_SHA384",
                                        256 };
static const struct tls_facts resumed = { "TLSv1.2", "ECDHE-RSA-AES128-SHA",
                                          128, true, TLS_VERIFIED };

/* clang-format off */
static const struct row {
    struct log_line line;
    const char *text, *json;
} rows[] = {
    { { .event = LOG_STARTED, .text = SPAN_INIT("listening on [::]:25") },
      "waypost/qmgr: started, listening on [::]:25",
      "{\"tag\":\"waypost\",\"daemon\":\"qmgr\",\"event\":\"started\","
      "\"text\":\"listening on [::]:25\"}" },
    { { .event = LOG_STOPPED }, "waypost/qmgr: stopped", NULL },
    { { .event = LOG_WARNING, .text = SPAN_INIT("queue is on tmpfs") },
      "waypost/qmgr: warning: queue is on tmpfs", NULL },
    { { .event = LOG_FATAL, .text = SPAN_INIT("no") },
      "waypost/qmgr: fatal: no", NULL },
    { { .event = LOG_CONNECT, .address = SPAN_INIT("192.0.2.1") },
      "waypost/smtpd: connect from unknown[192.0.2.1]", NULL },
    { { .event = LOG_DISCONNECT, .host = SPAN_INIT("a.example"),
        .address = SPAN_INIT("192.0.2.1"), .commands = 7, .count = 1 },
      "waypost/smtpd: disconnect from a.example[192.0.2.1] commands=7 messages=1",
      "{\"tag\":\"waypost\",\"daemon\":\"smtpd\",\"event\":\"disconnect\","
      "\"client\":\"a.example[192.0.2.1]\",\"commands\":7,\"count\":1}" },
    { { .event = LOG_LOST, .stage = SPAN_INIT("DATA"),
        .address = SPAN_INIT("2001:db8::1") },
      "waypost/smtpd: lost connection after DATA from unknown[2001:db8::1]", NULL },
    { { .event = LOG_LOST, .stage = SPAN_INIT("DATA"),
        .address = SPAN_INIT("2001:db8::1"), .text = SPAN_INIT("bare LF") },
      "waypost/smtpd: lost connection after DATA from unknown[2001:db8::1] (bare LF)",
      NULL },
    { { .event = LOG_CLIENT, .id = 32, .address = SPAN_INIT("::1"),
        .host = SPAN_INIT("localhost"), .listener = SPAN_INIT("edge"),
        .login = SPAN_INIT("ann") },
      "waypost/smtpd: " ID ": client=localhost[::1], listener=edge, login=ann", NULL },
    { { .event = LOG_CLIENT, .id = 32, .address = SPAN_INIT("::1"),
        .listener = SPAN_INIT("edge") },
      "waypost/smtpd: " ID ": client=unknown[::1], listener=edge", NULL },
    { { .event = LOG_CLIENT, .id = 32, .other_id = 64, .address = SPAN_INIT("::1"),
        .listener = SPAN_INIT("edge") },
      "waypost/smtpd: " ID ": client=unknown[::1], listener=edge, "
      "orig_queue_id=0000000000020", NULL },
    { { .event = LOG_VERDICT, .id = 32, .status = SPAN_INIT("hold"),
        .stage = SPAN_INIT("RCPT"), .address = SPAN_INIT("192.0.2.1"),
        .text = SPAN_INIT("<b@x>: held"), .recipient = SPAN_INIT("b@x"),
        .protocol = SPAN_INIT("ESMTP"), .helo = SPAN_INIT("c.example"),
        .login = SPAN_INIT("ann"), .rule = SPAN_INIT("big"),
        .place = { "w.conf", 7, 1 } },
      "waypost/smtpd: " ID ": hold: RCPT from unknown[192.0.2.1]: <b@x>: held; "
      "from=<> to=<b@x> proto=ESMTP helo=<c.example> login=ann rule=\"big\" "
      "w.conf:7", NULL },
    { { .event = LOG_VERDICT, .id = 32, .status = SPAN_INIT("tag"),
        .stage = SPAN_INIT("END-OF-DATA"), .address = SPAN_INIT("192.0.2.1"),
        .text = SPAN_INIT("<b@x>: bulk"), .sender = SPAN_INIT("a@x"),
        .recipient = SPAN_INIT("b@x"), .rule = SPAN_INIT("big") },
      "waypost/smtpd: " ID ": tag: END-OF-DATA from unknown[192.0.2.1]: "
      "<b@x>: bulk; from=<a@x> to=<b@x> rule=\"big\"", NULL },
    { { .event = LOG_REMARK, .status = SPAN_INIT("shadow"),
        .stage = SPAN_INIT("END-OF-DATA"), .address = SPAN_INIT("192.0.2.1"),
        .text = SPAN_INIT("554 5.7.1 no"), .sender = SPAN_INIT("a@x"),
        .recipient = SPAN_INIT("b@x"), .rule = SPAN_INIT("big"),
        .place = { "w.conf", 7, 1 } },
      "waypost/smtpd: NOQUEUE: shadow: END-OF-DATA from unknown[192.0.2.1]: "
      "554 5.7.1 no; from=<a@x> to=<b@x> rule=\"big\" w.conf:7", NULL },
    { { .event = LOG_MESSAGE_ID, .id = 32, .message_id = SPAN_INIT("<1@a>") },
      "waypost/smtpd: " ID ": message-id=<1@a>", NULL },
    { { .event = LOG_MESSAGE_ID, .id = 32 },
      "waypost/smtpd: " ID ": message-id=<>", NULL },
    { { .event = LOG_QUEUED, .id = 32, .sender = SPAN_INIT("a@b"), .size = 4096,
        .count = 2 },
      "waypost/qmgr: " ID ": from=<a@b>, size=4096, nrcpt=2 (queue active)", NULL },
    { { .event = LOG_REFUSED, .stage = SPAN_INIT("RCPT"),
        .address = SPAN_INIT("192.0.2.1"), .recipient = SPAN_INIT("x@y"),
        .text = SPAN_INIT("554 5.7.1 <x@y>: Relay access denied"),
        .protocol = SPAN_INIT("ESMTP"), .helo = SPAN_INIT("h"),
        .rule = SPAN_INIT("strangers"), .place = { "/etc/w.conf", 12, 1 } },
      "waypost/smtpd: NOQUEUE: reject: RCPT from unknown[192.0.2.1]: 554 5.7.1 "
      "<x@y>: Relay access denied; from=<> to=<x@y> proto=ESMTP helo=<h> "
      "rule=\"strangers\" /etc/w.conf:12",
      "{\"tag\":\"waypost\",\"daemon\":\"smtpd\",\"event\":\"refused\","
      "\"stage\":\"RCPT\",\"client\":\"unknown[192.0.2.1]\","
      "\"text\":\"554 5.7.1 <x@y>: Relay access denied\",\"from\":\"\","
      "\"to\":\"x@y\",\"proto\":\"ESMTP\",\"helo\":\"h\","
      "\"rule\":\"strangers\",\"place\":\"/etc/w.conf:12\"}" },
    { { .event = LOG_DELIVERY, .id = 32, .recipient = SPAN_INIT("b@c"),
        .relay = SPAN_INIT("mx[192.0.2.2]:25"), .conn_use = 3,
        .delay_ms = { 5, 120, 0, 1234 }, .dsn = { 2, 0, 0 },
        .status = SPAN_INIT("sent"), .text = SPAN_INIT("250 2.0.0 Ok") },
      "waypost/smtp: " ID ": to=<b@c>, relay=mx[192.0.2.2]:25, conn_use=3, "
      "delay=1.4, delays=0.01/0.12/0/1.2, dsn=2.0.0, status=sent (250 2.0.0 Ok)",
      "{\"tag\":\"waypost\",\"daemon\":\"smtp\",\"event\":\"delivery\","
      "\"queue_id\":\"" ID "\",\"to\":\"b@c\","
      "\"relay\":\"mx[192.0.2.2]:25\",\"conn_use\":3,\"delay\":1.359,"
      "\"delays\":[0.005,0.120,0.000,1.234],\"dsn\":\"2.0.0\","
      "\"status\":\"sent\",\"text\":\"250 2.0.0 Ok\"}" },
    { { .event = LOG_DELIVERY, .id = 32, .recipient = SPAN_INIT("b@c"),
        .relay = SPAN_INIT("none"), .conn_use = 1, .dsn = { 4, 4, 1 },
        .status = SPAN_INIT("deferred"), .text = SPAN_INIT("Connection refused") },
      "waypost/smtp: " ID ": to=<b@c>, relay=none, delay=0, delays=0/0/0/0, "
      "dsn=4.4.1, status=deferred (Connection refused)", NULL },
    { { .event = LOG_REMOVED, .id = 32 }, "waypost/qmgr: " ID ": removed", NULL },
    { { .event = LOG_REPORT, .id = 32, .other_id = 32,
        .status = SPAN_INIT("non-delivery") },
      "waypost/bounce: " ID ": sender non-delivery notification: " ID, NULL },
    { { .event = LOG_CONNECT_FAILED, .host = SPAN_INIT("mx"),
        .address = SPAN_INIT("192.0.2.2"), .port = 25,
        .text = SPAN_INIT("Connection refused") },
      "waypost/smtp: connect to mx[192.0.2.2]:25: Connection refused", NULL },
    { { .event = LOG_DELIVERY, .id = 32, .recipient = SPAN_INIT("b@c"),
        .orig_to = SPAN_INIT("B@d"), .relay = SPAN_INIT("none"), .dsn = { 4, 4, 1 },
        .status = SPAN_INIT("deferred"), .text = SPAN_INIT("x") },
      "waypost/smtp: " ID ": to=<b@c>, orig_to=<B@d>, relay=none, delay=0, "
      "delays=0/0/0/0, dsn=4.4.1, status=deferred (x)",
      "{\"tag\":\"waypost\",\"daemon\":\"smtp\",\"event\":\"delivery\","
      "\"queue_id\":\"" ID "\",\"to\":\"b@c\",\"orig_to\":\"B@d\","
      "\"relay\":\"none\",\"delay\":0.000,"
      "\"delays\":[0.000,0.000,0.000,0.000],\"dsn\":\"4.4.1\","
      "\"status\":\"deferred\",\"text\":\"x\"}" },
    { { .event = LOG_TLS_IN, .address = SPAN_INIT("192.0.2.1"), .tls = &fresh },
      "waypost/smtpd: Anonymous TLS connection established from "
      "unknown[192.0.2.1]: TLSv1.3 with cipher TLS_AES_256_GCM_SHA384 "
      "(256/256 bits)",
      "{\"tag\":\"waypost\",\"daemon\":\"smtpd\",\"event\":\"tls-in\","
      "\"trust\":\"Anonymous\",\"client\":\"unknown[192.0.2.1]\","
      "\"tls\":\"TLSv1.3\",\"cipher\":\"TLS_AES_256_GCM_SHA384\",\"bits\":256}" },
    { { .event = LOG_TLS_OUT, .address = SPAN_INIT("192.0.2.1"), .port = 25,
        .host = SPAN_INIT("mx"), .tls = &resumed },
      "waypost/smtp: Verified TLS connection established to mx[192.0.2.1]:25: "
      "TLSv1.2 with cipher ECDHE-RSA-AES128-SHA (128/128 bits), resumed",
      "{\"tag\":\"waypost\",\"daemon\":\"smtp\",\"event\":\"tls-out\","
      "\"trust\":\"Verified\",\"relay\":\"mx[192.0.2.1]:25\","
      "\"tls\":\"TLSv1.2\",\"cipher\":\"ECDHE-RSA-AES128-SHA\",\"bits\":128,"
      "\"resumed\":true}" },
    { { .event = LOG_LOGIN, .address = SPAN_INIT("192.0.2.1"),
        .login = SPAN_INIT("ann"), .mechanism = SPAN_INIT("SCRAM-SHA-256") },
      "waypost/smtpd: unknown[192.0.2.1]: logged in as ann by SCRAM-SHA-256",
      "{\"tag\":\"waypost\",\"daemon\":\"smtpd\",\"event\":\"login\","
      "\"client\":\"unknown[192.0.2.1]\",\"login\":\"ann\","
      "\"mechanism\":\"SCRAM-SHA-256\"}" },
    { { .event = LOG_LOGIN_FAILED, .address = SPAN_INIT("192.0.2.1"),
        .mechanism = SPAN_INIT("PLAIN"), .text = SPAN_INIT("authentication failure") },
      "waypost/smtpd: warning: unknown[192.0.2.1]: SASL PLAIN authentication "
      "failed: authentication failure", NULL },
    { { .event = LOG_LOGIN_FAILED, .address = SPAN_INIT("192.0.2.1"),
        .login = SPAN_INIT("a\nb"), .mechanism = SPAN_INIT("LOGIN"),
        .text = SPAN_INIT("authentication failure") },
      "waypost/smtpd: warning: unknown[192.0.2.1]: SASL LOGIN authentication "
      "failed: authentication failure, sasl_username=a\\x0Ab", NULL },
    /* a line break, an escape sequence, a quote and half a character of UTF-8 */
    { { .event = LOG_CLIENT, .id = 32, .host = SPAN_INIT("a\nb\x1b[31m"),
        .address = SPAN_INIT("::1"), .listener = SPAN_INIT("\"\\"),
        .login = SPAN_INIT("\xc3\xa4\xc3") },
      "waypost/smtpd: " ID ": client=a\\x0Ab\\x1B[31m[::1], listener=\"\\x5C, "
      "login=\xc3\xa4\\xC3",
      "{\"tag\":\"waypost\",\"daemon\":\"smtpd\",\"event\":\"client\","
      "\"queue_id\":\"" ID "\",\"client\":\"a\\\\x0Ab\\\\x1B[31m[::1]\","
      "\"listener\":\"\\\"\\\\x5C\",\"login\":\"\xc3\xa4\\\\xC3\"}" },
};
/* clang-format on */

static void a_line_has_its_shape_in_both_forms(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct buffer b = { 0 };

        log_render(&b, LOG_POSTFIX, SPAN("waypost"), &rows[i].line);
        assert_string_equal(buffer_string(&b), rows[i].text);
        buffer_clear(&b);
        log_render(&b, LOG_JSON, SPAN("waypost"), &rows[i].line);
        if (rows[i].json)
            assert_string_equal(buffer_string(&b), rows[i].json);
        buffer_fini(&b);
    }
}

static void every_event_has_a_row(void **state)
{
    (void)state;
    for (int event = 0; event < LOG_EVENTS; event++) {
        struct log_line line = { .event = (enum log_event)event };
        struct buffer b = { 0 };

        log_render(&b, LOG_JSON, SPAN("w"), &line);
        assert_null(strstr(buffer_string(&b), "(null)"));
        assert_int_equal(b.at[b.len - 1], '}');
        buffer_fini(&b);
    }
}

static void delays_have_two_significant_digits(void **state)
{
    /* clang-format off */
    static const struct { int64_t ms; const char *text; } delays[] = {
        { -5, "0" }, { 0, "0" }, { 4, "0" }, { 5, "0.01" }, { 96, "0.1" },
        { 120, "0.12" }, { 994, "0.99" }, { 995, "1" }, { 1000, "1" },
        { 1049, "1" }, { 1050, "1.1" }, { 9949, "9.9" }, { 9950, "10" },
        { 34400, "34" }, { 123456789, "123457" },
    };
    /* clang-format on */

    (void)state;
    for (size_t i = 0; i < sizeof delays / sizeof delays[0]; i++) {
        struct log_line line = { .event = LOG_DELIVERY,
                                 .delay_ms = { delays[i].ms } };
        struct buffer b = { 0 }, wanted = { 0 };

        buffer_printf(&wanted, " delay=%s, delays=%s/0/0/0,", delays[i].text,
                      delays[i].text);
        log_render(&b, LOG_POSTFIX, SPAN("w"), &line);
        assert_non_null(strstr(buffer_string(&b), buffer_string(&wanted)));
        buffer_fini(&b);
        buffer_fini(&wanted);
    }
}

/* Standard error, for a while, is a pipe. */
static int pipe_begin(int *out_saved)
{
    int ends[2];

    assert_int_equal(pipe2(ends, O_NONBLOCK), 0);
    *out_saved = dup(STDERR_FILENO);
    assert_int_equal(dup2(ends[1], STDERR_FILENO), STDERR_FILENO);
    close(ends[1]);
    return ends[0];
}

static void pipe_end(int end, int saved, struct buffer *out)
{
    char bytes[4096];
    ssize_t n;

    dup2(saved, STDERR_FILENO);
    close(saved);
    while ((n = read(end, bytes, sizeof bytes)) > 0)
        buffer_put(out, span_make(bytes, (size_t)n));
    close(end);
}

static void lines_wait_for_a_flush_but_urgent_ones_do_not(void **state)
{
    struct log_line line = { .event = LOG_REMOVED, .id = 32 };
    struct buffer before = { 0 }, after = { 0 };
    int saved, end = pipe_begin(&saved);

    (void)state;
    log_open(LOG_JSON, SPAN("waypost"), false, (struct span){ 0 });
    log_put(&line);
    pipe_end(end, saved, &before);
    end = pipe_begin(&saved);
    log_text(LOG_FATAL, "%s", "disk");
    pipe_end(end, saved, &after);

    assert_int_equal(before.len, 0);
    assert_non_null(strstr(buffer_string(&after), "\"event\":\"removed\""));
    assert_non_null(strstr(buffer_string(&after), "\"text\":\"disk\"}\n"));
    buffer_fini(&after);
}

static void a_postfix_line_has_time_host_and_process_in_front(void **state)
{
    struct log_line line = { .event = LOG_REMOVED, .id = 32 };
    struct buffer got = { 0 }, wanted = { 0 };
    int saved, end = pipe_begin(&saved);
    char host[256] = "";

    (void)state;
    log_open(LOG_POSTFIX, SPAN("wp"), false, (struct span){ 0 });
    log_put(&line);
    log_flush();
    pipe_end(end, saved, &got);

    assert_int_equal(gethostname(host, sizeof host - 1), 0);
    buffer_printf(&wanted, " %s wp/qmgr[%d]: " ID ": removed\n", host,
                  (int)getpid());
    assert_string_equal(buffer_string(&got) + 15, buffer_string(&wanted));
    assert_int_equal(got.at[3], ' ');
    assert_int_equal(got.at[9], ':');
    buffer_fini(&got);
    buffer_fini(&wanted);
}

static void an_endless_text_costs_its_line_and_no_other(void **state)
{
    struct buffer text = { 0 }, got = { 0 };
    int saved, end = pipe_begin(&saved);

    (void)state;
    for (size_t i = 0; i < 100000; i++)
        buffer_put_byte(&text, '\x1b');
    log_open(LOG_POSTFIX, SPAN("wp"), false, (struct span){ 0 });
    log_put(&(struct log_line){ .event = LOG_CONNECT_FAILED,
                                .text = buffer_span(&text) });
    log_put(&(struct log_line){ .event = LOG_REMOVED, .id = 32 });
    log_flush();
    pipe_end(end, saved, &got);

    assert_true(got.len < 20000);
    assert_non_null(strstr(buffer_string(&got), ID ": removed\n"));
    buffer_fini(&text);
    buffer_fini(&got);
}

/* ---------------------------------------------------------------- a file ---- */

static void read_whole(const char *path, struct buffer *out)
{
    FILE *file = fopen(path, "r");
    char block[4096];
    size_t n;

    assert_non_null(file);
    buffer_clear(out);
    while ((n = fread(block, 1, sizeof block, file)) > 0)
        buffer_put(out, span_make(block, n));
    assert_int_equal(fclose(file), 0);
}

static void a_file_is_opened_again_by_its_name(void **state)
{
    char folder[] = "/tmp/log.XXXXXX";
    char path[64], moved[64];
    struct buffer got = { 0 };
    struct stat st;

    (void)state;
    assert_non_null(mkdtemp(folder));
    (void)snprintf(path, sizeof path, "%s/log", folder);
    (void)snprintf(moved, sizeof moved, "%s/log.1", folder);
    log_open(LOG_POSTFIX, SPAN("wp"), false, span_of(path));
    log_text(LOG_NOTE, "one");
    assert_int_equal(rename(path, moved), 0);
    log_text(LOG_NOTE, "two");
    assert_int_equal(log_reopen(), 0);
    log_text(LOG_NOTE, "three");
    read_whole(moved, &got);
    assert_non_null(strstr(buffer_string(&got), ": one\n"));
    assert_non_null(strstr(buffer_string(&got), ": two\n"));
    read_whole(path, &got);
    assert_non_null(strstr(buffer_string(&got), ": three\n"));
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_mode & 07, 0);
    /* what is cut off is gone, and no hole is in its place */
    assert_int_equal(truncate(path, 0), 0);
    log_text(LOG_NOTE, "four");
    read_whole(path, &got);
    assert_true(got.len < 100);

    /* the folder vanishes: the log goes on where it was */
    assert_int_equal(remove(path) | remove(moved) | remove(folder), 0);
    assert_true(log_reopen() < 0);
    log_text(LOG_NOTE, "five");
    log_open(LOG_POSTFIX, SPAN("wp"), false, (struct span){ 0 });
    buffer_fini(&got);
}

static void lines_that_a_full_disk_does_not_take_are_counted(void **state)
{
    char path[] = "/tmp/log.XXXXXX";
    struct buffer got = { 0 };
    int fd = mkstemp(path);

    (void)state;
    assert_true(fd >= 0);
    log_open(LOG_POSTFIX, SPAN("wp"), false, SPAN("/dev/full"));
    log_text(LOG_NOTE, "one");
    log_text(LOG_NOTE, "two");
    log_open(LOG_POSTFIX, SPAN("wp"), false, span_of(path));
    log_text(LOG_NOTE, "three");
    log_text(LOG_NOTE, "four");
    read_whole(path, &got);
    assert_null(strstr(buffer_string(&got), ": one\n"));
    assert_non_null(strstr(buffer_string(&got),
                           ": warning: 2 lines are missing here: the log could "
                           "not be written: "));
    assert_non_null(strstr(buffer_string(&got), ": four\n"));
    assert_int_equal(remove(path), 0);
    assert_int_equal(close(fd), 0);
    log_open(LOG_POSTFIX, SPAN("wp"), false, (struct span){ 0 });
    buffer_fini(&got);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_line_has_its_shape_in_both_forms),
        cmocka_unit_test(every_event_has_a_row),
        cmocka_unit_test(delays_have_two_significant_digits),
        cmocka_unit_test(lines_wait_for_a_flush_but_urgent_ones_do_not),
        cmocka_unit_test(a_postfix_line_has_time_host_and_process_in_front),
        cmocka_unit_test(an_endless_text_costs_its_line_and_no_other),
        cmocka_unit_test(a_file_is_opened_again_by_its_name),
        cmocka_unit_test(lines_that_a_full_disk_does_not_take_are_counted),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
