/*
 * database - one SQLite connection of ours and its prepared statements.
 *
 * Happy path: open, (schema work with exec,) prepare, then bind, step and reset
 * only. Everything SQLite can answer is mapped in one place, database_fail.
 */
#include "queue/database.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

enum {
    BUSY_MS = 5000, /* another writer can only be a person's shell */
    WAL_KEPT =
        64 * 1024 * 1024, /* a WAL that grew larger is cut when it restarts */
};

/* Debian's library overwrites what is deleted; that would double the writing.
 */
static const char settings_of_all[] = "PRAGMA secure_delete=OFF;"
                                      "PRAGMA temp_store=MEMORY;"
                                      "PRAGMA mmap_size=0;"
                                      "PRAGMA foreign_keys=OFF;"
                                      "PRAGMA cell_size_check=ON;"
                                      "PRAGMA synchronous=FULL;";

int database_fail(struct database *d, int code)
{
    int system = d->db ? sqlite3_system_errno(d->db) : 0;

    (void)snprintf(d->why, sizeof d->why, "SQLite: %s (%d)%s%s",
                   d->db ? sqlite3_errmsg(d->db) : sqlite3_errstr(code),
                   d->db ? sqlite3_extended_errcode(d->db) : code,
                   system ? ": " : "", system ? strerror(system) : "");
    /* SQLite knows one full disk only: a quota, and the shared memory file. */
    if ((code == SQLITE_IOERR_WRITE || code == SQLITE_IOERR_SHMSIZE) &&
        (system == ENOSPC || system == EDQUOT))
        return ERROR_FULL;
    switch (code & 0xff) {
    case SQLITE_FULL:
        return ERROR_FULL;
    case SQLITE_CORRUPT:
        return ERROR_DAMAGED;
    case SQLITE_NOTADB:
        return ERROR_FOREIGN;
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
        return ERROR_LOCKED;
    case SQLITE_NOMEM:
        ASSERT(!"out of memory");
        return -ENOMEM;
    default:
        return ERROR_STORE;
    }
}

/* We have no triggers and read no views: what somebody else has put into the file is never run
 * with our rights, and its damage stays its own. */
static void distrust(sqlite3 *db)
{
    static const struct {
        int which, value;
    } rows[] = { { SQLITE_DBCONFIG_ENABLE_TRIGGER, 0 },
                 { SQLITE_DBCONFIG_ENABLE_VIEW, 0 },
                 { SQLITE_DBCONFIG_TRUSTED_SCHEMA, 0 },
                 { SQLITE_DBCONFIG_DEFENSIVE, 1 } };

    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        int rc = sqlite3_db_config(db, rows[i].which, rows[i].value, NULL);

        ASSERT(rc == SQLITE_OK);
    }
}

/*
 * Its count of memory costs a lock of the process around every allocation. A reader of low priority
 * that is put aside with it in hand would keep the writer waiting; nobody asks for the count.
 * Where SQLite was used before, which only tests do, it stays.
 */
static void configure(void)
{
    (void)sqlite3_config(SQLITE_CONFIG_MEMSTATUS, 0);
}

int database_open(struct database *d, const char *path, enum database_kind kind)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    const char *vfs = getenv("WAYPOST_VFS");
    int flags = SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_PRIVATECACHE;
    int rc;

    (void)pthread_once(&once, configure);
    flags |= kind == DATABASE_READER || kind == DATABASE_PAST
                 ? SQLITE_OPEN_READONLY
                 : SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE;
    *d = (struct database){ .kind = kind };
    if (vfs && !sqlite3_vfs_find(vfs))
        vfs = NULL;
    rc = sqlite3_open_v2(path, &d->db, flags, vfs);
    if (rc != SQLITE_OK)
        return database_fail(d, rc);
    distrust(d->db);
    (void)sqlite3_extended_result_codes(d->db, 1);
    (void)sqlite3_busy_timeout(d->db, BUSY_MS);
    if ((rc = database_exec(d, settings_of_all)) < 0)
        return rc;
    return database_exec(d, kind == DATABASE_WRITER
                                ? "PRAGMA cache_size=-16384"
                                : "PRAGMA cache_size=-4096");
}

int database_prepare(struct database *d)
{
    for (int i = 0; i < STATEMENTS; i++) {
        const struct statement_text *t = &statement_texts[i];
        int rc;

        if (!(t->kinds & d->kind))
            continue;
        rc = sqlite3_prepare_v3(d->db, t->sql, -1, SQLITE_PREPARE_PERSISTENT,
                                &d->statements[i], NULL);
        if (rc != SQLITE_OK) {
            bool is_schema = rc == SQLITE_ERROR; /* no such table or column */

            rc = database_fail(d, rc);
            return is_schema ? ERROR_DAMAGED : rc;
        }
    }
    return 0;
}

void database_close(struct database *d)
{
    for (int i = 0; i < STATEMENTS; i++)
        (void)sqlite3_finalize(d->statements[i]);
    (void)sqlite3_close(d->db);
    d->db = NULL;
    memset(d->statements, 0, sizeof d->statements);
}

int database_exec(struct database *d, const char *sql)
{
    int rc = sqlite3_exec(d->db, sql, NULL, NULL, NULL);

    return rc == SQLITE_OK ? 0 : database_fail(d, rc);
}

int database_number(struct database *d, const char *sql, int64_t *out_number)
{
    sqlite3_stmt *st = NULL;
    int rc = sqlite3_prepare_v2(d->db, sql, -1, &st, NULL);

    if (rc == SQLITE_OK)
        rc = sqlite3_step(st);
    if (rc == SQLITE_ROW) {
        *out_number = sqlite3_column_int64(st, 0);
        rc = 0;
    } else if (rc == SQLITE_DONE) {
        rc = ERROR_GONE;
    } else {
        rc = database_fail(d, rc);
    }
    (void)sqlite3_finalize(st);
    return rc;
}

int database_step(struct database *d, enum statement which)
{
    sqlite3_stmt *st = d->statements[which];
    int rc = sqlite3_step(st);

    if (rc == SQLITE_ROW)
        return 1;
    if (rc == SQLITE_DONE)
        rc = 0;
    else
        rc = database_fail(d, rc);
    (void)sqlite3_reset(st);
    return rc;
}

int database_run(struct database *d, enum statement which)
{
    int rc = database_step(d, which);

    ASSERT(rc <= 0);
    return rc;
}

void database_reset(struct database *d, enum statement which)
{
    (void)sqlite3_reset(d->statements[which]);
}

void bind_number(sqlite3_stmt *st, int at, int64_t number)
{
    int rc = sqlite3_bind_int64(st, at, number);

    ASSERT(rc == SQLITE_OK);
}

void bind_span(sqlite3_stmt *st, int at, struct span s)
{
    int rc =
        sqlite3_bind_text(st, at, s.len ? s.at : "", (int)s.len, SQLITE_STATIC);

    ASSERT(rc == SQLITE_OK);
}

void bind_bytes(sqlite3_stmt *st, int at, struct span s)
{
    int rc =
        sqlite3_bind_blob64(st, at, s.len ? s.at : "", s.len, SQLITE_STATIC);

    ASSERT(rc == SQLITE_OK);
}

void bind_nothing(sqlite3_stmt *st, int at)
{
    int rc = sqlite3_bind_null(st, at);

    ASSERT(rc == SQLITE_OK);
}

struct span column_span(sqlite3_stmt *st, int at)
{
    const void *bytes = sqlite3_column_blob(st, at);

    return span_make(bytes, bytes ? (size_t)sqlite3_column_bytes(st, at) : 0);
}
