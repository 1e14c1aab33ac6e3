/*
 * test_feed - who looks on sees what is rare, is told what it did not see, and holds up
 * nobody.
 */
#include "relay/net/feed.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static const struct log_line sent = { .event = LOG_DELIVERY,
                                      .id = 32,
                                      .recipient = SPAN_INIT("ann@x.example"),
                                      .relay = SPAN_INIT("mx[192.0.2.1]:25"),
                                      .status = SPAN_INIT("sent"),
                                      .text = SPAN_INIT("250 OK") };
static const struct log_line bounced = { .event = LOG_DELIVERY,
                                         .recipient = SPAN_INIT("bob@x"),
                                         .relay = SPAN_INIT("none"),
                                         .status = SPAN_INIT("bounced") };
static const struct log_line warning = { .event = LOG_WARNING,
                                         .text = SPAN_INIT("look here") };
static const struct log_line refused = { .event = LOG_REFUSED,
                                         .stage = SPAN_INIT("RCPT"),
                                         .address = SPAN_INIT("192.0.2.7"),
                                         .text = SPAN_INIT("554 no \"x\"") };

static struct feed_reader *open_all(void)
{
    struct feed_reader *r = feed_open(&(struct feed_filter){ 0 });

    assert_non_null(r);
    return r;
}

static unsigned count(struct buffer *b, const char *what)
{
    const char *at = buffer_string(b);
    unsigned n = 0;

    while ((at = strstr(at, what))) {
        n++;
        at++;
    }
    return n;
}

/* What was taken has so many of these. */
static void assert_taken(struct feed_reader *r, const char *what, unsigned n)
{
    struct buffer b = { 0 };

    feed_take(r, &b);
    assert_int_equal(count(&b, what), n);
    buffer_fini(&b);
}

static void assert_omitted(struct feed_reader *r, const char *expected)
{
    struct buffer b = { 0 };

    feed_put_omitted(r, &b);
    assert_string_equal(buffer_string(&b), expected);
    buffer_fini(&b);
}

static void an_event_is_a_record_with_the_object_of_the_log(void **state)
{
    struct feed_reader *r = open_all();
    struct buffer b = { 0 };
    const char *text;

    (void)state;
    feed_offer(&refused, 0);
    feed_take(r, &b);
    text = buffer_string(&b);
    assert_memory_equal(text, "data: {\"time\":\"", 15);
    assert_non_null(strstr(text, ",\"tag\":\"waypost\",\"daemon\":\"smtpd\","
                                 "\"event\":\"refused\",\"stage\":\"RCPT\","
                                 "\"client\":\"unknown[192.0.2.7]\","
                                 "\"text\":\"554 no \\\"x\\\"\","));
    assert_string_equal(text + b.len - 3, "}\n\n");
    buffer_clear(&b);
    feed_take(r, &b);
    assert_int_equal(b.len, 0);
    buffer_fini(&b);
    feed_close(r);
}

static void what_is_logged_is_offered_while_somebody_reads(void **state)
{
    struct feed_reader *r;

    (void)state;
    log_put(&sent);
    r = open_all();
    log_put(&sent);
    log_put(&sent);
    assert_taken(r, "\"delivery\"", 2);
    feed_close(r);
    log_put(&sent);
    r = open_all();
    assert_taken(r, "data", 0);
    feed_close(r);
}

static void a_flood_is_thinned_and_leaves_room_for_what_is_rare(void **state)
{
    struct feed_reader *r = open_all();
    struct buffer b = { 0 };

    (void)state;
    for (int ms = 0; ms < 1000; ms++) {
        for (int i = 0; i < 5; i++)
            feed_offer(&sent, 5000 + ms);
        if (ms == 999) {
            feed_offer(&warning, 5000 + ms);
            feed_offer(&bounced, 5000 + ms);
        }
    }
    feed_take(r, &b);
    assert_int_equal(count(&b, "\"sent\""), FEED_RATE / 2);
    assert_int_equal(count(&b, "look here"), 1);
    assert_int_equal(count(&b, "bob@x"), 1);
    buffer_fini(&b);
    assert_omitted(r, "event: omitted\n"
                      "data: {\"count\":4900,\"by\":{\"delivery\":4900}}\n\n");
    assert_omitted(r, "");
    feed_close(r);
}

static void a_flood_of_refusals_leaves_room_for_a_warning(void **state)
{
    struct feed_reader *r = open_all();
    struct buffer b = { 0 };

    (void)state;
    for (int i = 0; i < 1000; i++)
        feed_offer(&refused, 0);
    for (int i = 0; i < 1000; i++)
        feed_offer(&sent, 0);
    feed_offer(&warning, 0);
    feed_take(r, &b);
    assert_int_equal(count(&b, "refused"), 14);
    assert_int_equal(count(&b, "\"sent\""), 2);
    assert_int_equal(count(&b, "look here"), 1);
    buffer_fini(&b);
    assert_omitted(r, "event: omitted\ndata: {\"count\":1984,\"by\":"
                      "{\"refused\":986,\"delivery\":998}}\n\n");
    feed_close(r);
}

static void never_more_than_the_rate_whatever_comes(void **state)
{
    struct feed_reader *r = open_all();

    (void)state;
    for (int64_t ms = 0; ms < 1000; ms++)
        for (int e = 0; e < LOG_EVENTS; e++)
            feed_offer(&(struct log_line){ .event = (enum log_event)e }, ms);
    assert_taken(r, "data: ", FEED_RATE);
    feed_close(r);
}

