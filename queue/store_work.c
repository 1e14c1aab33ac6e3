/*
 * store_work - rows of recipients become works.
 *
 * A page of recipients is read in the order in which they are due, gathered by
 * message (one work for each, in the order of its first recipient), and each
 * work is packed on one block of its own. All of a page is one read
 * transaction, so envelope and recipients belong together.
 *
 * A recipient without its message cannot be: ERROR_DAMAGED.
 */
#include "queue/store_private.h"

#include "policy/vocabulary/arena.h"
#include "policy/vocabulary/memory.h"

#include <stdlib.h>

/* From so many on, alarms are looked for along the ids. */
enum { MANY_ALARMS = 5000 };

struct page_row {
    struct queue_recipient recipient; /* spans in the page's arena */
    uint64_t message;
    uint32_t position; /* as read */
    uint32_t lead;     /* position of its message's first */
};

struct page {
    struct page_row *rows;
    size_t count;
    struct arena arena;
};

void store_read_envelope(sqlite3_stmt *st, int first, struct envelope *out)
{
    int at = first;
    int64_t how;

    *out = (struct envelope){ 0 };
    out->sender = column_span(st, at++);
    out->received_ms = column_number(st, at++);
    out->size_bytes = (uint64_t)column_number(st, at++);
    out->header_bytes = (uint32_t)column_number(st, at++);
    out->body = (enum body_type)column_number(st, at++);
    out->smtputf8 = column_number(st, at++) != 0;
    out->has_8bit = column_number(st, at++) != 0;
    out->ret = column_span(st, at++);
    out->envid = column_span(st, at++);
    out->client = column_span(st, at++);
    out->client_name = column_span(st, at++);
    out->helo = column_span(st, at++);
    out->login = column_span(st, at++);
    out->listener = column_span(st, at++);
    out->protocol = column_span(st, at++);
    out->message_id = column_span(st, at++);
    out->priority = (int)column_number(st, at++);
    out->deliver_by_ms = column_number(st, at++);
    how = column_number(st, at++);
    out->deliver_by_mode =
        how & STORED_BY_RETURN ? DELIVER_BY_RETURN : DELIVER_BY_NOTIFY;
    out->deliver_by_trace = (how & STORED_BY_TRACE) != 0;
    out->verp = column_span(st, at++);
    out->release_ms = column_number(st, at++);
    out->header_8bit = column_number(st, at++) != 0;
    out->is_unvouched = column_number(st, at++) != 0;
    out->tls = column_span(st, at++);
}

/* Columns as RECIPIENT in statement.c names them. */
static void read_recipient(sqlite3_stmt *st, struct page *page,
                           struct page_row *row)
{
    struct queue_recipient *r = &row->recipient;

    r->due_ms = column_number(st, 0);
    row->message = (uint64_t)column_number(st, 1);
    r->number = (uint32_t)column_number(st, 2);
    r->address = arena_copy(&page->arena, column_span(st, 3));
    r->orcpt = arena_copy(&page->arena, column_span(st, 4));
    r->notify = (unsigned)column_number(st, 5);
    r->lane = arena_copy(&page->arena, column_span(st, 6));
    r->held = (column_number(st, 7) & STORED_HELD) != 0;
    r->is_returned = (column_number(st, 7) & STORED_RETURNED) != 0;
    r->attempts = (uint32_t)column_number(st, 8);
    r->expire_ms = column_number(st, 9);
    r->warn_ms = column_number(st, 10);
    r->last_reply = arena_copy(&page->arena, column_span(st, 11));
    r->ruling = arena_copy(&page->arena, column_span(st, 12));
    r->returned_by = (struct span){ 0 };
    if (r->is_returned)
        r->last_reply = span_split(r->last_reply, '\n', &r->returned_by);
}

/* -------------------------------------------------- gather and pack ---- */

static int by_message(const void *a, const void *b)
{
    const struct page_row *x = a, *y = b;

    if (x->message != y->message)
        return x->message < y->message ? -1 : 1;
    return x->position < y->position ? -1 : x->position > y->position;
}

static int by_lead(const void *a, const void *b)
{
    const struct page_row *x = a, *y = b;

    if (x->lead != y->lead)
        return x->lead < y->lead ? -1 : 1;
    return x->position < y->position ? -1 : x->position > y->position;
}

