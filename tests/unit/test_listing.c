/*
 * test_listing - rows of the queue as programs and people read them.
 */
#include "policy/vocabulary/id.h"
#include "relay/admin/listing.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static const struct queue_row_recipient recipients[] = {
    { .address = SPAN_INIT("c@d"),
      .reason = SPAN_INIT("4.2.0 greylisted \x1b[2J"),
      .state = STATE_DEFERRED,
      .attempts = 3,
      .due_ms = 1700000600000 },
    { .address = SPAN_INIT("e@f"),
      .state = STATE_READY,
      .due_ms = 1700000000000 },
};

static struct queue_row row_of(uint64_t id)
{
    return (struct queue_row){
        .id = id,
        .received_ms = 1700000000123,
        .expire_ms = INT64_MAX,
        .size_bytes = 12345,
        .sender = SPAN("a@b"),
        .client = SPAN("192.0.2.1"),
        .helo = SPAN("x\xff"),
        .state = STATE_DEFERRED,
        .recipients = recipients,
        .count = 2,
    };
}

static json_t *json_of(const struct queue_row *row)
{
    struct buffer b = { 0 };
    json_t *o;

    listing_put_json(&b, row, false);
    assert_true(b.len && b.at[b.len - 1] == '\n');
    assert_int_equal(span_find(buffer_span(&b), '\n'), b.len - 1);
    assert_int_equal(span_find(buffer_span(&b), '\x1b'), b.len);
    o = json_loadb(b.at, b.len, 0, NULL);
    assert_non_null(o);
    buffer_fini(&b);
    return o;
}

static void listing_has_the_keys_of_postqueue_and_a_few_more(void **state)
{
    struct queue_row row = row_of(77);
    json_t *o = json_of(&row), *want;

    (void)state;
    want = json_pack("{s:s,s:i,s:i,s:s,s:s,s:[{s:s,s:s,s:i,s:i,s:s},"
                     "{s:s,s:s,s:i,s:i}]}",
                     "queue_id", id_print(77).at, "arrival_time", 1700000000,
                     "message_size", 12345, "sender", "a@b", "state",
                     "deferred", "recipients", "address", "c@d", "state",
                     "deferred", "attempts", 3, "due", 1700000600,
                     "delay_reason", "4.2.0 greylisted \x1b[2J", "address",
                     "e@f", "state", "ready", "attempts", 0, "due", 1700000000);
    assert_non_null(want);
    assert_true(json_equal(o, want));
    json_decref(o);
    json_decref(want);
}

static void listing_calls_the_null_sender_mailer_daemon(void **state)
{
    struct queue_row row = row_of(77);
    json_t *o;

    (void)state;
    row.sender = (struct span){ NULL, 0 };
    o = json_of(&row);
    assert_string_equal(json_string_value(json_object_get(o, "sender")),
                        "MAILER-DAEMON");
    json_decref(o);
}

static void listing_line_is_escaped_and_fits(void **state)
{
    struct queue_row row = row_of(77);
    json_t *o = json_of(&row);
    struct buffer b = { 0 };

    (void)state;
    listing_put_line(&b, o, 1700007300, 0);
    assert_string_equal(buffer_string(&b),
                        "000000000002D      2h     12K  deferred  a@b -> c@d "
                        "(4.2.0 greylisted \\x1B[2J), e@f\n");
    buffer_clear(&b);
    listing_put_line(&b, o, 1700007300, 60);
    assert_int_equal(b.len, 61);
    assert_true(span_ends_nocase(buffer_span(&b), SPAN("...\n")));
    buffer_clear(&b);
    listing_put_line(&b, o, 1700007300, 200);
    assert_false(span_ends_nocase(buffer_span(&b), SPAN("...\n")));
    buffer_fini(&b);
    json_decref(o);
}

static void listing_counts_in_words(void **state)
{
    json_t *o = json_pack("{s:i,s:i,s:i}", "messages", 1, "recipients", 2,
                          "bytes", 900);
    struct buffer b = { 0 };

    (void)state;
    listing_put_count(&b, o);
    assert_string_equal(buffer_string(&b), "1 message, 2 recipients, 900");
    buffer_fini(&b);
    json_decref(o);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(listing_has_the_keys_of_postqueue_and_a_few_more),
        cmocka_unit_test(listing_calls_the_null_sender_mailer_daemon),
        cmocka_unit_test(listing_line_is_escaped_and_fits),
        cmocka_unit_test(listing_counts_in_words),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
