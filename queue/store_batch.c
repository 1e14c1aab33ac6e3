/*
 * store_batch - the writer's transaction: begin, jobs inside it, commit.
 *
 * One connection writes, so BEGIN IMMEDIATE takes the only write lock at once
 * and COMMIT can never be told to wait (SQLITE_BUSY): in WAL mode a commit
 * needs no lock that a reader holds, and checkpoints run at times of their own.
 *
 * A job that may fail alone runs in a savepoint. Its end is also where alarm_ms
 * of the messages it touched is made right, once for each, however many of
 * their recipients were settled.
 */
#include "queue/store_private.h"

#include "policy/vocabulary/memory.h"

#include <stdio.h>

int store_note_failure(struct store *s, int rc, const char *doing)
{
    (void)snprintf(s->why, sizeof s->why, "%s: %s", doing,
                   s->db.why[0] ? s->db.why : error_text(rc));
    return rc;
}

void store_alarm_changed(struct store *s, uint64_t message)
{
    struct alarm_list *a = &s->alarms;

    if (a->count && a->ids[a->count - 1] == message)
        return;
    if (a->count == a->size) {
        a->size = a->size ? a->size * 2 : 64;
        a->ids = memory_grow(a->ids, a->size * sizeof *a->ids);
    }
    a->ids[a->count++] = message;
}

static int alarm_set(struct store *s, uint64_t message)
{
    sqlite3_stmt *find = database_statement(&s->db, FIND_ALARM);
    sqlite3_stmt *set = database_statement(&s->db, SET_ALARM);
    bool is_none, is_same;
    int64_t alarm_ms;
    int rc;

    bind_number(find, 1, (int64_t)message);
    if ((rc = database_step(&s->db, FIND_ALARM)) <= 0)
        return rc;
    alarm_ms = column_number(find, 1);
    is_none = sqlite3_column_type(find, 1) == SQLITE_NULL;
    is_same = sqlite3_column_type(find, 0) == sqlite3_column_type(find, 1) &&
              column_number(find, 0) == alarm_ms;
    database_reset(&s->db, FIND_ALARM);
    if (is_same)
        return 0;
    bind_number(set, 1, (int64_t)message);
    if (is_none)
        bind_nothing(set, 2);
    else
        bind_number(set, 2, alarm_ms);
    return database_run(&s->db, SET_ALARM);
}

static int alarms_set(struct store *s)
{
    int rc = 0;

    for (size_t i = 0; i < s->alarms.count && rc == 0; i++)
        rc = alarm_set(s, s->alarms.ids[i]);
    s->alarms.count = 0;
    return rc;
}

int store_begin(struct store *s)
{
    int rc = database_run(&s->db, BEGIN_WRITE);

    s->has_new_lanes = false;
    s->alarms.count = 0;
    return rc < 0 ? store_note_failure(s, rc, "beginning a transaction") : 0;
}

int store_commit(struct store *s)
{
    int rc = alarms_set(s);

    if (rc == 0)
        rc = database_run(&s->db, COMMIT_BATCH);
    if (rc < 0) {
        rc = store_note_failure(s, rc, "committing");
        store_rollback(s);
    }
    return rc;
}

void store_rollback(struct store *s)
{
    s->alarms.count = 0;
    if (s->has_new_lanes)
        store_lanes_forget(s);
    /* SQLite may have rolled back by itself (full disk, I/O error). A failure
     * here leaves nothing that could be committed. */
    if (!sqlite3_get_autocommit(s->db.db) &&
        database_run(&s->db, ROLLBACK_BATCH) < 0)
        return;
}

int store_job_begin(struct store *s)
{
    int rc = database_run(&s->db, JOB_OPEN);

    return rc < 0 ? store_note_failure(s, rc, "opening a savepoint") : 0;
}

int store_job_end(struct store *s, bool ok)
{
    int rc = ok ? alarms_set(s) : 0;
    int undone;

    s->alarms.count = 0;
    if (ok && rc == 0) {
        rc = database_run(&s->db, JOB_RELEASE);
        return rc < 0 ? store_note_failure(s, rc, "ending a savepoint") : 0;
    }
    /* Lanes of the batch's other jobs stay uncommitted: has_new_lanes stays. */
    if (s->has_new_lanes)
        store_lanes_forget(s);
    if (rc < 0)
        rc = store_note_failure(s, rc, "setting an alarm");
    /* After some failures SQLite has rolled the whole batch back. */
    if (sqlite3_get_autocommit(s->db.db))
        return rc < 0 ? rc : ERROR_FULL;
    if ((undone = database_run(&s->db, JOB_UNDO)) < 0 ||
        (undone = database_run(&s->db, JOB_RELEASE)) < 0)
        return store_note_failure(s, undone, "undoing a savepoint");
    return rc;
}