static void page_gather(struct page *page)
{
    struct page_row *rows = page->rows;

    if (page->count == 0)
        return;
    qsort(rows, page->count, sizeof *rows, by_message);
    for (size_t i = 0; i < page->count; i++)
        rows[i].lead = i && rows[i].message == rows[i - 1].message
                           ? rows[i - 1].lead
                           : rows[i].position;
    qsort(rows, page->count, sizeof *rows, by_lead);
}

/* The spans of an envelope and of a recipient, one after the other. */
enum { ENVELOPE_SPANS = 12, RECIPIENT_SPANS = 6 };

static void list_envelope(struct envelope *e, struct span **out)
{
    struct span *all[ENVELOPE_SPANS] = {
        &e->sender, &e->ret,   &e->envid,    &e->client,   &e->client_name,
        &e->helo,   &e->login, &e->listener, &e->protocol, &e->message_id,
        &e->verp,   &e->tls,
    };

    memcpy(out, all, sizeof all);
}

static void list_recipient(struct queue_recipient *r, struct span **out)
{
    struct span *all[RECIPIENT_SPANS] = {
        &r->address,
        &r->orcpt,
        &r->lane,
        &r->last_reply,
        &r->returned_by,
        &r->ruling,
    };

    memcpy(out, all, sizeof all);
}

static void move_spans(struct span **spans, size_t count, char **to)
{
    for (size_t i = 0; i < count; i++) {
        if (spans[i]->len)
            memcpy(*to, spans[i]->at, spans[i]->len);
        spans[i]->at = *to;
        *to += spans[i]->len;
    }
}

static size_t spans_len(struct span **spans, size_t count)
{
    size_t len = 0;

    for (size_t i = 0; i < count; i++)
        len += spans[i]->len;
    return len;
}

static struct queue_work *work_pack(struct envelope *e, struct page_row *rows,
                                    size_t count)
{
    struct span *of_envelope[ENVELOPE_SPANS], *of_row[RECIPIENT_SPANS];
    size_t head = sizeof(struct queue_work), len;
    struct queue_work *w;
    char *text;

    list_envelope(e, of_envelope);
    len = spans_len(of_envelope, ENVELOPE_SPANS);
    for (size_t i = 0; i < count; i++) {
        list_recipient(&rows[i].recipient, of_row);
        len += spans_len(of_row, RECIPIENT_SPANS);
    }
    w = memory_take(head + count * sizeof *w->recipients + len);
    *w = (struct queue_work){
        .message = rows[0].message,
        .recipients = (struct queue_recipient *)(void *)(w + 1),
        .count = count,
    };
    text = (char *)(w->recipients + count);
    move_spans(of_envelope, ENVELOPE_SPANS, &text);
    w->envelope = *e;
    for (size_t i = 0; i < count; i++) {
        list_recipient(&rows[i].recipient, of_row);
        move_spans(of_row, RECIPIENT_SPANS, &text);
        w->recipients[i] = rows[i].recipient;
    }
    return w;
}

/* One work for each message in the page. */
static int page_give(struct store_reader *r, struct page *page,
                     store_work_fn *each, void *user)
{
    sqlite3_stmt *st = database_statement(&r->db, READ_MESSAGE);

    page_gather(page);
    for (size_t i = 0, n; i < page->count; i += n) {
        struct queue_work *w;
        struct envelope e;
        struct store_content c;
        int rc;

        for (n = 1; i + n < page->count &&
                    page->rows[i + n].message == page->rows[i].message;)
            n++;
        bind_number(st, 1, (int64_t)page->rows[i].message);
        rc = database_step(&r->db, READ_MESSAGE);
        if (rc <= 0)
            return rc < 0 ? rc : ERROR_DAMAGED;
        c = (struct store_content){
            .checksum = (uint64_t)column_number(st, 0),
            .has_file = column_number(st, 1) != 0,
            .head_bytes = (uint32_t)column_number(st, 2),
            .head_at = (uint64_t)column_number(st, 3),
        };
        store_read_envelope(st, 4, &e);
        w = work_pack(&e, page->rows + i, n);
        database_reset(&r->db, READ_MESSAGE);
        each(user, w, &c);
    }
    return 0;
}

static void page_fini(struct page *page)
{
    arena_reset(&page->arena);
    free(page->rows);
}

/* ------------------------------------------------------- questions ---- */

static int read_due(struct store_reader *r, int64_t lane, int64_t now_ms,
                    const struct store_cursor *cursor, uint32_t limit,
                    struct page *page)
{
    sqlite3_stmt *st = database_statement(&r->db, READ_DUE);
    int rc;

