/*
 * The store's hot path: put, read what is due, settle; lanes, cursors, alarms,
 * content.
 */
#include "tests/unit/store_bench.h"

static void a_put_message_is_read_back_as_it_was(void **state)
{
    struct bench *b = *state;
    struct works w = { 0 };
    struct buffer content = { 0 };
    const struct queue_recipient *r;
    const struct envelope *e;
    struct sample p;

    put(b, sample_of(&p, 77, 3));
    assert_false(read_due(b, "example.org", T0, &w));
    assert_int_equal(w.count, 1);
    assert_int_equal(w.at[0]->message, 77);
    assert_int_equal(w.at[0]->count, 2);
    e = &w.at[0]->envelope;
    assert_true(span_is(e->sender, SPAN("Sender@example.com")));
    assert_true(span_is(e->ret, SPAN("HDRS")));
    assert_true(span_is(e->envid, SPAN("env")));
    assert_true(span_is(e->client, SPAN("192.0.2.7")));
    assert_true(span_is(e->client_name, SPAN("client.example.com")));
    assert_true(span_is(e->helo, SPAN("helo.example.com")));
    assert_true(span_is(e->login, SPAN("bob")));
    assert_true(span_is(e->listener, SPAN("edge")));
    assert_true(span_is(e->protocol, SPAN("ESMTP")));
    assert_true(span_is(e->message_id, SPAN("<1@example.com>")));
    assert_int_equal(e->body, BODY_8BITMIME);
    assert_true(e->smtputf8);
    assert_false(e->has_8bit);
    assert_int_equal(e->received_ms, T0);
    assert_int_equal(e->size_bytes, sizeof sample_content - 1);
    assert_int_equal(e->header_bytes, 14);
    r = &w.at[0]->recipients[1];
    assert_int_equal(r->number, 1);
    assert_true(span_is(r->address, SPAN("u1@example.org")));
    assert_true(span_is(r->orcpt, SPAN("rfc822;x@example.org")));
    assert_true(span_is(r->lane, SPAN("example.org")));
    assert_int_equal(r->notify, NOTIFY_FAILURE);
    assert_int_equal(r->due_ms, T0);
    assert_int_equal(r->expire_ms, T0 + 5 * (int64_t)DAY);
    assert_int_equal(r->warn_ms, T0 + 4 * HOUR);
    assert_int_equal(w.checksum[0], p.checksum);
    assert_false(w.has_file[0]);
    assert_null(w.at[0]->content.at);
    assert_int_equal(store_read_content(b->r, 77, p.checksum, &content), 0);
    assert_string_equal(buffer_string(&content), sample_content);
    buffer_fini(&content);
    works_free(&w);
}

static void the_last_settled_recipient_takes_the_message_along(void **state)
{
    struct bench *b = *state;
    struct works w = { 0 }, net = { 0 };
    struct sample p;

    put(b, sample_of(&p, 5, 3));
    read_due(b, "example.org", T0, &w);
    read_due(b, "example.net", T0, &net);
    assert_false(settle(b, w.at[0], 1, OUTCOME_DELIVERED, T0));
    assert_false(settle(b, w.at[0], 0, OUTCOME_FAILED, T0));
    assert_query(b->path, "SELECT count(*) FROM content", "1");
    assert_true(settle(b, net.at[0], 0, OUTCOME_EXPIRED, T0));
    assert_query(b->path,
                 "SELECT (SELECT count(*) FROM message),"
                 "(SELECT count(*) FROM content),"
                 "(SELECT count(*) FROM recipient)",
                 "0|0|0");
    assert_query(b->path, "SELECT kind,recipient FROM event ORDER BY id",
                 "1|u1@example.org\n2|u0@example.org\n3|U2@Example.NET");
    works_free(&w);
    works_free(&net);
}

int main(void)
{
    /* clang-format off */
    const struct CMUnitTest tests[] = {
#define T(name) cmocka_unit_test_setup_teardown(name, bench_new_open, bench_free)
        T(a_put_message_is_read_back_as_it_was),
        T(the_last_settled_recipient_takes_the_message_along),
    };
    /* clang-format on */

    return cmocka_run_group_tests(tests, NULL, NULL);
}
