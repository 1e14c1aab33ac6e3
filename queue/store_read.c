/*
 * store_read - read-only connections, and the small questions.
 *
 * Each call is one short read transaction, so the WAL is never pinned. What
 * stands in callbacks is borrowed from the statement. Only what waits is counted
 * on the writer's own connection, so that it agrees with what is being written.
 */
#include "queue/store_private.h"

#include "policy/vocabulary/memory.h"

#include <stdlib.h>

int store_reader_open(struct store_reader **out_r, const char *path)
{
    struct store_reader *r = NEW(struct store_reader);
    int64_t application, version;
    int rc;

    if ((rc = database_open(&r->db, path, DATABASE_READER)) < 0 ||
        (rc = database_number(&r->db, "PRAGMA application_id", &application)) <
            0 ||
        (rc = database_number(&r->db, "PRAGMA user_version", &version)) < 0)
        goto fail;
    rc = ERROR_FOREIGN;
    if (application != STORE_APPLICATION_ID)
        goto fail;
    rc = ERROR_NEWER;
    if (version > store_schema_version())
        goto fail;
    rc = ERROR_OLDER;
    if (version < store_schema_version())
        goto fail;
    rc = database_prepare(&r->db);
    if (rc < 0)
        goto fail;
    *out_r = r;
    return 0;
fail:
    store_reader_close(r);
    return rc;
}

void store_reader_close(struct store_reader *r)
{
    if (!r)
        return;
    database_close(&r->db);
    free(r);
}

int store_read_lanes(struct store_reader *r, int64_t after_lane, uint32_t limit,
                     store_lane_fn *each, void *user, int64_t *out_last)
{
    sqlite3_stmt *st = database_statement(&r->db, READ_LANES);
    int64_t last = 0;
    uint32_t seen = 0;
    int rc;

    bind_number(st, 1, after_lane);
    bind_number(st, 2, limit);
    while ((rc = database_step(&r->db, READ_LANES)) == 1) {
        int64_t due_ms = column_number(st, 2);

        seen++;
        last = column_number(st, 0);
        if (sqlite3_column_type(st, 2) != SQLITE_NULL && due_ms != NEVER_MS)
            each(user, last, column_span(st, 1), due_ms);
    }
    if (rc == 0)
        *out_last = seen < limit ? 0 : last;
    return rc;
}

int store_read_destinations(struct store_reader *r,
                            void (*each)(void *user,
                                         const struct store_destination *d),
                            void *user)
{
    sqlite3_stmt *st = database_statement(&r->db, READ_DESTINATIONS);
    int rc;

    while ((rc = database_step(&r->db, READ_DESTINATIONS)) == 1) {
        struct store_destination d = {
            .name = column_span(st, 0),
            .due_ms = column_number(st, 1),
            .downs = (uint32_t)column_number(st, 2),
            .window = (uint32_t)column_number(st, 3),
            .last_good_ms = column_number(st, 4),
            .last_error = column_span(st, 5),
            .at_ms = column_number(st, 6),
            .suspended_ms = column_number(st, 7),
            .suspend_why = column_span(st, 8),
            .is_on_demand = column_number(st, 9) != 0,
        };

        each(user, &d);
    }
    return rc;
}

int store_lane_key(struct database *d, int64_t lane, struct span *out_key)
{
    sqlite3_stmt *st = database_statement(d, FIND_LANE_KEY);
    int rc;

    bind_number(st, 1, lane);
    if ((rc = database_step(d, FIND_LANE_KEY)) < 0)
        return rc;
    *out_key = rc ? column_span(st, 0) : (struct span){ 0 };
    return 0;
}

void store_lane_key_done(struct database *d)
{
    database_reset(d, FIND_LANE_KEY);
}

int store_read_lane_key(struct store_reader *r, int64_t lane,
                        struct buffer *out_key)
{
    struct span key;
    int rc = store_lane_key(&r->db, lane, &key);

    if (rc < 0)
        return rc;
    buffer_put(out_key, key);
    store_lane_key_done(&r->db);
    return 0;
}

int store_read_next_due(struct store_reader *r, int64_t lane, int64_t after_ms,
                        int64_t *out_due_ms)
{
    sqlite3_stmt *st = database_statement(&r->db, READ_NEXT_DUE);
    int rc;

    bind_number(st, 1, lane);
    bind_number(st, 2, after_ms);
    rc = database_step(&r->db, READ_NEXT_DUE);
    if (rc < 0)
        return rc;
    *out_due_ms = rc == 1 ? column_number(st, 0) : NEVER_MS;
    if (rc == 1)
        database_reset(&r->db, READ_NEXT_DUE);
    return 0;
}

