/*
 * foreign - is there anything in a database that we have not put there?
 *
 * What should be there is made in memory by the same steps that make it on disk, and the names
 * are compared. What is SQLite's own (sqlite_...) cannot be made by anybody else.
 */
#include "queue/foreign.h"

#include "queue/history_index.h"
#include "queue/store_private.h"

enum { NAME_SHOWN = 100 };

/* Its indexes are not all made by the steps, and some are dropped when time allows. */
static bool is_index_of_history(struct span name)
{
    const char *one;

    for (size_t i = 0; (one = history_index_name(i)); i++)
        if (span_is(name, span_of(one)))
            return true;
    return false;
}

/* Has the model such a thing? Negative: it cannot tell. */
static int has(struct database *model, sqlite3_stmt *like)
{
    sqlite3_stmt *st = NULL;
    int rc = sqlite3_prepare_v2(
        model->db, "SELECT 1 FROM sqlite_schema WHERE type=?1 AND name=?2", -1,
        &st, NULL);

    if (rc == SQLITE_OK) {
        bind_span(st, 1, column_span(like, 0));
        bind_span(st, 2, column_span(like, 1));
        rc = sqlite3_step(st);
    }
    rc = rc == SQLITE_ROW || rc == SQLITE_DONE ? rc == SQLITE_ROW
                                               : database_fail(model, rc);
    (void)sqlite3_finalize(st);
    return rc;
}

static int refuse(sqlite3_stmt *st, const char *path, struct buffer *out_why)
{
    buffer_printf(out_why, "%s has ", path);
    buffer_put_string(
        out_why, span_is(column_span(st, 0), SPAN("index")) ? "an " : "a ");
    buffer_put_escaped(out_why, span_first(column_span(st, 0), NAME_SHOWN));
    buffer_put_string(out_why, " that is not ours, \"");
    buffer_put_escaped(out_why, span_first(column_span(st, 1), NAME_SHOWN));
    buffer_put_string(out_why, "\": find out who has put it there, then "
                               "restore what waypost backup made");
    return ERROR_DAMAGED;
}

static int compare(struct database *d, struct database *model, bool is_history,
                   const char *path, struct buffer *out_why)
{
    sqlite3_stmt *st = NULL;
    int code, rc = 0;

    code = sqlite3_prepare_v2(d->db,
                              "SELECT type,name FROM sqlite_schema WHERE "
                              "substr(name,1,7)<>'sqlite_' ORDER BY rowid",
                              -1, &st, NULL);
    while (rc == 0 && code == SQLITE_OK &&
           (code = sqlite3_step(st)) == SQLITE_ROW) {
        code = SQLITE_OK;
        if (is_history && is_index_of_history(column_span(st, 1)))
            continue;
        rc = has(model, st);
        if (rc >= 0)
            rc = rc ? 0 : refuse(st, path, out_why);
    }
    if (rc == 0 && code != SQLITE_DONE)
        rc = database_fail(d, code);
    (void)sqlite3_finalize(st);
    return rc;
}

static int check(struct database *d, bool is_history, const char *path,
                 struct buffer *out_why)
{
    struct database model = { 0 };
    int rc = sqlite3_open(":memory:", &model.db);

    if (rc != SQLITE_OK)
        rc = database_fail(&model, rc);
    else if (is_history)
        rc = store_schema_upgrade(&model, history_steps, 0, HISTORY_VERSION, 0);
    else
        rc = store_schema_bring(&model, 0);
    if (rc == 0)
        rc = compare(d, &model, is_history, path, out_why);
    database_close(&model);
    return rc;
}

int foreign_check_queue(struct database *d, const char *path,
                        struct buffer *out_why)
{
    return check(d, false, path, out_why);
}

int foreign_check_history(struct database *d, const char *path,
                          struct buffer *out_why)
{
    return check(d, true, path, out_why);
}
