/*
 * Q6: no silent fresh start. Every refusal says what to do and leaves the file
 * as it was.
 */
#include "tests/unit/store_bench.h"

#include "queue/store_private.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/wait.h>

static void refused(struct bench *b, int expected, const char *words)
{
    struct store *s = NULL;
    int rc;

    buffer_clear(&b->why);
    rc = store_open(&s, b->path, &b->why, &b->notices);
    if (rc != expected || !strstr(buffer_string(&b->why), words))
        fail_msg("got %d (%s), expected %d (%s)", rc, buffer_string(&b->why),
                 expected, words);
    assert_null(s);
}

static void write_file(const char *path, const char *text, size_t len,
                       off_t offset)
{
    int fd = open(path, O_WRONLY | O_CREAT, 0600);

    assert_true(fd >= 0);
    assert_int_equal(pwrite(fd, text, len, offset), (ssize_t)len);
    close(fd);
}

static void a_new_queue_is_made_as_it_should_be(void **state)
{
    struct bench *b = *state;
    struct stat st;

    bench_open(b);
    assert_query(b->path, "PRAGMA journal_mode", "wal");
    assert_query(b->path, "PRAGMA page_size", "2048");
    assert_query(b->path, "PRAGMA auto_vacuum", "2");
    assert_query(b->path, "PRAGMA application_id", "1466005872");
    assert_query(b->path, "PRAGMA user_version", "7");
    assert_int_equal(stat(b->path, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0600);
    {
        int64_t level = 0;

        assert_int_equal(
            database_number(&b->s->db, "PRAGMA synchronous", &level), 0);
        assert_int_equal(level, 2);
        assert_int_equal(
            database_number(&b->s->db, "PRAGMA wal_autocheckpoint", &level), 0);
        assert_int_equal(level, 0);
    }
}

static void a_file_that_is_no_database_is_refused(void **state) /* Q6 */
{
    struct bench *b = *state;
    char text[10000];

    memset(text, 'x', sizeof text);
    write_file(b->path, text, 20, 0);
    refused(b, ERROR_FOREIGN, "is not a database: name another file");
    write_file(b->path, text, sizeof text, 0);
    refused(b, ERROR_FOREIGN, "is not a database: name another file");
}

static void another_applications_database_is_refused(void **state) /* Q6 */
{
    struct bench *b = *state;

    make_database(b->path, "CREATE TABLE t(a); INSERT INTO t VALUES(1)");
    refused(b, ERROR_FOREIGN, "another application");
    make_database(b->path, "PRAGMA application_id=5");
    refused(b, ERROR_FOREIGN, "another application");
    assert_query(b->path, "SELECT a FROM t", "1");
    assert_query(b->path, "PRAGMA journal_mode", "delete");
}

static void an_empty_file_becomes_a_queue(void **state)
{
    struct bench *b = *state;

    write_file(b->path, "", 0, 0);
    bench_open(b);
    assert_query(b->path, "PRAGMA page_size", "2048");
}

static void a_newer_queue_is_refused(void **state) /* Q6 */
{
    struct bench *b = *state;

    bench_open(b);
    bench_close(b);
    make_database(b->path, "PRAGMA user_version=99");
    refused(b, ERROR_NEWER, "newer Waypost (schema 99, this one knows 7)");
    assert_int_equal(store_reader_open(&b->r, b->path), ERROR_NEWER);
}

static void a_damaged_queue_is_refused(void **state) /* Q6 */
{
    struct bench *b = *state;
    char garbage[8192];
    struct sample p;
    struct stat st;

    bench_open(b);
    for (uint64_t id = 1; id < 300; id++)
        put(b, sample_of(&p, id, 3));
    bench_close(b);
    assert_int_equal(stat(b->path, &st), 0);
    memset(garbage, 0x5a, sizeof garbage);
    write_file(b->path, garbage, sizeof garbage, st.st_size / 2048 / 2 * 2048);
    refused(b, ERROR_DAMAGED, "is damaged (");
}

static void a_truncated_queue_is_refused(void **state) /* Q6 */
{
    struct bench *b = *state;
    struct sample p;
    struct stat st;

    bench_open(b);
    put(b, sample_of(&p, 1, 3));
    bench_close(b);
    assert_int_equal(stat(b->path, &st), 0);
    assert_int_equal(truncate(b->path, st.st_size - 2048), 0);
    refused(b, ERROR_DAMAGED, "is damaged (");
}

static void a_queue_without_one_of_its_tables_is_refused(void **state) /* Q6 */
{
    struct bench *b = *state;

    bench_open(b);
    bench_close(b);
    make_database(b->path, "DROP VIEW v_queue; DROP TABLE content");
    refused(b, ERROR_DAMAGED, "no such table: content");
}

static void a_wal_without_its_queue_is_refused(void **state) /* Q6 */
{
    struct bench *b = *state;
    char wal[80];

    (void)snprintf(wal, sizeof wal, "%s-wal", b->path);
    write_file(wal, "mail", 4, 0);
    refused(b, ERROR_DAMAGED, "its mail may be in");
    assert_int_equal(access(wal, F_OK), 0);
    assert_int_not_equal(access(b->path, F_OK), 0);
}

static void a_folder_or_a_missing_folder_is_refused(void **state)
{
    struct bench *b = *state;
    char path[64];

    assert_int_equal(mkdir(b->path, 0700), 0);
    refused(b, ERROR_FOREIGN, "is not a file");
    (void)snprintf(path, sizeof path, "%s/none/queue.db", b->folder);
    memcpy(b->path, path, sizeof path);
    refused(b, -ENOENT, "cannot be opened: No such file");
}

static void a_second_process_is_refused_by_name(void **state) /* Q6 */
{
    struct bench *b = *state;
    char words[80];
    int status;
    pid_t child;

    bench_open(b);
    (void)snprintf(words, sizeof words,
                   "another Waypost (pid %ld) is using this queue",
                   (long)getpid());
    child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        struct buffer why = { 0 }, notices = { 0 };
        struct store *s;
        int rc = store_open(&s, b->path, &why, &notices);

        _exit(rc == ERROR_LOCKED && strstr(buffer_string(&why), words) ? 0 : 1);
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    bench_close(b);
    bench_open(b);
}

/* ---------------------------------------------------------- upgrade ---- */

static const char *const made_up[] = {
    "CREATE TABLE a(x); INSERT INTO a VALUES(1)",
    "ALTER TABLE a ADD COLUMN y DEFAULT 2; CREATE TABLE b(z)",
    "INSERT INTO b VALUES(3); UPDATE nothing SET x=1",
};

static void an_older_schema_is_brought_up_step_by_step(void **state)
{
    struct bench *b = *state;
    struct database d;

    assert_int_equal(database_open(&d, b->path, DATABASE_WRITER), 0);
    assert_int_equal(store_schema_upgrade(&d, made_up, 0, 1, 77), 0);
    assert_query(b->path, "PRAGMA user_version", "1");
    assert_int_equal(store_schema_upgrade(&d, made_up, 1, 2, 77), 0);
    assert_query(b->path, "PRAGMA user_version", "2");
    assert_query(b->path, "PRAGMA application_id", "77");
    assert_query(b->path, "SELECT x,y FROM a", "1|2");
    database_close(&d);
}

/* A file as the first version left it, with a message in it. */
static void the_first_versions_file_is_brought_up_with_its_mail(void **state)
{
    struct bench *b = *state;
    struct sample p;
    struct works w = { 0 };

    bench_open(b);
    put(b, sample_of(&p, 77, 1));
    bench_close(b);
    make_database(b->path,
                  "ALTER TABLE message DROP COLUMN priority;"
                  "ALTER TABLE message DROP COLUMN by_ms;"
                  "ALTER TABLE message DROP COLUMN by_how;"
                  "ALTER TABLE message DROP COLUMN verp;"
                  "ALTER TABLE message DROP COLUMN release_ms;"
                  "ALTER TABLE message DROP COLUMN header_8bit;"
                  "ALTER TABLE message DROP COLUMN unvouched;"
                  "ALTER TABLE destination DROP COLUMN suspended_ms;"
                  "ALTER TABLE destination DROP COLUMN suspend_why;"
                  "ALTER TABLE destination DROP COLUMN on_demand;"
                  "ALTER TABLE message DROP COLUMN head_bytes;"
                  "ALTER TABLE message DROP COLUMN head_at;"
                  "ALTER TABLE message DROP COLUMN tls;"
                  "ALTER TABLE recipient DROP COLUMN ruling;"
                  "ALTER TABLE recipient DROP COLUMN held_by;"
                  "ALTER TABLE recipient DROP COLUMN deleted_by;"
                  "ALTER TABLE event DROP COLUMN tls;"
                  "ALTER TABLE event DROP COLUMN ruling;"
                  "ALTER TABLE event DROP COLUMN dialogue;"
                  "ALTER TABLE event DROP COLUMN who;"
                  "DROP TABLE dialogue;"
                  "PRAGMA user_version=1");
    bench_open(b);
    assert_query(b->path, "PRAGMA user_version", "7");
    assert_false(read_due(b, "example.org", T0, &w));
    assert_int_equal(w.count, 1);
    assert_int_equal(w.at[0]->envelope.priority, 0);
    assert_int_equal(w.at[0]->envelope.verp.len, 0);
    assert_int_equal(w.at[0]->envelope.release_ms, 0);
    assert_true(w.at[0]->envelope.header_8bit);
    assert_int_equal(w.content[0].head_bytes, 0);
    assert_true(span_is(w.at[0]->envelope.message_id, SPAN("<1@example.com>")));
    works_free(&w);
}

static void an_upgrade_that_fails_changes_nothing(void **state)
{
    struct bench *b = *state;
    struct database d;

    assert_int_equal(database_open(&d, b->path, DATABASE_WRITER), 0);
    assert_int_equal(store_schema_upgrade(&d, made_up, 0, 1, 77), 0);
    assert_int_equal(store_schema_upgrade(&d, made_up, 1, 3, 77), ERROR_STORE);
    assert_query(b->path, "PRAGMA user_version", "1");
    assert_query(b->path, "SELECT * FROM a", "1");
    assert_query(b->path, "SELECT name FROM sqlite_schema", "a");
    database_close(&d);
}

static void a_queue_in_memory_is_warned_of(void **state)
{
    struct bench *b = *state;
    struct buffer notices = { 0 };

    (void)b;
    if (access("/dev/shm", W_OK) != 0)
        skip();
    store_check_folder("/dev/shm/queue.db", &notices);
    assert_non_null(strstr(buffer_string(&notices), "lies in memory (tmpfs)"));
    buffer_fini(&notices);
}

int main(void)
{
    /* clang-format off */
    const struct CMUnitTest tests[] = {
#define T(name) cmocka_unit_test_setup_teardown(name, bench_new, bench_free)
        T(a_new_queue_is_made_as_it_should_be),
        T(a_file_that_is_no_database_is_refused),
        T(another_applications_database_is_refused),
        T(an_empty_file_becomes_a_queue),
        T(a_newer_queue_is_refused),
        T(a_damaged_queue_is_refused),
        T(a_truncated_queue_is_refused),
        T(a_queue_without_one_of_its_tables_is_refused),
        T(a_wal_without_its_queue_is_refused),
        T(a_folder_or_a_missing_folder_is_refused),
        T(a_second_process_is_refused_by_name),
        T(an_older_schema_is_brought_up_step_by_step),
        T(the_first_versions_file_is_brought_up_with_its_mail),
        T(an_upgrade_that_fails_changes_nothing),
        T(a_queue_in_memory_is_warned_of),
    };
    /* clang-format on */

    return cmocka_run_group_tests(tests, NULL, NULL);
}
