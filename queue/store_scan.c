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
 * the null sender.
 *
 * Not all is on disk: the view is asked what is being sent, and whether the next
 * hop of what is due is down. Then it is deferred until that rest is over, for
 * that reason where it has none of its own. SQL matches own reasons and lets those
 * without one pass; they are matched here. So is the destination that a lane leads to.
 * Answers are kept for a slice, by lane, since neighbours mostly share one.
 */
#include "queue/store_private.h"

#include "policy/vocabulary/memory.h"

#include <stdlib.h>
#include <time.h>

enum {
    SCAN_MESSAGES = 10 * 1000, /* looked at in one call, unless it says */
    SCAN_ROWS = 50 * 1000,     /* recipients that matched in one call */
    SCAN_PATTERN = 1000,       /* bytes in a pattern */
    SCAN_RESTS = 64,           /* lanes whose answer is kept; a power of two */
    SCAN_VIAS = 1024,          /* the same of where they lead */
    SCAN_CLOCK = 64,           /* recipients between two looks at the clock */
};

/* What the view said of a lane. */
struct rest {
    int64_t lane; /* 0: not asked yet */
    bool is_resting;
    bool is_match; /* its reason, with the filter's */
    int64_t due_ms;
    struct buffer reason;
};

/* Does the lane lead to a destination that the filter means? */
struct via {
    int64_t lane; /* 0: not asked yet */
    bool is_match;
};

/* One call of store_scan. */
struct slice {
    const struct scan *scan;
    struct database *db;
    int64_t until_ms;   /* monotonic */
    uint32_t clock_row; /* when the clock is looked at next */
    bool asks_rests;
    const char *reason;       /* pattern, NULL: any */
    bool is_match;            /* no reason, with the filter's */
    const struct rest *shown; /* whose reason the row has */
    const char *via;          /* pattern of a destination, NULL: any */
    struct via *vias;
    struct rest rests[SCAN_RESTS];
};

struct patterns {
    struct buffer from, to, domain, client, login, reason, via;
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
    rc |= fold(&p->via, "", f->via);
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
    buffer_fini(&p->via);
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
    bind_number(st, 2, (scan->looks ? scan->looks : SCAN_MESSAGES) - 1);
    if ((rc = database_step(d, SCAN_BOUND)) < 0)
        return rc;
    *out_end_id = rc ? (uint64_t)column_number(st, 0) : INT64_MAX;
    if (rc)
        database_reset(d, SCAN_BOUND);
    return 0;
}

/* ---------------------------------------------------- one recipient ---- */

static bool is_match(const struct slice *s, struct span reason)
{
    struct buffer small = { 0 };
    bool is_it;

    if (!s->reason)
        return true;
    for (size_t i = 0; i < reason.len; i++)
        buffer_put_byte(&small, ascii_lower(reason.at[i]));
    is_it = sqlite3_strglob(s->reason, buffer_string(&small)) == 0;
    buffer_fini(&small);
    return is_it;
}

/* A name may look like a pattern ("[::1]"), so it means itself as well; and the hosts alone
 * mean whatever stands behind them ("smtp://a:25 most=10min"). */
static bool is_called(const struct slice *s, struct buffer *name)
{
    for (size_t i = 0; i < name->len; i++)
        name->at[i] = ascii_lower(name->at[i]);
    return span_begins_nocase(buffer_span(name), span_of(s->via)) ||
           sqlite3_strglob(s->via, buffer_string(name)) == 0;
}

static int ask_via(struct slice *s, int64_t lane, bool *out_match)
{
    const struct store_view *v = s->scan->view;
    struct via *via;
    struct buffer name = { 0 };
    struct span key;
    int rc;

    if (!s->via)
        return 0;
    via = &s->vias[lane & (SCAN_VIAS - 1)];
    if (via->lane != lane) {
        if ((rc = store_lane_key(s->db, lane, &key)) < 0)
            return rc;
        if (v && v->destination)
            v->destination(v->user, key, &name);
        store_lane_key_done(s->db);
        via->lane = lane;
        via->is_match = is_called(s, &name);
        buffer_fini(&name);
    }
    *out_match = via->is_match;
    return 0;
}

static int ask_rest(struct slice *s, int64_t lane, struct rest **out_rest)
{
    const struct store_view *v = s->scan->view;
    struct rest *rest = &s->rests[lane & (SCAN_RESTS - 1)];
    struct span key;
    int rc;

    if (rest->lane != lane) {
        if ((rc = store_lane_key(s->db, lane, &key)) < 0)
            return rc;
        buffer_clear(&rest->reason);
        rest->lane = lane;
        rest->is_resting =
            v->is_resting(v->user, key, &rest->due_ms, &rest->reason);
        rest->is_match = is_match(s, buffer_span(&rest->reason));
        store_lane_key_done(s->db);
    }
    *out_rest = rest;
    return 0;
}

/* It is due: what keeps it? */
static int look_at_rest(struct slice *s, struct scan_row *row)
{
    struct rest *rest;
    int rc;

    row->state = STATE_READY;
    if (!s->asks_rests)
        return 0;
    if ((rc = ask_rest(s, row->lane, &rest)) < 0)
        return rc;
    if (!rest->is_resting)
        return 0;
    if (row->reason.len == 0) {
        row->reason = buffer_span(&rest->reason);
        s->shown = rest;
    }
    if (rest->due_ms > s->scan->now_ms) {
        row->state = STATE_DEFERRED;
        row->next_ms = rest->due_ms;
    }
    return 0;
}

