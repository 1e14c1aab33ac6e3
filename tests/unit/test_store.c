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
    assert_int_equal(e->priority, -4);
    assert_int_equal(e->deliver_by_ms, T0 + HOUR);
    assert_int_equal(e->deliver_by_mode, DELIVER_BY_RETURN);
    assert_true(e->deliver_by_trace);
    assert_true(span_is(e->verp, SPAN("+=")));
    assert_int_equal(e->release_ms, T0 + 1);
    assert_true(e->header_8bit);
    assert_true(e->is_unvouched);
    assert_true(span_is(e->tls, SPAN("TLSv1.3 256")));
    r = &w.at[0]->recipients[1];
    assert_int_equal(r->number, 1);
    assert_true(span_is(
        r->ruling, SPAN("our domains\twaypost.conf:7\t\tu0@alias.example")));
    assert_true(span_is(r->address, SPAN("u1@example.org")));
    assert_true(span_is(r->orcpt, SPAN("rfc822;x@example.org")));
    assert_true(span_is(r->lane, SPAN("example.org")));
    assert_int_equal(r->notify, NOTIFY_FAILURE);
    assert_int_equal(r->due_ms, T0);
    assert_int_equal(r->expire_ms, T0 + 5 * (int64_t)DAY);
    assert_int_equal(r->warn_ms, T0 + 4 * HOUR);
    assert_int_equal(w.content[0].checksum, p.content.checksum);
    assert_false(w.content[0].has_file);
    assert_null(w.at[0]->content.at);
    assert_int_equal(store_read_content(b->r, 77, p.content.checksum, &content), 0);
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

/* A copy of the files as a power cut would leave them. */

static void due_recipients_come_in_pages_gathered_by_message(void **state)
{
    struct bench *b = *state;
    struct store_cursor cursor = { 0 };
    struct works w = { 0 };
    bool has_more = false;
    int64_t lane;
    struct sample p;

    sample_of(&p, 1, 2);
    p.recipients[0].due_ms = T0 + 10;
    p.recipients[1].due_ms = T0 + 30;
    put(b, &p);
    sample_of(&p, 2, 1);
    p.recipients[0].due_ms = T0 + 20;
    put(b, &p);
    sample_of(&p, 3, 1);
    p.recipients[0].due_ms = T0 + 40;
    put(b, &p);
    lane = lane_of(b, "example.org");
    assert_int_equal(store_read_due(b->r, lane, T0 + 40, &cursor, 3, keep_work,
                                    &w, &has_more),
                     0);
    assert_true(has_more);
    assert_int_equal(w.count, 2);
    assert_int_equal(w.at[0]->message, 1);
    assert_int_equal(w.at[0]->count, 2);
    assert_int_equal(w.at[0]->recipients[1].due_ms, T0 + 30);
    assert_int_equal(w.at[1]->message, 2);
    assert_int_equal(cursor.due_ms, T0 + 30);
    assert_int_equal(cursor.message, 1);
    assert_int_equal(cursor.number, 1);
    assert_int_equal(store_read_due(b->r, lane, T0 + 40, &cursor, 3, keep_work,
                                    &w, &has_more),
                     0);
    assert_false(has_more);
    assert_int_equal(w.count, 3);
    assert_int_equal(w.at[2]->message, 3);
    works_free(&w);
}

static void pages_lose_nothing_among_equal_due_times(void **state)
{
    struct bench *b = *state;
    struct store_cursor cursor = { 0 };
    struct works w = { 0 };
    bool has_more = true;
    struct sample p;
    int64_t lane;

    for (uint64_t id = 1; id <= 3; id++)
        put(b, sample_of(&p, id, 2));
    lane = lane_of(b, "example.org");
    while (has_more)
        assert_int_equal(store_read_due(b->r, lane, T0, &cursor, 1, keep_work,
                                        &w, &has_more),
                         0);
    assert_int_equal(w.count, 6);
    for (size_t i = 0; i < w.count; i++) {
        assert_int_equal(w.at[i]->message, i / 2 + 1);
        assert_int_equal(w.at[i]->recipients[0].number, i % 2);
    }
    works_free(&w);
}

static void works_come_in_the_order_in_which_they_are_due(void **state)
{
    struct bench *b = *state;
    struct works w = { 0 };
    struct sample p;

    put(b, sample_of(&p, 1, 1));
    sample_of(&p, 2, 1);
    p.recipients[0].due_ms = T0 - 1;
    put(b, &p);
    read_due(b, "example.org", T0, &w);
    assert_int_equal(w.count, 2);
    assert_int_equal(w.at[0]->message, 2);
    assert_int_equal(w.at[1]->message, 1);
    works_free(&w);
}