    bind_number(st, 1, lane);
    bind_number(st, 2, now_ms);
    bind_number(st, 3, cursor->due_ms);
    bind_number(st, 4, (int64_t)cursor->message);
    bind_number(st, 5, cursor->number);
    bind_number(st, 6, limit);
    while ((rc = database_step(&r->db, READ_DUE)) == 1) {
        struct page_row *row = &page->rows[page->count];

        row->position = (uint32_t)page->count++;
        read_recipient(st, page, row);
    }
    return rc;
}

int store_read_due(struct store_reader *r, int64_t lane, int64_t now_ms,
                   struct store_cursor *cursor, uint32_t limit,
                   store_work_fn *each, void *user, bool *out_more)
{
    struct page page = { .rows = NEW_ARRAY(struct page_row, limit) };
    struct store_cursor last = *cursor;
    bool has_more;
    int rc, end;

    ASSERT(limit > 0);
    if ((rc = database_run(&r->db, BEGIN_READ)) < 0)
        goto out;
    rc = read_due(r, lane, now_ms, cursor, limit, &page);
    has_more = page.count == limit;
    if (rc == 0 && page.count) {
        const struct page_row *row = &page.rows[page.count - 1];

        last = (struct store_cursor){ row->recipient.due_ms, row->message,
                                      row->recipient.number };
        rc = page_give(r, &page, each, user);
    }
    end = database_run(&r->db, COMMIT_READ);
    rc = rc < 0 ? rc : end;
    if (rc == 0) {
        *cursor = last;
        *out_more = has_more;
    }
out:
    page_fini(&page);
    return rc;
}

static int read_alarm(struct store_reader *r, uint64_t message,
                      store_work_fn *each, void *user)
{
    sqlite3_stmt *st = database_statement(&r->db, READ_ALARM_RECIPIENTS);
    struct page page = { 0 };
    size_t size = 0;
    int rc;

    bind_number(st, 1, (int64_t)message);
    while ((rc = database_step(&r->db, READ_ALARM_RECIPIENTS)) == 1) {
        if (page.count == size) {
            size = size ? size * 2 : 8;
            page.rows = memory_grow(page.rows, size * sizeof *page.rows);
        }
        page.rows[page.count].position = (uint32_t)page.count;
        read_recipient(st, &page, &page.rows[page.count++]);
    }
    if (rc == 0)
        rc = page_give(r, &page, each, user);
    page_fini(&page);
    return rc;
}

/* The next ids whose alarm has come. */
static int find_alarms(struct store_reader *r, int64_t now_ms,
                       uint64_t after_message, uint32_t limit, uint64_t *ids,
                       uint32_t *out_count)
{
    sqlite3_stmt *count = database_statement(&r->db, COUNT_ALARMS);
    enum statement which;
    uint32_t found = 0;
    sqlite3_stmt *st;
    int rc;

    bind_number(count, 1, now_ms);
    bind_number(count, 2, MANY_ALARMS);
    if ((rc = database_step(&r->db, COUNT_ALARMS)) <= 0)
        return rc;
    which =
        column_number(count, 0) == MANY_ALARMS ? READ_MANY_ALARMS : READ_ALARMS;
    database_reset(&r->db, COUNT_ALARMS);
    st = database_statement(&r->db, which);
    bind_number(st, 1, now_ms);
    bind_number(st, 2, (int64_t)after_message);
    bind_number(st, 3, limit);
    while ((rc = database_step(&r->db, which)) == 1)
        ids[found++] = (uint64_t)column_number(st, 0);
    *out_count = found;
    return rc;
}

int store_read_alarms(struct store_reader *r, int64_t now_ms,
                      uint64_t after_message, uint32_t limit,
                      store_work_fn *each, void *user)
{
    uint64_t *ids = NEW_ARRAY(uint64_t, limit);
    uint32_t count = 0;
    int rc, end;

    if ((rc = database_run(&r->db, BEGIN_READ)) < 0)
        goto out;
    rc = find_alarms(r, now_ms, after_message, limit, ids, &count);
    for (uint32_t i = 0; i < count && rc == 0; i++)
        rc = read_alarm(r, ids[i], each, user);
    end = database_run(&r->db, COMMIT_READ);
    rc = rc < 0 ? rc : end;
out:
    free(ids);
    return rc;
}
