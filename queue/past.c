/*
 * past - what was decided once, read for who wants to judge it again.
 *
 * First what waits in the queue, by message; then what the history has of mail that left,
 * by event; then its refusals. A recipient that leaves while we read is in both: those of
 * the queue are remembered, sorted as they were read. Each page is a transaction of its own.
 *
 * Fails where a file is not there, not ours, or of another version; an older history is
 * brought up by the relay's next start.
 */
#include "queue/store_private.h"

#include "policy/vocabulary/memory.h"

#include <stdlib.h>
#include <unistd.h>

enum { WAITING_PAGE = 500, PAST_PAGE = 2000 };

struct place {
    uint64_t message;
    uint32_t number;
};

struct past {
    int64_t since_ms;
    queue_past_fn *each;
    void *user;
    bool is_over;
    struct place *seen; /* recipients that wait, sorted */
    size_t count, room;
};

static void give(struct past *p, const struct queue_past *row)
{
    if (row->at_ms >= p->since_ms && !p->is_over)
        p->is_over = !p->each(p->user, row);
}

/* As the client said them: rewriting made something else of it. */
static void undo_rewriting(struct queue_past *row)
{
    const struct queue_ruling *r = &row->ruling;

    if (r->asked_to.len)
        row->recipient = r->asked_to;
    if (r->asked_from.len)
        row->sender =
            span_is(r->asked_from, SPAN("<>")) ? SPAN("") : r->asked_from;
}

/* ------------------------------------------------------------ waiting ---- */

static void remember(struct past *p, struct place place)
{
    if (p->count == p->room) {
        p->room = p->room ? p->room * 2 : 1024;
        p->seen = memory_grow(p->seen, p->room * sizeof *p->seen);
    }
    p->seen[p->count++] = place;
}

static void give_waiting(struct past *p, sqlite3_stmt *st)
{
    struct queue_past row = {
        .at_ms = column_number(st, 2),
        .size_bytes = (uint64_t)column_number(st, 3),
        .sender = column_span(st, 4),
        .recipient = column_span(st, 5),
        .client = column_span(st, 6),
        .client_name = column_span(st, 7),
        .helo = column_span(st, 8),
        .login = column_span(st, 9),
        .listener = column_span(st, 10),
        .tls = column_span(st, 11),
        .is_recorded = true,
    };

    remember(p, (struct place){ (uint64_t)column_number(st, 0),
                                (uint32_t)column_number(st, 1) });
    queue_ruling_read(column_span(st, 12), &row.ruling);
    undo_rewriting(&row);
    if (row.client.len)
        give(p, &row);
}

static int read_waiting(struct past *p, struct store_reader *r)
{
    sqlite3_stmt *bound = database_statement(&r->db, SCAN_BOUND);
    sqlite3_stmt *st = database_statement(&r->db, READ_WAITING);
    int64_t from = 0, to = 0;
    int rc = 0;

    while (rc == 0 && to != INT64_MAX && !p->is_over) {
        bind_number(bound, 1, from);
        bind_number(bound, 2, WAITING_PAGE - 1);
        if ((rc = database_step(&r->db, SCAN_BOUND)) < 0)
            return rc;
        to = rc ? column_number(bound, 0) : INT64_MAX;
        if (rc)
            database_reset(&r->db, SCAN_BOUND);
        bind_number(st, 1, from);
        bind_number(st, 2, to);
        while ((rc = database_step(&r->db, READ_WAITING)) == 1)
            give_waiting(p, st);
        from = to;
    }
    return rc;
}

/* ------------------------------------------------------------ history ---- */

static int compare_places(const void *a, const void *b)
{
    const struct place *x = a, *y = b;

    if (x->message != y->message)
        return x->message < y->message ? -1 : 1;
    return x->number < y->number ? -1 : x->number > y->number;
}

static bool was_seen(const struct past *p, struct place place)
{
    return p->count && bsearch(&place, p->seen, p->count, sizeof *p->seen,
                               compare_places);
}

static void give_gone(struct past *p, sqlite3_stmt *st)
{
    struct queue_past row = {
        .at_ms = column_number(st, 3),
        .size_bytes = (uint64_t)column_number(st, 4),
        .sender = column_span(st, 5),
        .recipient = column_span(st, 6),
        .client = column_span(st, 7),
        .client_name = column_span(st, 8),
        .helo = column_span(st, 9),
        .login = column_span(st, 10),
        .listener = column_span(st, 11),
        .tls = column_span(st, 12),
        .is_recorded = sqlite3_column_type(st, 13) != SQLITE_NULL,
        .ruling = { column_span(st, 13), column_span(st, 14),
                    column_span(st, 15), column_span(st, 16),
                    column_span(st, 17) },
    };
    struct place place = { (uint64_t)column_number(st, 1),
                           (uint32_t)column_number(st, 2) };

    undo_rewriting(&row);
    if (column_number(st, 18) != EVENT_CHANGED && row.client.len &&
        !was_seen(p, place))
        give(p, &row);
}

