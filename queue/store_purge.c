/*
 * store_purge - the end of what is over: deleted mail after its day, notes that have expired,
 * and what was said in attempts at mail that is gone.
 *
 * Each does a slice, so that the writer's other jobs need not wait.
 */
#include "queue/store_private.h"

static int purge_one(struct store *s, uint64_t message, int64_t now_ms,
                     bool *out_has_file)
{
    struct database *d = &s->db;
    sqlite3_stmt *events = database_statement(d, PURGE_EVENTS);
    int rc;

    bind_number(events, 1, s->last_event + 1);
    bind_number(events, 2, now_ms);
    bind_number(events, 3, EVENT_DELETED);
    bind_number(events, 4, (int64_t)message);
    bind_number(database_statement(d, PURGE_RECIPIENTS), 1, (int64_t)message);
    bind_number(database_statement(d, REMOVE_MESSAGE), 1, (int64_t)message);
    bind_number(database_statement(d, REMOVE_CONTENT), 1, (int64_t)message);
    bind_number(database_statement(d, CLEAR_PURGE), 1, (int64_t)message);
    if ((rc = database_run(d, PURGE_EVENTS)) < 0)
        return rc;
    s->last_event += sqlite3_changes(d->db);
    if ((rc = database_run(d, PURGE_RECIPIENTS)) < 0 ||
        (rc = database_run(d, REMOVE_MESSAGE)) < 0)
        return rc;
    *out_has_file = false;
    if (sqlite3_changes(d->db) == 0)
        return database_run(d, CLEAR_PURGE);
    if ((rc = database_run(d, REMOVE_CONTENT)) < 0)
        return rc;
    *out_has_file = sqlite3_changes(d->db) == 0;
    return 0;
}

int store_purge(struct store *s, int64_t now_ms, uint32_t limit,
                void (*has_file)(void *user, uint64_t message), void *user)
{
    sqlite3_stmt *find = database_statement(&s->db, FIND_PURGE);
    int rc = 0;

    for (uint32_t i = 0; i < limit; i++) {
        uint64_t message;
        bool is_file;

        bind_number(find, 1, now_ms);
        if ((rc = database_step(&s->db, FIND_PURGE)) <= 0)
            break;
        message = (uint64_t)column_number(find, 0);
        database_reset(&s->db, FIND_PURGE);
        if ((rc = purge_one(s, message, now_ms, &is_file)) < 0)
            break;
        if (is_file && has_file)
            has_file(user, message);
    }
    return rc < 0 ? store_note_failure(s, rc, "purging") : 0;
}

int store_purge_notes(struct store *s, int64_t now_ms, uint32_t limit,
                      bool *out_more)
{
    sqlite3_stmt *st = database_statement(&s->db, PURGE_NOTES);
    int rc;

    bind_number(st, 1, now_ms);
    bind_number(st, 2, limit);
    if ((rc = database_run(&s->db, PURGE_NOTES)) < 0)
        return store_note_failure(s, rc, "purging notes");
    *out_more = (uint32_t)sqlite3_changes(s->db.db) == limit;
    return 0;
}

/* What was said about messages that are gone, a slice of them. */
int store_purge_dialogues(struct store *s, uint32_t limit)
{
    sqlite3_stmt *bound = database_statement(&s->db, DIALOGUES_BOUND);
    sqlite3_stmt *st = database_statement(&s->db, PURGE_DIALOGUES);
    uint64_t end_id = INT64_MAX;
    int rc;

    bind_number(bound, 1, (int64_t)s->dialogues_purged);
    bind_number(bound, 2, limit);
    if ((rc = database_step(&s->db, DIALOGUES_BOUND)) == 1) {
        end_id = (uint64_t)column_number(bound, 0);
        database_reset(&s->db, DIALOGUES_BOUND);
    }
    bind_number(st, 1, (int64_t)s->dialogues_purged);
    bind_number(st, 2, (int64_t)end_id);
    if (rc < 0 || (rc = database_run(&s->db, PURGE_DIALOGUES)) < 0)
        return store_note_failure(s, rc, "purging dialogues");
    s->dialogues_purged = end_id == INT64_MAX ? 0 : end_id;
    return 0;
}
