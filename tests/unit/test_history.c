/*
 * The history: events are copied once, whatever happens in between; refusals;
 * pruning.
 */
#include "tests/unit/store_bench.h"

static const char *history_of(struct bench *b)
{
    static char path[80];

    (void)snprintf(path, sizeof path, "%s/history.db", b->folder);
    return path;
}

static int64_t drain(struct bench *b, struct history *h, uint32_t limit)
{
    int64_t last = -1;

    assert_int_equal(history_drain(h, b->r, limit, &last), 0);
    return last;
}

static void done(struct bench *b, int64_t last)
{
    assert_int_equal(store_begin(b->s), 0);
    assert_int_equal(store_events_done(b->s, last), 0);
    assert_int_equal(store_commit(b->s), 0);
}

/* Puts a message and settles its recipients with one outcome. */
static void live(struct bench *b, uint64_t id, size_t count, int64_t now_ms)
{
    struct works w = { 0 };
    struct sample p;

    put(b, sample_of(&p, id, count));
    read_due(b, "example.org", now_ms, &w);
    for (size_t i = 0; i < count; i++)
        settle(b, w.at[0], i, OUTCOME_DELIVERED, now_ms);
    works_free(&w);
}

static void an_outcome_is_told_with_all_its_facts(void **state)
{
    struct bench *b = *state;
    struct works w = { 0 };
    struct history *h;
    struct sample p;

    put(b, sample_of(&p, 31, 1));
    read_due(b, "example.org", T0, &w);
    settle(b, w.at[0], 0, OUTCOME_DEFERRED, T0);
    read_due(b, "example.org", T0 + HOUR, &w);
    settle(b, w.at[1], 0, OUTCOME_FAILED, T0 + HOUR);
    assert_int_equal(history_open(&h, b->path), 0);
    assert_true(drain(b, h, 10) > 0);
    assert_query(
        history_of(b),
        "SELECT at,what,queue_id,sender,recipient,status,reply,host,received,"
        "size,client,client_name,helo,login,listener,protocol,message_id,"
        "attempts,in_doubt,delay_before_ms,delay_queue_ms,delay_connect_ms,"
        "delay_send_ms,trail,rule,place,held_by,tls,asked_to FROM v_history",
        "1970-01-01T01:16:40.000Z|failed|000000000000Z|Sender@example.com|"
        "u0@example.org|4.2.0|450 try | later|mx.example.org[192.0.2.1]:25|"
        "1970-01-01T00:16:40.000Z|17|192.0.2.7|client.example.com|"
        "helo.example.com|bob|edge|ESMTP|<1@example.com>|2|0|1|2|3|4|"
        "1000000|mx.example.org[192.0.2.1]:25|4.2.0|450 try   later\n|"
        "our domains|waypost.conf:7||TLSv1.3 256|u0@alias.example");
    history_close(h);
    works_free(&w);
}

static void events_are_copied_once_whatever_comes_between(void **state)
{
    struct bench *b = *state;
    struct history *h;
    int64_t last;

    live(b, 1, 2, T0);
    live(b, 2, 1, T0);
    assert_int_equal(history_open(&h, b->path), 0);
    last = drain(b, h, 2);
    assert_true(last > 0);
    assert_query(history_of(b), "SELECT count(*) FROM history", "2");
    /* Not removed from the queue yet: go on behind it. */
    assert_true(drain(b, h, 2) > last);
    assert_query(history_of(b), "SELECT count(*) FROM history", "3");
    /* Still not removed, and the process ends. */
    history_close(h);
    assert_int_equal(history_open(&h, b->path), 0);
    assert_int_equal(drain(b, h, 2), last);
    assert_query(history_of(b), "SELECT count(*) FROM history", "3");
    done(b, last);
    assert_query(b->path, "SELECT count(*) FROM event", "1");
    last = drain(b, h, 2);
    done(b, last);
    assert_query(b->path, "SELECT count(*) FROM event", "0");
    assert_query(history_of(b), "SELECT count(*) FROM history", "3");
    assert_int_equal(drain(b, h, 2), 0);
    history_close(h);
}

