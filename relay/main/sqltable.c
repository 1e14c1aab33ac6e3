/*
 * sqltable - a table kept in a SQLite file of somebody else's, as lines.
 *
 * Where another program keeps the file in WAL mode, a reader needs FILE-shm; in a folder
 * that we may not write to there may be none, and nobody writes: then the file is read as
 * one that does not change.
 */
#include "relay/main/sqltable.h"

#include <sqlite3.h>
#include <sys/stat.h>

enum { BUSY_MS = 2000 };

static int fail(sqlite3 *db, struct buffer *out_why)
{
    buffer_put_string(out_why, sqlite3_errmsg(db));
    return ERROR_STORE;
}

/* file:PATH?immutable=1, with what has a meaning in it escaped. */
static void put_uri(struct buffer *b, const char *path)
{
    buffer_put_string(b, "file:");
    for (; *path; path++) {
        if (is_one_of(*path, "%?#") || *path < ' ')
            buffer_printf(b, "%%%02X", (unsigned char)*path);
        else
            buffer_put_byte(b, *path);
    }
    buffer_put_string(b, "?immutable=1");
}

static int open_file(const char *path, bool is_immutable, sqlite3 **out_db)
{
    struct buffer uri = { 0 };
    int flags = SQLITE_OPEN_READONLY | SQLITE_OPEN_NOMUTEX |
                SQLITE_OPEN_PRIVATECACHE, rc;

    if (is_immutable) {
        put_uri(&uri, path);
        rc = sqlite3_open_v2(buffer_string(&uri), out_db,
                             flags | SQLITE_OPEN_URI, NULL);
        buffer_fini(&uri);
    } else {
        rc = sqlite3_open_v2(path, out_db, flags, NULL);
    }
    if (rc == SQLITE_OK)
        (void)sqlite3_busy_timeout(*out_db, BUSY_MS);
    /* only now is the file looked into */
    return rc == SQLITE_OK
               ? sqlite3_exec(*out_db, "PRAGMA schema_version", NULL, NULL, NULL)
               : rc;
}

static bool has_wal(const char *path)
{
    struct buffer name = { 0 };
    struct stat st;
    bool has;

    buffer_printf(&name, "%s-wal", path);
    has = stat(buffer_string(&name), &st) == 0 && st.st_size > 0;
    buffer_fini(&name);
    return has;
}

static bool put_quoted(struct buffer *out, struct span s)
{
    buffer_put_byte(out, '\'');
    for (size_t i = 0; i < s.len; i++) {
        if ((unsigned char)s.at[i] < ' ' && s.at[i] != '\t')
            return false;
        buffer_put_string(out, s.at[i] == '\'' ? "'" : "");
        buffer_put_byte(out, s.at[i]);
    }
    buffer_put_byte(out, '\'');
    return true;
}

static struct span column(sqlite3_stmt *st, int n)
{
    const char *at = (const char *)sqlite3_column_text(st, n);

    return span_make(at, (size_t)sqlite3_column_bytes(st, n));
}

static int put_rows(sqlite3_stmt *st, size_t most_bytes, struct buffer *out,
                    struct buffer *out_why)
{
    bool has_value = sqlite3_column_count(st) > 1;
    unsigned long row = 0;
    int rc;

    while ((rc = sqlite3_step(st)) == SQLITE_ROW) {
        row++;
        if (sqlite3_column_type(st, 0) == SQLITE_NULL) {
            buffer_printf(out_why, "row %lu has no key", row);
            return ERROR_SYNTAX;
        }
        if (!put_quoted(out, column(st, 0)) ||
            (buffer_put_byte(out, ' '),
             has_value && column(st, 1).len &&
                 !put_quoted(out, column(st, 1)))) {
            buffer_printf(out_why, "row %lu has a control character in its key "
                                   "or value", row);
            return ERROR_SYNTAX;
        }
        buffer_put_byte(out, '\n');
        if (out->len > most_bytes)
            return ERROR_TOO_BIG;
    }
    return rc == SQLITE_DONE ? 0 : fail(sqlite3_db_handle(st), out_why);
}

static int prepare(sqlite3 *db, const char *columns, struct span name,
                   sqlite3_stmt **out_st)
{
    char *sql = sqlite3_mprintf("SELECT %s FROM \"%.*w\"", columns,
                                SPAN_FMT(name));
    int rc;

    ASSERT(sql);
    rc = sqlite3_prepare_v2(db, sql, -1, out_st, NULL);
    sqlite3_free(sql);
    return rc;
}

static int read_rows(sqlite3 *db, struct span name, size_t most_bytes,
                     struct buffer *out, struct buffer *out_why)
{
    sqlite3_stmt *st = NULL;
    int rc;

    if (prepare(db, "key, value", name, &st) != SQLITE_OK &&
        prepare(db, "key", name, &st) != SQLITE_OK)
        return fail(db, out_why);
    rc = put_rows(st, most_bytes, out, out_why);
    (void)sqlite3_finalize(st);
    return rc < 0 ? rc : 1;
}

int sqltable_read(const char *path, struct span name, size_t most_bytes,
                  struct buffer *out, struct buffer *out_why)
{
    sqlite3 *db = NULL;
    int rc = open_file(path, false, &db);

    if ((rc == SQLITE_CANTOPEN || rc == SQLITE_READONLY) && !has_wal(path)) {
        (void)sqlite3_close(db);
        rc = open_file(path, true, &db);
    }
    if (rc == SQLITE_NOTADB)
        rc = 0;
    else if (rc != SQLITE_OK)
        rc = fail(db, out_why);
    else
        rc = read_rows(db, name.len ? name : SPAN("entries"), most_bytes, out,
                       out_why);
    (void)sqlite3_close(db);
    return rc;
}
