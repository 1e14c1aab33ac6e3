/*
 * The store's transactions: what stays, what goes, after a failure, a crash, a
 * full disk.
 */
#include "tests/unit/store_bench.h"

#include "queue/store_private.h"

#include <sys/stat.h>

static void nothing_of_a_batch_that_was_rolled_back_stays(void **state) /* Q5 */
{
    struct bench *b = *state;
    struct sample p;
    int64_t lane;

    assert_int_equal(store_begin(b->s), 0);
    sample_of(&p, 5, 3);
    assert_int_equal(store_put(b->s, &p.message, &p.content), 0);
    store_rollback(b->s);
    assert_query(b->path,
                 "SELECT (SELECT count(*) FROM message),"
                 "(SELECT count(*) FROM content),(SELECT count(*) FROM lane),"
                 "(SELECT count(*) FROM recipient)",
                 "0|0|0|0");
    /* The lane that was made in it must not be remembered. */
    lane = lane_of(b, "example.org");
    assert_true(lane > 0);
    assert_query(b->path, "SELECT key FROM lane", "example.org");
}

static void a_job_that_fails_is_undone_alone(void **state) /* Q7 */
{
    struct bench *b = *state;
    struct sample p;

    put(b, sample_of(&p, 5, 1));
    assert_int_equal(store_begin(b->s), 0);
    assert_int_equal(store_job_begin(b->s), 0);
    sample_of(&p, 6, 3);
    assert_int_equal(store_put(b->s, &p.message, &p.content), 0);
    assert_int_equal(store_job_end(b->s, true), 0);
    assert_int_equal(store_job_begin(b->s), 0);
    sample_of(&p, 7, 3);
    p.recipients[2].number = 0; /* twice */
    assert_int_equal(store_put(b->s, &p.message, &p.content),
                     ERROR_STORE);
    assert_non_null(strstr(store_why(b->s), "putting a message: SQLite: "));
    assert_int_equal(store_job_end(b->s, false), 0);
    assert_int_equal(store_commit(b->s), 0);
    assert_query(b->path, "SELECT id FROM message ORDER BY id", "5\n6");
    assert_query(b->path, "SELECT message FROM content ORDER BY message",
                 "5\n6");
    assert_query(b->path, "SELECT count(*) FROM recipient", "4");
}

static void a_lane_made_beside_an_undone_job_is_not_trusted_later(void **state)
{
    struct bench *b = *state;
    int64_t a;

    assert_int_equal(store_begin(b->s), 0);
    assert_int_equal(store_lane(b->s, SPAN("a"), &a), 0);
    assert_int_equal(store_job_begin(b->s), 0);
    assert_int_equal(store_job_end(b->s, false), 0);
    assert_int_equal(store_lane(b->s, SPAN("a"), &a), 0);
    store_rollback(b->s);
    (void)lane_of(b, "a");
    assert_query(b->path, "SELECT key FROM lane", "a");
}

static void crash_copy(struct bench *b, struct bench *copy)
{
    char command[400];

    (void)snprintf(copy->folder, sizeof copy->folder, "%.30s/crash", b->folder);
    (void)snprintf(copy->path, sizeof copy->path, "%s/queue.db", copy->folder);
    (void)snprintf(command, sizeof command,
                   "rm -rf '%s' && mkdir '%s' && cp '%s' '%s-wal' '%s'",
                   copy->folder, copy->folder, b->path, b->path, copy->folder);
    assert_int_equal(system(command), 0);
}

static void a_failure_and_its_report_are_there_together_or_not_at_all(
    void **state) /* Q2 */
{
    struct bench *b = *state, before = { 0 }, after = { 0 };
    struct queue_result r = { .outcome = OUTCOME_FAILED };
    bool is_removed, has_file;
    struct works w = { 0 };
    struct sample p, report;

    put(b, sample_of(&p, 5, 1));
    read_due(b, "example.org", T0, &w);
    assert_int_equal(store_begin(b->s), 0);
    assert_int_equal(
        store_settle(b->s, w.at[0], 0, &r, T0, &is_removed, &has_file), 0);
    assert_true(is_removed);
    sample_of(&report, 6, 1);
    assert_int_equal(store_put(b->s, &report.message, &report.content),
                     0);
    crash_copy(b, &before);
    bench_open(&before);
    assert_query(before.path, "SELECT id FROM message", "5");
    assert_query(before.path, "SELECT count(*) FROM event", "0");
    bench_close(&before);
    assert_int_equal(store_commit(b->s), 0);
    crash_copy(b, &after);
    bench_open(&after);
    assert_query(after.path, "SELECT id FROM message", "6");
    assert_query(after.path, "SELECT message,kind FROM event", "5|2");
    bench_close(&after);
    buffer_fini(&before.why);
    buffer_fini(&after.why);
    works_free(&w);
}