static void a_queue_made_anew_does_not_hide_behind_an_old_history(void **state)
{
    struct bench *b = *state;
    struct history *h;

    live(b, 1, 1, T0);
    assert_int_equal(history_open(&h, b->path), 0);
    done(b, drain(b, h, 10));
    bench_close(b);
    assert_int_equal(unlink(b->path), 0);
    bench_open(b);
    live(b, 2, 1, T0);
    done(b, drain(b, h, 10));
    assert_query(history_of(b), "SELECT message FROM history ORDER BY id",
                 "1\n2");
    history_close(h);
}

static void refusals_are_kept_beside(void **state)
{
    struct bench *b = *state;
    struct queue_refusal rows[] = {
        { T0, SPAN("192.0.2.9"), SPAN("h"), SPAN(""), SPAN("a@b"), SPAN("c@d"),
          SPAN("554 5.7.1 no"), SPAN("spam list"), SPAN("waypost.conf:12"),
          SPAN("RCPT"), SPAN("x.example"), SPAN("edge"),
          SPAN("TLSv1.3 256"), 1000, true },
        { T0 + 1, SPAN("192.0.2.9"), SPAN("h"), SPAN(""), SPAN("a@b"),
          SPAN("e@f"), SPAN("554 5.7.1 no"), SPAN(""), .is_verdict = false },
    };
    struct history *h;

    assert_int_equal(history_open(&h, b->path), 0);
    assert_int_equal(history_refusals(h, rows, 0), 0);
    assert_int_equal(history_refusals(h, rows, 2), 0);
    assert_query(history_of(b),
                 "SELECT what,queue_id,client,sender,recipient,reply,rule "
                 "FROM v_history WHERE at_ms=1000000",
                 "refused||192.0.2.9|a@b|c@d|554 5.7.1 no|spam list");
    assert_query(history_of(b),
                 "SELECT verdict,rule,place,stage,client,client_name,listener,"
                 "tls,sender,recipient,size,reply FROM v_verdicts",
                 "refused|spam list|waypost.conf:12|RCPT|192.0.2.9|x.example|"
                 "edge|TLSv1.3 256|a@b|c@d|1000|554 5.7.1 no");
    assert_query(history_of(b), "SELECT count(*) FROM v_history", "2");
    history_close(h);
}

static void what_is_old_is_pruned_in_slices(void **state)
{
    struct bench *b = *state;
    struct queue_refusal old = { .at_ms = T0 };
    uint32_t count;
    struct history *h;

    live(b, 1, 1, T0);
    live(b, 2, 1, T0 + 1);
    live(b, 3, 1, T0 + 2);
    assert_int_equal(history_open(&h, b->path), 0);
    assert_int_equal(history_refusals(h, &old, 1), 0);
    drain(b, h, 10);
    assert_int_equal(history_prune(h, T0 + 2, 1, &count), 0);
    assert_query(history_of(b), "SELECT message FROM history ORDER BY id",
                 "2\n3");
    assert_query(history_of(b), "SELECT count(*) FROM refusal", "0");
    assert_int_equal(history_prune(h, T0 + 2, 10, &count), 0);
    assert_query(history_of(b), "SELECT message FROM history", "3");
    history_close(h);
}

static void another_file_is_not_taken_for_a_history(void **state) /* Q6 */
{
    struct bench *b = *state;
    struct history *h = NULL;

    make_database(history_of(b), "CREATE TABLE t(a)");
    assert_int_equal(history_open(&h, b->path), ERROR_FOREIGN);
    assert_null(h);
}

int main(void)
{
    /* clang-format off */
    const struct CMUnitTest tests[] = {
#define T(name) cmocka_unit_test_setup_teardown(name, bench_new_open, bench_free)
        T(an_outcome_is_told_with_all_its_facts),
        T(events_are_copied_once_whatever_comes_between),
        T(a_queue_made_anew_does_not_hide_behind_an_old_history),
        T(refusals_are_kept_beside),
        T(what_is_old_is_pruned_in_slices),
        T(another_file_is_not_taken_for_a_history),
    };
    /* clang-format on */

    return cmocka_run_group_tests(tests, NULL, NULL);
}