static void a_deferral_moves_the_due_time_and_adds_to_the_trail(void **state)
{
    struct bench *b = *state;
    struct works w = { 0 };
    struct sample p;
    int64_t due_ms = 0;

    put(b, sample_of(&p, 5, 1));
    read_due(b, "example.org", T0, &w);
    assert_false(settle(b, w.at[0], 0, OUTCOME_DEFERRED, T0));
    read_due(b, "example.org", T0 + HOUR - 1, &w);
    assert_int_equal(w.count, 1);
    assert_int_equal(
        store_read_next_due(b->r, lane_of(b, "example.org"), T0, &due_ms), 0);
    assert_int_equal(due_ms, T0 + HOUR);
    read_due(b, "example.org", T0 + HOUR, &w);
    assert_int_equal(w.count, 2);
    assert_int_equal(w.at[1]->recipients[0].attempts, 1);
    assert_true(span_is(w.at[1]->recipients[0].last_reply,
                        SPAN("4.2.0 450 try | later")));
    assert_false(settle(b, w.at[1], 0, OUTCOME_DEFERRED, T0 + HOUR));
    assert_query(b->path, "SELECT trail,attempts FROM recipient",
                 "1000000|mx.example.org[192.0.2.1]:25|4.2.0|450 try   later\n"
                 "4600000|mx.example.org[192.0.2.1]:25|4.2.0|450 try   later\n"
                 "|2");
    assert_query(b->path,
                 "SELECT recipient,at_ms,at,host,status,reply FROM v_attempts"
                 " WHERE at_ms>1000000",
                 "u0@example.org|4600000|1970-01-01T01:16:40.000Z|"
                 "mx.example.org[192.0.2.1]:25|4.2.0|450 try   later");
    assert_query(b->path, "SELECT count(*) FROM event", "0");
    works_free(&w);
}

static void a_long_trail_loses_its_oldest_attempts(void **state)
{
    struct bench *b = *state;
    struct works w = { 0 };
    struct sample p;
    char *first;

    put(b, sample_of(&p, 5, 1));
    for (int i = 0; i < 200; i++) {
        int64_t at_ms = T0 + i * (int64_t)HOUR;

        read_due(b, "example.org", at_ms, &w);
        assert_int_equal(w.count, 1);
        settle(b, w.at[0], 0, OUTCOME_DEFERRED, at_ms);
        works_free(&w);
    }
    first = query(b->path, "SELECT length(trail)<=8192 AND length(trail)>8000,"
                           "max(at_ms),count(*) BETWEEN 100 AND 199 "
                           "FROM recipient,v_attempts");
    assert_string_equal(first, "1|717400000|1");
    free(first);
}

static void a_held_recipient_is_never_due(void **state)
{
    struct bench *b = *state;
    struct works w = { 0 };
    struct sample p;

    sample_of(&p, 5, 2);
    p.recipients[0].held = true;
    put(b, &p);
    read_due(b, "example.org", INT64_MAX - 1, &w);
    assert_int_equal(w.count, 1);
    assert_int_equal(w.at[0]->count, 1);
    assert_int_equal(w.at[0]->recipients[0].number, 1);
    settle(b, w.at[0], 0, OUTCOME_HELD, T0);
    read_due(b, "example.org", INT64_MAX - 1, &w);
    assert_int_equal(w.count, 1);
    assert_query(b->path, "SELECT alarm_ms IS NULL FROM message", "1");
    assert_query(b->path, "SELECT waiting,held,next_due IS NULL FROM v_lanes",
                 "0|2|1");
    works_free(&w);
}

static void read_alarms(struct bench *b, int64_t now_ms, struct works *w)
{
    works_free(w);
    assert_int_equal(store_read_alarms(b->r, now_ms, 0, 32, keep_work, w), 0);
}

static void an_alarm_comes_once_for_each_message_and_moves_on(void **state)
{
    struct bench *b = *state;
    struct works w = { 0 };
    struct queue_result r = { .outcome = OUTCOME_WARNED,
                              .warn_ms = INT64_MAX,
                              .expire_ms = T0 + 5 * (int64_t)DAY };
    bool is_removed, has_file;
    struct sample p;

    put(b, sample_of(&p, 5, 3));
    put(b, sample_of(&p, 6, 1));
    read_alarms(b, T0 + 4 * HOUR - 1, &w);
    assert_int_equal(w.count, 0);
    read_alarms(b, T0 + 4 * HOUR, &w);
    assert_int_equal(w.count, 2);
    assert_int_equal(w.at[0]->message, 5);
    assert_int_equal(w.at[0]->count, 3);
    assert_true(span_is(w.at[0]->recipients[2].lane, SPAN("example.net")));
    assert_int_equal(store_begin(b->s), 0);
    for (size_t i = 0; i < 3; i++)
        assert_int_equal(store_settle(b->s, w.at[0], i, &r, T0 + 4 * HOUR,
                                      &is_removed, &has_file),
                         0);
    assert_int_equal(store_commit(b->s), 0);
    read_alarms(b, T0 + 4 * HOUR, &w);
    assert_int_equal(w.count, 1);
    assert_int_equal(w.at[0]->message, 6);
    read_alarms(b, T0 + 5 * (int64_t)DAY, &w);
    assert_int_equal(w.count, 2);
    works_free(&w);
}