int store_read_content(struct store_reader *r, uint64_t message,
                       uint64_t checksum, struct buffer *out)
{
    sqlite3_stmt *st = database_statement(&r->db, READ_CONTENT);
    struct span bytes;
    int rc;

    bind_number(st, 1, (int64_t)message);
    rc = database_step(&r->db, READ_CONTENT);
    if (rc <= 0)
        return rc < 0 ? rc : ERROR_GONE;
    bytes = column_span(st, 0);
    rc = 0;
    if (checksum_of(bytes) != checksum) {
        rc = ERROR_CHECKSUM;
    } else {
        buffer_put(out, bytes);
        if (out->overflow)
            rc = ERROR_TOO_BIG;
    }
    database_reset(&r->db, READ_CONTENT);
    return rc;
}

int store_read_notes(struct store_reader *r, struct span kind, int64_t now_ms,
                     queue_note_fn *each, void *user)
{
    sqlite3_stmt *st = database_statement(&r->db, READ_NOTES);
    int rc;

    bind_span(st, 1, kind);
    bind_number(st, 2, now_ms);
    while ((rc = database_step(&r->db, READ_NOTES)) == 1)
        each(user, column_span(st, 0), column_span(st, 1));
    return rc;
}

int store_read_note(struct store_reader *r, struct span kind, struct span key,
                    int64_t now_ms, struct buffer *out)
{
    sqlite3_stmt *st = database_statement(&r->db, READ_NOTE);
    int rc;

    bind_span(st, 1, kind);
    bind_span(st, 2, key);
    bind_number(st, 3, now_ms);
    rc = database_step(&r->db, READ_NOTE);
    if (rc <= 0)
        return rc;
    buffer_put(out, column_span(st, 0));
    database_reset(&r->db, READ_NOTE);
    return 0;
}

int store_read_begin(struct store_reader *r)
{
    return database_run(&r->db, BEGIN_READ);
}

/* A transaction that only read has nothing to lose. */
void store_read_end(struct store_reader *r)
{
    if (!sqlite3_get_autocommit(r->db.db) &&
        database_run(&r->db, COMMIT_READ) < 0)
        return;
}

int store_read_files(struct store_reader *r, uint64_t after_id, uint32_t limit,
                     uint64_t *ids, uint32_t *out_count)
{
    sqlite3_stmt *st = database_statement(&r->db, READ_FILES);
    uint32_t count = 0;
    int rc;

    bind_number(st, 1, (int64_t)after_id);
    bind_number(st, 2, limit);
    while ((rc = database_step(&r->db, READ_FILES)) == 1)
        ids[count++] = (uint64_t)column_number(st, 0);
    if (rc == 0)
        *out_count = count;
    return rc;
}

int store_read_sizes(struct store *s, struct store_cursor *cursor,
                     uint64_t before_id, uint32_t limit, store_size_fn *each,
                     void *user, bool *out_more)
{
    sqlite3_stmt *st = database_statement(&s->db, READ_SIZES);
    uint32_t count = 0;
    int rc;

    bind_number(st, 1, (int64_t)cursor->message);
    bind_number(st, 2, cursor->number);
    bind_number(st, 3, (int64_t)before_id);
    bind_number(st, 4, limit);
    while ((rc = database_step(&s->db, READ_SIZES)) == 1) {
        count++;
        cursor->message = (uint64_t)column_number(st, 0);
        cursor->number = (uint32_t)column_number(st, 1);
        if (!(column_number(st, 5) & STORED_DELETED))
            each(user, column_span(st, 2), (uint64_t)column_number(st, 3),
                 column_number(st, 4));
    }
    if (rc < 0)
        return store_note_failure(s, rc, "counting what waits");
    *out_more = count == limit;
    return 0;
}

int store_read_waiting(struct store *s, uint64_t message, int64_t number,
                       uint64_t end_id, uint32_t limit, store_waiting_fn *each,
                       void *user)
{
    sqlite3_stmt *st = database_statement(&s->db, READ_ROLL);
    int rc;

    bind_number(st, 1, (int64_t)message);
    bind_number(st, 2, number);
    bind_number(st, 3, (int64_t)end_id);
    bind_number(st, 4, limit);
    while ((rc = database_step(&s->db, READ_ROLL)) == 1) {
        struct store_waiting w = {
            .message = (uint64_t)column_number(st, 0),
            .number = (uint32_t)column_number(st, 1),
            .size_bytes = (uint64_t)column_number(st, 2),
            .sender = column_span(st, 3),
            .client = column_span(st, 4),
            .client_name = column_span(st, 5),
            .login = column_span(st, 6),
            .address = column_span(st, 7),
            .is_held = column_number(st, 8) & STORED_HELD,
            .is_deleted = column_number(st, 8) & STORED_DELETED,
            .lane = column_span(st, 9),
            .received_ms = column_number(st, 10),
        };

        each(user, &w);
    }
    return rc < 0 ? store_note_failure(s, rc, "looking at what waits") : 0;
}