static bool is_active(const struct scan *scan, const struct scan_row *row)
{
    const struct store_view *v = scan->view;

    return v && v->is_active &&
           v->is_active(v->user, row->message, row->number);
}

/* What judges it: the other facts are read when it is meant. */
static int read_state(sqlite3_stmt *st, struct slice *s, struct scan_row *row)
{
    row->message = (uint64_t)column_number(st, 0);
    row->number = (uint32_t)column_number(st, 7);
    row->stored = (unsigned)column_number(st, 9);
    row->due_ms = row->next_ms = column_number(st, 10);
    row->reason = column_span(st, 15);
    row->lane = column_number(st, 16);
    s->shown = NULL;
    if (row->stored & STORED_RETURNED)
        row->reason = span_first(row->reason, span_find(row->reason, '\n'));
    if (row->stored & STORED_DELETED)
        row->state = STATE_DELETED;
    else if (row->stored & STORED_HELD)
        row->state = STATE_HELD;
    else if (is_active(s->scan, row))
        row->state = STATE_ACTIVE;
    else if (row->due_ms > s->scan->now_ms)
        row->state = STATE_DEFERRED;
    else
        return look_at_rest(s, row);
    return 0;
}

static void read_facts(sqlite3_stmt *st, struct scan_row *row)
{
    row->received_ms = column_number(st, 1);
    row->size_bytes = (uint64_t)column_number(st, 2);
    row->sender = column_span(st, 3);
    row->client = column_span(st, 4);
    row->login = column_span(st, 5);
    row->helo = column_span(st, 6);
    row->address = column_span(st, 8);
    row->attempts = (uint32_t)column_number(st, 11);
    row->expire_ms = column_number(st, 12);
    row->warn_ms = column_number(st, 13);
    row->since_ms = column_number(st, 14);
    row->deed = column_span(st, 17);
}

static bool is_meant(const struct slice *s, const struct scan_row *row)
{
    unsigned states =
        s->scan->filter->states ? s->scan->filter->states : s->scan->states;

    if (!(row->state & states))
        return false;
    if (s->shown)
        return s->shown->is_match;
    return row->reason.len || s->is_match;
}

/* ------------------------------------------------------- the slice ----- */

static int64_t monotonic_ms(void)
{
    struct timespec t;

    (void)clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * (int64_t)1000 + t.tv_nsec / 1000000;
}

static bool is_late(struct slice *s, uint32_t rows)
{
    if (!s->scan->slice_ms || rows < s->clock_row)
        return false;
    s->clock_row = rows + SCAN_CLOCK;
    return monotonic_ms() >= s->until_ms;
}

/*
 * Steps through the slice up to end_id. *out_next: the last id that was looked
 * at whole when there may be more, else 0.
 */
static int scan_rows(struct slice *s, uint64_t end_id, uint64_t *out_next)
{
    const struct scan *scan = s->scan;
    sqlite3_stmt *st = database_statement(s->db, SCAN);
    uint64_t last_seen = 0, last_given = 0;
    uint32_t given = 0, rows = 0;
    struct scan_row row;
    int rc;

    while ((rc = database_step(s->db, SCAN)) == 1) {
        uint64_t id = (uint64_t)column_number(st, 0);
        bool is_there = true;

        if (id != last_seen && last_seen &&
            (given == scan->limit || rows > SCAN_ROWS || is_late(s, rows))) {
            database_reset(s->db, SCAN);
            *out_next = last_seen;
            return 0;
        }
        rows++;
        last_seen = id;
        if ((rc = ask_via(s, column_number(st, 16), &is_there)) < 0 ||
            (is_there && (rc = read_state(st, s, &row)) < 0)) {
            database_reset(s->db, SCAN);
            return rc;
        }
        if (!is_there || !is_meant(s, &row))
            continue;
        read_facts(st, &row);
        row.is_first = id != last_given;
        given += row.is_first;
        last_given = id;
        scan->each(scan->user, &row);
    }
    if (rc == 0)
        *out_next = end_id == INT64_MAX || scan->filter->id ? 0 : end_id;
    return rc;
}

static void slice_fini(struct slice *s)
{
    for (size_t i = 0; i < SCAN_RESTS; i++)
        buffer_fini(&s->rests[i].reason);
    free(s->vias);
}

int store_scan(struct database *d, const struct scan *scan, uint64_t *out_next)
{
    sqlite3_stmt *st = database_statement(d, SCAN);
    const struct queue_filter *f = scan->filter;
    uint64_t after_id = scan->after_id, end_id;
    struct slice slice = { .scan = scan,
                           .db = d,
                           .until_ms = monotonic_ms() + scan->slice_ms };
    struct patterns p = { 0 };
    int rc;

    if (f->id && f->id - 1 > after_id)
        after_id = f->id - 1;
    if ((rc = fold_all(&p, f)) == 0 &&
        (rc = find_end(d, scan, after_id, &end_id)) == 0) {
        bind_number(st, 1, (int64_t)after_id);
        bind_number(st, 2, (int64_t)end_id);
        bind_filter(st, f, &p);
        slice.asks_rests = scan->view && scan->view->is_resting;
        if (f->reason.len && slice.asks_rests)
            slice.reason = buffer_string(&p.reason);
        if (f->via.len) {
            slice.via = buffer_string(&p.via);
            slice.vias = NEW_ARRAY(struct via, SCAN_VIAS);
        }
        slice.is_match = is_match(&slice, SPAN(""));
        bind_number(st, 12, slice.asks_rests);
        rc = scan_rows(&slice, end_id, out_next);
    }
    slice_fini(&slice);
    patterns_fini(&p);
    return rc;
}
