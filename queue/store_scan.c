/*
 * store_scan - what does this filter mean? One answer for list, count and
 * change.
 *
 * A filter chooses recipients: conditions on the message (sender, client,
 * login, age) hold for all of its recipients, the others for each alone.
 * Messages come in the order of their ids, straight along the primary keys:
 * nothing is sorted, so the first row is there at once whatever the backlog.
 * How far one call looks is bounded, so that a pattern nobody matches does not
 * hold a read transaction for long.
 *
 * Text is bound as a pattern in small letters for GLOB. "<>" as `from` means
 * the null sender. Not every state is on disk: "active" is asked of the caller.
 */
#include "queue/store_private.h"

#include <stdlib.h>

enum {
    SCAN_MESSAGES = 10 * 1000, /* looked at in one call */
    SCAN_ROWS = 50 * 1000,     /* recipients that matched in one call */
    SCAN_PATTERN = 1000,       /* bytes in a pattern */
};

struct patterns {
    struct buffer from, to, domain, client, login, reason;
};

static int fold(struct buffer *b, const char *prefix, struct span pattern)
{
    if (pattern.len > SCAN_PATTERN)
        return ERROR_TOO_BIG;
    buffer_put_string(b, prefix);
    for (size_t i = 0; i < pattern.len; i++)
        buffer_put_byte(b, ascii_lower(pattern.at[i]));
    return 0;
}

static int fold_all(struct patterns *p, const struct queue_filter *f)
{
    struct span from =
        span_is(f->from, SPAN("<>")) ? (struct span){ 0 } : f->from;
    int rc = 0;

    rc |= fold(&p->from, "", from);
    rc |= fold(&p->to, "", f->to);
    rc |= fold(&p->domain, "*@", f->domain);
    rc |= fold(&p->client, "", f->client);
    rc |= fold(&p->login, "", f->login);
    rc |= fold(&p->reason, "", f->reason);
    return rc ? ERROR_TOO_BIG : 0;
}

static void patterns_fini(struct patterns *p)
{
    buffer_fini(&p->from);
    buffer_fini(&p->to);
    buffer_fini(&p->domain);
    buffer_fini(&p->client);
    buffer_fini(&p->login);
    buffer_fini(&p->reason);
}

static void bind_pattern(sqlite3_stmt *st, int at, struct span wanted,
                         const struct buffer *pattern)
{
    if (wanted.len)
        bind_span(st, at, buffer_span(pattern));
    else
        bind_nothing(st, at);
}

static void bind_filter(sqlite3_stmt *st, const struct queue_filter *f,
                        const struct patterns *p)
{
    bind_pattern(st, 3, f->from, &p->from);
    bind_pattern(st, 4, f->client, &p->client);
    bind_pattern(st, 5, f->login, &p->login);
    bind_number(st, 6, f->older_ms ? f->older_ms : NEVER_MS);
    bind_number(st, 7, f->newer_ms ? f->newer_ms : INT64_MIN);
    bind_pattern(st, 8, f->to, &p->to);
    bind_pattern(st, 9, f->domain, &p->domain);
    bind_pattern(st, 10, f->reason, &p->reason);
    bind_number(st, 11, f->attempts);
}

/* Where does this slice end? *out_end_id: the last id to look at. */
static int find_end(struct database *d, const struct scan *scan,
                    uint64_t after_id, uint64_t *out_end_id)
{
    sqlite3_stmt *st = database_statement(d, SCAN_BOUND);
    int rc;

    if (scan->filter->id) {
        *out_end_id = scan->filter->id;
        return 0;
    }
    bind_number(st, 1, (int64_t)after_id);
    bind_number(st, 2, SCAN_MESSAGES - 1);
    if ((rc = database_step(d, SCAN_BOUND)) < 0)
        return rc;
    *out_end_id = rc ? (uint64_t)column_number(st, 0) : INT64_MAX;
    if (rc)
        database_reset(d, SCAN_BOUND);
    return 0;
}

static enum queue_state state_of(const struct scan *scan,
                                 const struct scan_row *row)
{
    if (row->stored & STORED_DELETED)
        return STATE_DELETED;
    if (row->stored & STORED_HELD)
        return STATE_HELD;
    if (scan->is_active &&
        scan->is_active(scan->active_user, row->message, row->number))
        return STATE_ACTIVE;
    return row->due_ms <= scan->now_ms ? STATE_READY : STATE_DEFERRED;
}

static void read_row(sqlite3_stmt *st, const struct scan *scan,
                     struct scan_row *row)
{
    row->message = (uint64_t)column_number(st, 0);
    row->received_ms = column_number(st, 1);
    row->size_bytes = (uint64_t)column_number(st, 2);
    row->sender = column_span(st, 3);
    row->client = column_span(st, 4);
    row->login = column_span(st, 5);
    row->helo = column_span(st, 6);
    row->number = (uint32_t)column_number(st, 7);
    row->address = column_span(st, 8);
    row->stored = (unsigned)column_number(st, 9);
    row->due_ms = column_number(st, 10);
    row->attempts = (uint32_t)column_number(st, 11);
    row->expire_ms = column_number(st, 12);
    row->warn_ms = column_number(st, 13);
    row->since_ms = column_number(st, 14);
    row->reason = column_span(st, 15);
    row->state = state_of(scan, row);
}

/*
 * Steps through the slice up to end_id. *out_next: the last id that was looked
 * at whole when there may be more, else 0.
 */
static int scan_rows(struct database *d, const struct scan *scan,
                     uint64_t end_id, uint64_t *out_next)
{
    unsigned states =
        scan->filter->states ? scan->filter->states : scan->states;
    sqlite3_stmt *st = database_statement(d, SCAN);
    uint64_t last_seen = 0, last_given = 0;
    uint32_t given = 0, rows = 0;
    struct scan_row row;
    int rc;

    while ((rc = database_step(d, SCAN)) == 1) {
        uint64_t id = (uint64_t)column_number(st, 0);

        if (id != last_seen && last_seen &&
            (given == scan->limit || rows > SCAN_ROWS)) {
            database_reset(d, SCAN);
            *out_next = last_seen;
            return 0;
        }
        rows++;
        last_seen = id;
        read_row(st, scan, &row);
        if (!(row.state & states))
            continue;
        row.is_first = id != last_given;
        given += row.is_first;
        last_given = id;
        scan->each(scan->user, &row);
    }
    if (rc == 0)
        *out_next = end_id == INT64_MAX || scan->filter->id ? 0 : end_id;
    return rc;
}

int store_scan(struct database *d, const struct scan *scan, uint64_t *out_next)
{
    sqlite3_stmt *st = database_statement(d, SCAN);
    const struct queue_filter *f = scan->filter;
    uint64_t after_id = scan->after_id, end_id;
    struct patterns p = { 0 };
    int rc;

    if (f->id && f->id - 1 > after_id)
        after_id = f->id - 1;
    if ((rc = fold_all(&p, f)) == 0 &&
        (rc = find_end(d, scan, after_id, &end_id)) == 0) {
        bind_number(st, 1, (int64_t)after_id);
        bind_number(st, 2, (int64_t)end_id);
        bind_filter(st, f, &p);
        rc = scan_rows(d, scan, end_id, out_next);
    }
    patterns_fini(&p);
    return rc;
}
