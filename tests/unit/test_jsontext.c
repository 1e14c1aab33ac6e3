/*
 * test_jsontext - JSON that is written by hand is what jansson would have written.
 */
#include "relay/admin/chronicle_row.h"
#include "relay/admin/jsontext.h"
#include "relay/admin/listing.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

static void same_as_jansson(const struct buffer *b, json_t *take_v)
{
    struct buffer want = { 0 };

    listing_put_value(&want, take_v);
    assert_int_equal(b->len, want.len);
    assert_memory_equal(b->at, want.at, want.len);
    buffer_fini(&want);
}

static void check_text(struct span s)
{
    struct buffer b = { 0 };

    jsontext_put_text(&b, s);
    same_as_jansson(&b, listing_text(s));
    buffer_fini(&b);
}

static void text_is_escaped_as_jansson_does_it(void **state)
{
    static const struct span rows[] = {
        SPAN_INIT(""),
        SPAN_INIT("a@b.test"),
        SPAN_INIT("\"quoted\"\\ and /"),
        SPAN_INIT("\b\f\n\r\t\x1b[2J\x7f"),
        SPAN_INIT("a\0b"),
        SPAN_INIT("\xc3\xa4\xe2\x82\xac\xf0\x9f\x98\x80"),
        SPAN_INIT("\xef\xbf\xbf\xf0\x90\x80\x80\xf4\x8f\xbf\xbf"),
        SPAN_INIT("\xe2\x80\xae turned, but well formed"),
        SPAN_INIT("half \xc3"),
        SPAN_INIT("\xed\xa0\x80 half a pair, \"\\"),
        SPAN_INIT("\xff\xc3\xa4\x01"),
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        check_text(rows[i]);
    for (int c = 0; c < 256; c++) {
        char text[] = { 'a', (char)c, 'b' };

        check_text(span_make(text, sizeof text));
    }
}

static void texts_of_chance_are_escaped_alike(void **state)
{
    uint64_t seed = 7;
    char text[24];

    (void)state;
    for (int i = 0; i < 20000; i++) {
        size_t len = seed % sizeof text;

        for (size_t k = 0; k < len; k++) {
            seed = seed * 6364136223846793005U + 1442695040888963407U;
            /* half of them ASCII */
            text[k] = (char)(seed >> 33 & (seed >> 50 & 1 ? 0x7f : 0xff));
        }
        seed = seed * 6364136223846793005U + 1442695040888963407U;
        check_text(span_make(text, len));
        seed ^= seed >> 29;
    }
}

static void numbers_are_written_as_jansson_does_it(void **state)
{
    static const int64_t rows[] = { 0,         1,         -1,
                                    9,         10,        1234567,
                                    INT64_MAX, INT64_MIN, 1700000000 };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct buffer b = { 0 };

        jsontext_put_number(&b, rows[i]);
        same_as_jansson(&b, json_integer(rows[i]));
        buffer_fini(&b);
    }
    for (int64_t ms = -3; ms < 2000000000; ms += 1 + ms / 300) {
        struct buffer b = { 0 };

        jsontext_put_seconds(&b, ms);
        same_as_jansson(&b, json_real((double)ms / 1000.0));
        buffer_fini(&b);
    }
}

