/*
 * history_index - the indexes by which people ask the history.
 */
#include "queue/history_index.h"

#include "queue/history_private.h"

#include <stdio.h>

enum {
    LOOK_OPS = 20000, /* steps of SQLite's between looks whether to go on */
    SORT_PAGES = 8 * 1024, /* memory of the sort: 64 MB */
};

/* clang-format off */
#define FIVE(table)                                                                     \
    { #table "_to",     #table "(recipient COLLATE NOCASE,at_ms)" },                    \
    { #table "_from",   #table "(sender COLLATE NOCASE,at_ms)" },                       \
    { #table "_domain", #table "(" HISTORY_DOMAIN " COLLATE NOCASE,at_ms)" },           \
    { #table "_client", #table "(client,at_ms)" },                                      \
    { #table "_login",  #table "(login COLLATE NOCASE,at_ms) WHERE login<>''" }

/* of the few that had another address before */
#define FORMER(name, column, what)                                                      \
    { "history_" name, "history(" what " COLLATE NOCASE,at_ms) WHERE " column "<>''" }

#define NAME(table)                                                                     \
    { #table "_name", #table "(client_name COLLATE NOCASE,at_ms) WHERE client_name<>''" }

static const struct { const char *name, *on; } wanted[] = {
    FIVE(history),
    FIVE(refusal),
    FORMER("asked_to", "asked_to", "asked_to"),
    FORMER("asked_from", "asked_from", "asked_from"),
    FORMER("asked_domain", "asked_to", HISTORY_DOMAIN_OF("asked_to")),
    FORMER("orig_to", "orig_to", "orig_to"),
    FORMER("orig_domain", "orig_to", HISTORY_DOMAIN_OF("orig_to")),
    NAME(history),
    NAME(refusal),
    { "history_kind",  "history(kind,at_ms) WHERE kind<>1" },
    { "history_tries", "history(at_ms,id,attempts) WHERE attempts>1" },
    { "refusal_taken", "refusal(at_ms) WHERE reply>='2' AND reply<'3'" },
};

/* of earlier versions, which told capitals from small letters */
static const char *const unwanted[] = {
    "history_recipient", "history_sender", "refusal_recipient", "refusal_sender",
};
/* clang-format on */

const char *history_index_name(size_t i)
{
    size_t ours = sizeof wanted / sizeof wanted[0];

    if (i < ours)
        return wanted[i].name;
    i -= ours;
    return i < sizeof unwanted / sizeof unwanted[0] ? unwanted[i] : NULL;
}

struct work {
    history_goes_on_fn *goes_on;
    void *user;
};

static int on_progress(void *user)
{
    struct work *w = user;

    return !w->goes_on(w->user);
}

static int is_there(struct history *h, const char *name, bool *out_is)
{
    char text[120];
    int64_t n;
    int rc;

    (void)snprintf(text, sizeof text,
                   "SELECT count(*) FROM sqlite_schema WHERE type='index'"
                   " AND name='%s'",
                   name);
    rc = database_number(&h->db, text, &n);
    if (rc == 0)
        *out_is = n > 0;
    return rc;
}

/* What is sorted goes through a file: memory does not grow with the history. */
static int run(struct history *h, const char *sql, struct work *w)
{
    char more[60];
    int rc;

    (void)snprintf(more, sizeof more, "PRAGMA cache_size=%d", SORT_PAGES);
    if ((rc = database_exec(&h->db, "PRAGMA temp_store=FILE")) < 0 ||
        (rc = database_exec(&h->db, more)) < 0)
        return rc;
    sqlite3_progress_handler(h->db.db, LOOK_OPS, on_progress, w);
    rc = database_exec(&h->db, sql);
    sqlite3_progress_handler(h->db.db, 0, NULL, NULL);
    if (database_exec(&h->db, "PRAGMA temp_store=MEMORY") < 0 ||
        database_exec(&h->db, HISTORY_CACHE) < 0)
        return rc < 0 ? rc : ERROR_STORE;
    return rc;
}

static int first_to_do(struct history *h, const char **out_name, char *sql,
                       size_t size)
{
    bool is = false;
    int rc;

    *out_name = NULL;
    for (size_t i = 0; i < sizeof wanted / sizeof wanted[0]; i++) {
        if ((rc = is_there(h, wanted[i].name, &is)) < 0)
            return rc;
        if (is)
            continue;
        *out_name = wanted[i].name;
        (void)snprintf(sql, size, "CREATE INDEX %s ON %s", wanted[i].name,
                       wanted[i].on);
        return 0;
    }
    for (size_t i = 0; i < sizeof unwanted / sizeof unwanted[0]; i++) {
        if ((rc = is_there(h, unwanted[i], &is)) < 0)
            return rc;
        if (!is)
            continue;
        *out_name = unwanted[i];
        (void)snprintf(sql, size, "DROP INDEX %s", unwanted[i]);
        return 0;
    }
    return 0;
}

/* Bytes by the length of a row: counting them would read them all. */
static int about_rows(struct history *h, int64_t *out_rows)
{
    enum { ROW_BYTES = 600 };
    struct history_size size;
    int rc = history_size(h, &size);

    if (rc == 0)
        *out_rows = (int64_t)(size.used_bytes / ROW_BYTES);
    return rc;
}

int history_index_step(struct history *h, history_begins_fn *begins,
                       history_goes_on_fn *goes_on, void *user,
                       const char **out_name)
{
    struct work w = { goes_on, user };
    const char *name;
    char sql[400];
    int64_t rows = 0;
    int rc;

    if ((rc = first_to_do(h, &name, sql, sizeof sql)) < 0 ||
        (name && (rc = about_rows(h, &rows)) < 0))
        return rc;
    if (name) {
        if (begins)
            begins(user, name, rows);
        rc = run(h, sql, &w);
    }
    if (rc == 0)
        *out_name = name;
    return rc;
}