static void many_alarms_come_in_the_same_order_as_few(void **state)
{
    struct bench *b = *state;
    struct works w = { 0 };
    struct sample p;

    assert_int_equal(store_begin(b->s), 0);
    for (uint64_t id = 1; id <= 5001; id++) {
        sample_of(&p, id, 1);
        p.recipients[0].warn_ms = T0 + 10000 - (int64_t)id;
        assert_int_equal(store_put(b->s, &p.message, &p.content), 0);
    }
    assert_int_equal(store_commit(b->s), 0);
    /* Few: those with the largest ids. */
    assert_int_equal(store_read_alarms(b->r, T0 + 5002, 4999, 3, keep_work, &w),
                     0);
    assert_int_equal(w.count, 2);
    assert_int_equal(w.at[0]->message, 5000);
    assert_int_equal(w.at[1]->message, 5001);
    works_free(&w);
    assert_int_equal(store_read_alarms(b->r, T0 + 10000, 4, 2, keep_work, &w),
                     0);
    assert_int_equal(w.count, 2);
    assert_int_equal(w.at[0]->message, 5);
    assert_int_equal(w.at[1]->message, 6);
    works_free(&w);
}

static void the_alarm_of_a_settled_recipient_goes_with_it(void **state)
{
    struct bench *b = *state;
    struct works w = { 0 };
    struct sample p;

    sample_of(&p, 5, 2);
    p.recipients[0].warn_ms = T0 + HOUR;
    put(b, &p);
    assert_query(b->path, "SELECT alarm_ms FROM message", "4600000");
    read_due(b, "example.org", T0, &w);
    assert_false(settle(b, w.at[0], 0, OUTCOME_DELIVERED, T0));
    assert_query(b->path, "SELECT alarm_ms FROM message", "15400000");
    works_free(&w);
}

static void changed_content_is_found_out(void **state) /* Q6 */
{
    struct bench *b = *state;
    struct buffer out = { 0 };
    struct sample p;

    put(b, sample_of(&p, 5, 1));
    make_database(b->path, "UPDATE content SET bytes=x'00' WHERE message=5");
    assert_int_equal(store_read_content(b->r, 5, p.content.checksum, &out),
                     ERROR_CHECKSUM);
    assert_int_equal(out.len, 0);
    assert_int_equal(store_read_content(b->r, 6, p.content.checksum, &out), ERROR_GONE);
    buffer_fini(&out);
}

static void large_content_is_known_by_its_file(void **state)
{
    struct bench *b = *state;
    struct queue_result r = { .outcome = OUTCOME_DELIVERED };
    bool is_removed = false, has_file = false;
    struct works w = { 0 };
    uint64_t ids[4];
    uint32_t count = 0;
    struct sample p;

    put(b, sample_of(&p, 5, 1));
    sample_of(&p, 6, 1)->message.take_content = NULL;
    put(b, &p);
    assert_int_equal(store_read_files(b->r, 0, 4, ids, &count), 0);
    assert_int_equal(count, 1);
    assert_int_equal(ids[0], 6);
    read_due(b, "example.org", T0, &w);
    assert_true(w.content[1].has_file);
    assert_int_equal(store_begin(b->s), 0);
    assert_int_equal(
        store_settle(b->s, w.at[1], 0, &r, T0, &is_removed, &has_file), 0);
    assert_true(is_removed && has_file);
    assert_int_equal(
        store_settle(b->s, w.at[0], 0, &r, T0, &is_removed, &has_file), 0);
    assert_true(is_removed && !has_file);
    assert_int_equal(store_commit(b->s), 0);
    works_free(&w);
}

struct lanes {
    char text[200];
    uint32_t count;
};

static void keep_lane(void *user, int64_t lane, struct span key, int64_t due_ms)
{
    struct lanes *l = user;

    assert_true(lane > 0);
    (void)snprintf(l->text + strlen(l->text), sizeof l->text - strlen(l->text),
                   "%.*s %lld;", SPAN_FMT(key), (long long)due_ms);
    l->count++;
}

