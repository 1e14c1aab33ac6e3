/*
 * database - one SQLite connection of ours and its prepared statements.
 *
 * Every statement stands in one table (statement.c) with the kinds of
 * connection that use it; all are prepared when the connection is opened, which
 * also shows that the schema is the one we know. A connection belongs to one
 * thread (NOMUTEX).
 *
 * SQLite's codes stop here: database_fail turns them into our error numbers and
 * keeps the sentence. Bound spans are not copied (SQLITE_STATIC): they must
 * live until the statement has run.
 */
#ifndef WAYPOST_DATABASE_H
#define WAYPOST_DATABASE_H

#include "policy/vocabulary/buffer.h"
#include "policy/vocabulary/error.h"

#include <sqlite3.h>

enum database_kind {
    DATABASE_WRITER = 1,
    DATABASE_READER = 2,
    DATABASE_HISTORY = 4,
    DATABASE_PAST = 8, /* the history, read-only */
};

/* clang-format off */
enum statement {
    BEGIN_WRITE, COMMIT_BATCH, ROLLBACK_BATCH, JOB_OPEN, JOB_RELEASE, JOB_UNDO,
    FIND_LANE, FIND_LANE_KEY, PUT_LANE, PUT_MESSAGE, PUT_CONTENT, PUT_RECIPIENT, PUT_EVENT,
    REMOVE_RECIPIENT, REMOVE_MESSAGE, REMOVE_CONTENT,
    FIND_TRAIL, DEFER_RECIPIENT, HOLD_RECIPIENT, WARN_RECIPIENT,
    FIND_ALARM, SET_ALARM, PUT_DESTINATION, PUT_NOTE, PURGE_NOTES,
    PUT_DIALOGUE, TRIM_DIALOGUES, FIND_DIALOGUE, REMOVE_DIALOGUES, DIALOGUES_BOUND,
    PURGE_DIALOGUES, READ_DIALOGUES, READ_STORY,
    CHANGE_RECIPIENT, MOVE_RECIPIENT, RETURN_RECIPIENT, HASTEN, SET_PURGE, CLEAR_PURGE, FIND_PURGE, PURGE_EVENTS,
    PURGE_RECIPIENTS, EVENTS_DONE, PUT_STATE,
    BEGIN_READ, COMMIT_READ, READ_LANES, READ_DESTINATIONS, READ_DUE,
    READ_NEXT_DUE, COUNT_ALARMS, READ_ALARMS, READ_MANY_ALARMS,
    READ_ALARM_RECIPIENTS, READ_MESSAGE, READ_CONTENT, READ_NOTES, READ_NOTE, READ_SIZES, READ_ROLL, READ_FILES, SCAN_BOUND, SCAN, READ_EVENTS,
    COUNT_WAITING, PAGE_OF_LANES, LANE_MESSAGES,
    READ_WAITING, PAST_FIRST, READ_PAST, READ_PAST_REFUSALS,
    HISTORY_BEGIN, HISTORY_COMMIT, HISTORY_ROLLBACK, HISTORY_PUT,
    HISTORY_REFUSAL, HISTORY_PRUNE, HISTORY_PRUNE_REFUSALS, HISTORY_OLDEST,
    HISTORY_OLDEST_REFUSAL,
    STATEMENTS
};
/* clang-format on */

struct statement_text {
    unsigned kinds; /* of enum database_kind */
    const char *sql;
};
extern const struct statement_text statement_texts[STATEMENTS];

struct database {
    sqlite3 *db;
    enum database_kind kind;
    sqlite3_stmt *statements[STATEMENTS];
    char why[400]; /* the last failure, as a sentence */
};

/*
 * Opens through the default VFS, or the one that the environment variable
 * WAYPOST_VFS names if SQLite knows it. Sets what can be set before the schema
 * is looked at; a reader's connection is read-only, and that to the past.
 */
MUST int database_open(struct database *d, const char *path,
                       enum database_kind kind);
/* Prepares all statements of its kind. ERROR_DAMAGED when the schema is not
 * ours. */
MUST int database_prepare(struct database *d);
/* Takes a zeroed or half-open one too. */
void database_close(struct database *d);

/* SQL without results that stands alone: settings, the schema. */
MUST int database_exec(struct database *d, const char *sql);
/* The first column of the first row, a number; ERROR_GONE when there is no row.
 */
MUST int database_number(struct database *d, const char *sql,
                         int64_t *out_number);

/* Our error number for SQLite's; keeps the sentence. code is never SQLITE_OK.
 */
MUST int database_fail(struct database *d, int code);

/* 1: a row is there; 0: no more, the statement is reset; negative: failed and
 * reset. */
MUST int database_step(struct database *d, enum statement which);
/* For statements without rows. */
MUST int database_run(struct database *d, enum statement which);
void database_reset(struct database *d, enum statement which);

static inline sqlite3_stmt *database_statement(struct database *d,
                                               enum statement which)
{
    return d->statements[which];
}

void bind_number(sqlite3_stmt *st, int at, int64_t number);
void bind_span(sqlite3_stmt *st, int at, struct span s);
void bind_bytes(sqlite3_stmt *st, int at, struct span s);
void bind_nothing(sqlite3_stmt *st, int at);
/* Borrowed until the next step. */
struct span column_span(sqlite3_stmt *st, int at);

static inline int64_t column_number(sqlite3_stmt *st, int at)
{
    return sqlite3_column_int64(st, at);
}

#endif