static void who_matches_a_text_sees_it_in_any_flood(void **state)
{
    static const struct {
        const char *match;
        unsigned n;
    } rows[] = {
        { "BOB@X", 1 },     { "ann@X.example", 10 }, { "192.0.2.7", 1 },
        { "ounce", 1 },     { "0000000000010", 10 }, { "queue_id", 0 },
        { "look HERE", 1 }, { "192.0.2.1]:25", 10 }, { "nobody", 0 },
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct feed_reader *r =
            feed_open(&(struct feed_filter){ .match = span_of(rows[i].match) });

        for (int n = 0; n < 1000; n++)
            feed_offer(&sent, 0);
        feed_offer(&bounced, 0);
        feed_offer(&warning, 0);
        feed_offer(&refused, 0);
        assert_taken(r, "data: ", rows[i].n);
        feed_close(r);
    }
}

static void kinds_are_names_of_events_and_ends_of_deliveries(void **state)
{
    static const struct {
        const char *names;
        unsigned n[4]; /* sent, bounced, warning, refused */
    } rows[] = {
        { "delivery", { 1, 1, 0, 0 } }, { "sent", { 1, 0, 0, 0 } },
        { "bounced", { 0, 1, 0, 0 } },  { "deferred", { 0, 0, 0, 0 } },
        { "", { 1, 1, 1, 1 } },         { "warning, refused", { 0, 0, 1, 1 } },
    };
    struct buffer why = { 0 };
    uint64_t kinds;

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        const struct log_line *lines[] = { &sent, &bounced, &warning,
                                           &refused };
        struct feed_reader *r;

        assert_true(feed_read_kinds(span_of(rows[i].names), &kinds, &why));
        r = feed_open(&(struct feed_filter){ .kinds = kinds });
        for (size_t n = 0; n < 4; n++) {
            feed_offer(lines[n], 0);
            assert_taken(r, "data: ", rows[i].n[n]);
        }
        feed_close(r);
    }
    assert_false(feed_read_kinds(SPAN("sent,\nmail"), &kinds, &why));
    assert_string_equal(buffer_string(&why),
                        "there is no kind of event \"\\x0Amail\"");
    buffer_fini(&why);
}

static void what_nobody_takes_is_left_out_and_counted(void **state)
{
    static char big[4000];
    struct log_line line = warning;
    struct feed_reader *r = open_all(), *quick = open_all();
    struct buffer b = { 0 };

    (void)state;
    memset(big, 'x', sizeof big);
    line.text = span_make(big, sizeof big);
    for (int i = 0; i < 100; i++) {
        feed_offer(&line, i * 1000);
        assert_taken(quick, "data: ", 1);
    }
    feed_take(r, &b);
    assert_true(b.len <= FEED_HOLDS && b.len > FEED_HOLDS - 5000);
    assert_string_equal(buffer_string(&b) + b.len - 3, "}\n\n");
    buffer_clear(&b);
    feed_put_omitted(r, &b);
    assert_int_equal(count(&b, "\"warning\":"), 1);
    feed_offer(&warning, 200000);
    assert_taken(r, "look here", 1);
    assert_omitted(quick, "");
    buffer_fini(&b);
    feed_close(r);
    feed_close(quick);
}

static void there_are_so_many_readers_and_no_more(void **state)
{
    struct feed_reader *all[FEED_READERS_MOST];

    (void)state;
    for (int i = 0; i < FEED_READERS_MOST; i++)
        all[i] = open_all();
    assert_null(feed_open(&(struct feed_filter){ 0 }));
    feed_close(all[3]);
    all[3] = open_all();
    feed_offer(&sent, 0);
    for (int i = 0; i < FEED_READERS_MOST; i++) {
        assert_taken(all[i], "data: ", 1);
        feed_close(all[i]);
    }
}

static void *offer_many(void *arg)
{
    (void)arg;
    for (int i = 0; i < 20000; i++)
        feed_offer(&sent, i);
    return NULL;
}

static void threads_may_offer_while_readers_come_and_go(void **state)
{
    pthread_t threads[3];

    (void)state;
    for (int i = 0; i < 3; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, offer_many, NULL),
                         0);
    for (int i = 0; i < 500; i++) {
        struct feed_reader *r = open_all();
        struct buffer b = { 0 };

        feed_take(r, &b);
        buffer_clear(&b);
        feed_put_omitted(r, &b);
        feed_close(r);
        buffer_fini(&b);
    }
    for (int i = 0; i < 3; i++)
        assert_int_equal(pthread_join(threads[i], NULL), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_event_is_a_record_with_the_object_of_the_log),
        cmocka_unit_test(what_is_logged_is_offered_while_somebody_reads),
        cmocka_unit_test(a_flood_is_thinned_and_leaves_room_for_what_is_rare),
        cmocka_unit_test(a_flood_of_refusals_leaves_room_for_a_warning),
        cmocka_unit_test(never_more_than_the_rate_whatever_comes),
        cmocka_unit_test(who_matches_a_text_sees_it_in_any_flood),
        cmocka_unit_test(kinds_are_names_of_events_and_ends_of_deliveries),
        cmocka_unit_test(what_nobody_takes_is_left_out_and_counted),
        cmocka_unit_test(there_are_so_many_readers_and_no_more),
        cmocka_unit_test(threads_may_offer_while_readers_come_and_go),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