static void give_refusal(struct past *p, sqlite3_stmt *st)
{
    struct queue_past row = {
        .is_refusal = true,
        .at_ms = column_number(st, 1),
        .size_bytes = (uint64_t)column_number(st, 2),
        .sender = column_span(st, 3),
        .recipient = column_span(st, 4),
        .client = column_span(st, 5),
        .client_name = column_span(st, 6),
        .helo = column_span(st, 7),
        .login = column_span(st, 8),
        .listener = column_span(st, 9),
        .tls = column_span(st, 10),
        .ruling = { .rule = column_span(st, 11), .place = column_span(st, 12) },
        .stage = column_span(st, 13),
        .reply = column_span(st, 14),
        .is_verdict = column_number(st, 15) != 0,
        .is_recorded = sqlite3_column_type(st, 15) != SQLITE_NULL,
    };

    give(p, &row);
}

/* Page by page, from this id on. */
static int read_pages(struct past *p, struct database *d, enum statement which,
                      int64_t from,
                      void (*row)(struct past *p, sqlite3_stmt *st))
{
    sqlite3_stmt *st = database_statement(d, which);
    int seen = PAST_PAGE, rc = 0;

    while (rc == 0 && seen == PAST_PAGE && !p->is_over) {
        bind_number(st, 1, from);
        bind_number(st, 2, PAST_PAGE);
        for (seen = 0; (rc = database_step(d, which)) == 1; seen++) {
            from = column_number(st, 0) + 1;
            row(p, st);
        }
    }
    return rc;
}

static int read_history(struct past *p, struct database *d)
{
    sqlite3_stmt *st = database_statement(d, PAST_FIRST);
    int64_t first[2] = { INT64_MAX, INT64_MAX };
    int rc;

    bind_number(st, 1, p->since_ms);
    if ((rc = database_step(d, PAST_FIRST)) < 0)
        return rc;
    for (int i = 0; rc && i < 2; i++)
        if (sqlite3_column_type(st, i) != SQLITE_NULL)
            first[i] = column_number(st, i);
    if (rc)
        database_reset(d, PAST_FIRST);
    rc = read_pages(p, d, READ_PAST, first[0], give_gone);
    return rc < 0 ? rc
                  : read_pages(p, d, READ_PAST_REFUSALS, first[1],
                               give_refusal);
}

/* ------------------------------------------------------------ opening ---- */

int past_open(struct database *d, const char *path, int64_t *out_version)
{
    int64_t application;
    int rc;

    if ((rc = database_open(d, path, DATABASE_PAST)) < 0 ||
        (rc = database_number(d, "PRAGMA application_id", &application)) < 0 ||
        (rc = database_number(d, "PRAGMA user_version", out_version)) < 0)
        return rc;
    if (application != HISTORY_APPLICATION_ID)
        return ERROR_FOREIGN;
    return *out_version > HISTORY_VERSION ? ERROR_NEWER : 0;
}

static int open_history(struct database *d, const char *path)
{
    int64_t version;
    int rc = past_open(d, path, &version);

    if (rc < 0)
        return rc;
    return version < HISTORY_VERSION ? ERROR_OLDER : database_prepare(d);
}

int queue_past(const char *path, int64_t since_ms, queue_past_fn *each,
               void *user, struct buffer *out_why)
{
    struct past p = { .since_ms = since_ms, .each = each, .user = user };
    struct store_reader *r = NULL;
    struct database d = { 0 };
    struct buffer history = { 0 };
    const char *at = path;
    int rc;

    history_path(path, &history);
    if ((rc = store_reader_open(&r, path)) < 0)
        goto out;
    at = buffer_string(&history);
    if ((rc = open_history(&d, at)) < 0)
        goto out;
    at = path;
    if ((rc = read_waiting(&p, r)) < 0)
        goto out;
    at = buffer_string(&history);
    rc = read_history(&p, &d);
out:
    if (rc < 0 && access(at, F_OK) < 0)
        buffer_printf(out_why, "%s: there is no such file", at);
    else if (rc < 0)
        buffer_printf(out_why, "%s: %s%s", at, error_text(rc),
                      rc == ERROR_OLDER
                          ? "; the relay's next start brings it up to date"
                          : "");
    store_reader_close(r);
    database_close(&d);
    free(p.seen);
    buffer_fini(&history);
    return rc;
}