static void what_was_claimed_is_due_again_after_a_crash(void **state) /* Q3 */
{
    struct bench *b = *state, copy = { 0 };
    struct works w = { 0 };
    struct sample p;
    struct stat st;
    char wal[120];

    put(b, sample_of(&p, 5, 1));
    read_due(b, "example.org", T0, &w);
    assert_int_equal(w.count, 1);
    crash_copy(b, &copy);
    (void)snprintf(wal, sizeof wal, "%s-wal", copy.path);
    assert_true(stat(wal, &st) == 0 && st.st_size > 0);
    bench_open(&copy);
    /* Q7: and the WAL was copied into the database before anything else. */
    assert_true(stat(wal, &st) == 0 && st.st_size == 0);
    read_due(&copy, "example.org", T0, &w);
    assert_int_equal(w.count, 2);
    assert_int_equal(w.at[1]->message, 5);
    bench_close(&copy);
    buffer_fini(&copy.why);
    works_free(&w);
}

static void a_full_disk_is_said_and_passes(void **state) /* Q7 */
{
    struct bench *b = *state;
    struct works w = { 0 };
    struct sample p;
    uint64_t id = 1;
    int rc = 0;

    put(b, sample_of(&p, id++, 1));
    assert_int_equal(database_exec(&b->s->db, "PRAGMA max_page_count=60"), 0);
    assert_int_equal(store_begin(b->s), 0);
    while (rc == 0 && id < 100000)
        rc = store_put(b->s, &sample_of(&p, id++, 3)->message, &p.content);
    assert_int_equal(rc, ERROR_FULL);
    store_rollback(b->s);
    read_due(b, "example.org", T0, &w);
    assert_int_equal(w.count, 1);
    assert_true(settle(b, w.at[0], 0, OUTCOME_DELIVERED, T0));
    put(b, sample_of(&p, id, 1));
    works_free(&w);
}

static void ids_are_remembered_when_their_messages_are_gone(void **state)
{
    struct bench *b = *state;
    struct works w = { 0 };
    struct sample p;
    char *event;

    put(b, sample_of(&p, 1000, 1));
    read_due(b, "example.org", T0, &w);
    assert_true(settle(b, w.at[0], 0, OUTCOME_DELIVERED, T0));
    bench_close(b);
    bench_open(b);
    assert_int_equal(store_last_id(b->s), 1000);
    event = query(b->path, "SELECT id FROM event");
    assert_int_equal(store_begin(b->s), 0);
    assert_int_equal(store_events_done(b->s, atoll(event)), 0);
    assert_int_equal(store_commit(b->s), 0);
    bench_close(b);
    bench_open(b);
    assert_int_equal(store_last_id(b->s), 1000);
    put(b, sample_of(&p, 1001, 1));
    works_free(&w);
    read_due(b, "example.org", T0, &w);
    assert_true(settle(b, w.at[0], 0, OUTCOME_DELIVERED, T0));
    {
        char sql[80];

        (void)snprintf(sql, sizeof sql, "SELECT id>%s,message FROM event",
                       event);
        assert_query(b->path, sql, "1|1001");
    }
    free(event);
    works_free(&w);
}

static void a_checkpoint_empties_the_wal(void **state)
{
    struct bench *b = *state;
    struct sample p;

    put(b, sample_of(&p, 5, 1));
    assert_true(store_wal_bytes(b->s) > 8192);
    assert_int_equal(store_checkpoint(b->s, false), 0);
    assert_int_equal(store_wal_bytes(b->s), 0);
    put(b, sample_of(&p, 6, 1));
    assert_true(store_wal_bytes(b->s) > 8192);
    assert_int_equal(store_checkpoint(b->s, true), 0);
    assert_int_equal(store_wal_bytes(b->s), 0);
    assert_int_equal(store_vacuum(b->s, 10), 0);
}

static void a_checksum_in_pieces_is_that_of_the_whole(void **state)
{
    struct checksum *c = checksum_new();

    (void)state;
    checksum_add(c, SPAN("abc"));
    checksum_add(c, SPAN(""));
    checksum_add(c, SPAN("def"));
    assert_true(checksum_end(c) == checksum_of(SPAN("abcdef")));
    assert_true(checksum_of(SPAN("")) != checksum_of(SPAN("a")));
}

int main(void)
{
    /* clang-format off */
    const struct CMUnitTest tests[] = {
#define T(name) cmocka_unit_test_setup_teardown(name, bench_new_open, bench_free)
        T(nothing_of_a_batch_that_was_rolled_back_stays),
        T(a_job_that_fails_is_undone_alone),
        T(a_lane_made_beside_an_undone_job_is_not_trusted_later),
        T(a_failure_and_its_report_are_there_together_or_not_at_all),
        T(what_was_claimed_is_due_again_after_a_crash),
        T(a_full_disk_is_said_and_passes),
        T(ids_are_remembered_when_their_messages_are_gone),
        T(a_checkpoint_empties_the_wal),
        T(a_checksum_in_pieces_is_that_of_the_whole),
    };
    /* clang-format on */

    return cmocka_run_group_tests(tests, NULL, NULL);
}