static void a_waiting_message_is_this_line(void **state)
{
    const struct queue_row_recipient to[] = {
        { .address = SPAN("c@d"),
          .reason = SPAN("4.2.0 \"no\"\x1b"),
          .state = STATE_HELD,
          .attempts = 3,
          .due_ms = INT64_MAX,
          .deed = { .at_ms = 5000, .who = SPAN("ada"), .why = SPAN("spam") } },
        { .address = SPAN("\xc3\xa4@f"),
          .state = STATE_READY,
          .due_ms = 1700000000999 },
    };
    struct queue_row row = { .id = 77,
                             .received_ms = 1700000000123,
                             .expire_ms = 1700000900000,
                             .size_bytes = 12345,
                             .client = SPAN("192.0.2.1"),
                             .helo = SPAN("x\xff"),
                             .state = STATE_READY,
                             .recipients = to,
                             .count = 2 };
    struct buffer b = { 0 };

    (void)state;
    listing_put_json(&b, &row, true);
    row.count = 0;
    listing_put_json(&b, &row, false);
    assert_string_equal(
        buffer_string(&b),
        "{\"queue_id\":\"000000000002D\",\"arrival_time\":1700000000,"
        "\"message_size\":12345,\"sender\":\"MAILER-DAEMON\",\"state\":"
        "\"ready\",\"client\":\"192.0.2.1\",\"helo\":\"x\\\\xFF\",\"login\":"
        "\"\","
        "\"expire_time\":1700000900,\"recipients\":[{\"address\":\"c@d\","
        "\"state\":\"held\",\"attempts\":3,\"due\":null,\"delay_reason\":"
        "\"4.2.0 \\\"no\\\"\\u001B\",\"ordered_by\":\"ada\",\"ordered_at\":5,"
        "\"ordered_why\":\"spam\"},{\"address\":\"\\u00E4@f\",\"state\":"
        "\"ready\",\"attempts\":0,\"due\":1700000000}]}\n"
        "{\"queue_id\":\"000000000002D\",\"arrival_time\":1700000000,"
        "\"message_size\":12345,\"sender\":\"MAILER-DAEMON\",\"state\":"
        "\"ready\",\"recipients\":[]}\n");
    buffer_fini(&b);
}

static void what_has_happened_is_this_line(void **state)
{
    const struct queue_told told = {
        .place = { 1700000000123, 9, 2 },
        .what = WHAT_DELIVERED,
        .message = 77,
        .sender = SPAN("a@b"),
        .recipient = SPAN("c@d"),
        .status = { 2, 0, 0 },
        .reply = SPAN("250 ok"),
        .host = SPAN("mx.d[192.0.2.25]:25"),
        .received_ms = 1700000000000,
        .size_bytes = 4000,
        .delay_ms = { 3, 12, 40, 2000 },
        .attempts = 2,
        .in_doubt = true,
        .trail = SPAN("1000|mx.d|4.2.0|no\nnone\n2000|mx.d|4.2.0|\xff\n"),
        .ruling = { .rule = SPAN("our users"), .place = SPAN("x:3") },
        .dialogue = SPAN("> QUIT\n< 221"),
    };
    struct buffer b = { 0 };
    json_t *o;

    (void)state;
    chronicle_row_put(&b, &told);
    assert_string_equal(
        buffer_string(&b),
        "{\"cursor\":\"1700000000123.2.9\",\"at\":1700000000,\"at_ms\":"
        "1700000000123,\"what\":\"delivered\",\"queue_id\":\"000000000002D\","
        "\"sender\":\"a@b\",\"recipient\":\"c@d\",\"status\":\"2.0.0\","
        "\"reply\":\"250 ok\",\"host\":\"mx.d[192.0.2.25]:25\",\"received\":"
        "1700000000,\"size\":4000,\"client\":\"\",\"client_name\":\"\","
        "\"helo\":\"\",\"login\":\"\",\"listener\":\"\",\"protocol\":\"\","
        "\"message_id\":\"\",\"attempts\":2,\"in_doubt\":true,\"delays\":"
        "[0.0030000000000000001,0.012,0.040000000000000001,2.0],\"tries\":"
        "[{\"at\":1,\"host\":\"mx.d\",\"status\":\"4.2.0\",\"reply\":\"no\"},"
        "{\"at\":2,\"host\":\"mx.d\",\"status\":\"4.2.0\",\"reply\":"
        "\"\\\\xFF\"}],"
        "\"rule\":\"our "
        "users\",\"place\":\"x:3\",\"held_by\":\"\",\"tls\":\"\","
        "\"stage\":\"\",\"dialogue\":[\"> QUIT\",\"< 221\"]}\n");
    o = chronicle_row(&told);
    b.len--; /* its line end */
    same_as_jansson(&b, o);
    buffer_fini(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(text_is_escaped_as_jansson_does_it),
        cmocka_unit_test(texts_of_chance_are_escaped_alike),
        cmocka_unit_test(numbers_are_written_as_jansson_does_it),
        cmocka_unit_test(a_waiting_message_is_this_line),
        cmocka_unit_test(what_has_happened_is_this_line),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