static void lanes_come_with_their_earliest_due_time(void **state)
{
    struct bench *b = *state;
    struct lanes l = { 0 };
    struct sample p;
    int64_t last = -1;

    sample_of(&p, 1, 3);
    p.recipients[0].due_ms = T0 + 9;
    p.recipients[1].due_ms = T0 + 5;
    put(b, &p);
    (void)lane_of(b, "empty.example");
    assert_int_equal(store_read_lanes(b->r, 0, 2, keep_lane, &l, &last), 0);
    assert_string_equal(l.text, "example.org 1000005;example.net 1000000;");
    assert_true(last > 0);
    assert_int_equal(store_read_lanes(b->r, last, 2, keep_lane, &l, &last), 0);
    assert_int_equal(last, 0);
    assert_int_equal(l.count, 2);
    /* A lane nobody needs is gone with the next start. */
    bench_close(b);
    bench_open(b);
    assert_query(b->path, "SELECT count(*) FROM lane", "2");
}

static void keep_destination(void *user, const struct store_destination *d)
{
    struct lanes *l = user;

    (void)snprintf(l->text, sizeof l->text, "%.*s %lld %u %u %lld %.*s %lld",
                   SPAN_FMT(d->name), (long long)d->due_ms, d->downs, d->window,
                   (long long)d->last_good_ms, SPAN_FMT(d->last_error),
                   (long long)d->at_ms);
    l->count++;
}

static void keep_note(void *user, struct span key, struct span value)
{
    struct lanes *l = user;

    (void)snprintf(l->text, sizeof l->text, "%.*s=%.*s", SPAN_FMT(key),
                   SPAN_FMT(value));
    l->count++;
}

static void destinations_and_notes_are_remembered(void **state)
{
    struct bench *b = *state;
    struct store_destination d = { SPAN("mx:a"), 1,        2, 3, 4,
                                   SPAN("err"),  INT64_MAX };
    struct lanes l = { 0 };
    bool has_more;

    assert_int_equal(store_begin(b->s), 0);
    assert_int_equal(store_destination_put(b->s, &d), 0);
    d.downs = 7;
    assert_int_equal(store_destination_put(b->s, &d), 0);
    assert_int_equal(store_note_put(b->s, SPAN("k"), SPAN("a"), SPAN("1"), 100),
                     0);
    assert_int_equal(store_note_put(b->s, SPAN("k"), SPAN("b"), SPAN("2"), 200),
                     0);
    assert_int_equal(
        store_note_put(b->s, SPAN("other"), SPAN("b"), SPAN("3"), 200), 0);
    assert_int_equal(store_commit(b->s), 0);
    bench_close(b);
    bench_open(b);
    assert_int_equal(store_read_destinations(b->r, keep_destination, &l), 0);
    assert_string_equal(l.text, "mx:a 1 7 3 4 err 9223372036854775807");
    assert_int_equal(l.count, 1);
    assert_int_equal(store_read_notes(b->r, SPAN("k"), 100, keep_note, &l), 0);
    assert_string_equal(l.text, "b=2");
    assert_int_equal(l.count, 2);
    assert_int_equal(store_begin(b->s), 0);
    assert_int_equal(store_purge_notes(b->s, 100, 10, &has_more), 0);
    assert_false(has_more);
    assert_int_equal(store_commit(b->s), 0);
    assert_query(b->path, "SELECT kind,key FROM note", "k|b\nother|b");
    assert_int_equal(store_begin(b->s), 0);
    assert_int_equal(store_purge_notes(b->s, 200, 1, &has_more), 0);
    assert_true(has_more);
    assert_int_equal(store_purge_notes(b->s, 200, 2, &has_more), 0);
    assert_false(has_more);
    assert_int_equal(store_commit(b->s), 0);
    assert_query(b->path, "SELECT kind,key FROM note", "");
}

int main(void)
{
    /* clang-format off */
    const struct CMUnitTest tests[] = {
#define T(name) cmocka_unit_test_setup_teardown(name, bench_new_open, bench_free)
        T(a_put_message_is_read_back_as_it_was),
        T(the_last_settled_recipient_takes_the_message_along),
        T(due_recipients_come_in_pages_gathered_by_message),
        T(pages_lose_nothing_among_equal_due_times),
        T(works_come_in_the_order_in_which_they_are_due),
        T(a_deferral_moves_the_due_time_and_adds_to_the_trail),
        T(a_long_trail_loses_its_oldest_attempts),
        T(a_held_recipient_is_never_due),
        T(an_alarm_comes_once_for_each_message_and_moves_on),
        T(many_alarms_come_in_the_same_order_as_few),
        T(the_alarm_of_a_settled_recipient_goes_with_it),
        T(changed_content_is_found_out),
        T(large_content_is_known_by_its_file),
        T(lanes_come_with_their_earliest_due_time),
        T(destinations_and_notes_are_remembered),
    };
    /* clang-format on */

    return cmocka_run_group_tests(tests, NULL, NULL);
}
