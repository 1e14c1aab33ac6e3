/*
 * history - what became of mail, also after it left.
 *
 * A database of its own beside the queue's, so that the queue's stays as small
 * as the live mail. Events are copied in batches and removed from the queue by
 * its writer afterwards; a copy that is repeated after a crash is ignored by
 * the event's id, so nothing is lost and nothing is there twice. Only this
 * connection writes; whoever looks things up opens the file read-only.
 */
#include "queue/history_private.h"

#include "policy/vocabulary/memory.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

enum { EVENT_COLUMNS = 27, DRAIN_PAGE = 500 };

/* "queue.db" at the end becomes "history.db". */
void history_path(const char *queue_path, struct buffer *out)
{
    static const struct span usual = SPAN_INIT("queue.db");
    struct span path = span_of(queue_path);

    if (span_ends_nocase(path, usual)) {
        buffer_put(out, span_first(path, path.len - usual.len));
        buffer_put_string(out, "history.db");
    } else {
        buffer_put(out, path);
        buffer_put_string(out, ".history");
    }
}

static int bring_schema(struct history *h, const char *path)
{
    int64_t application, version, objects;
    int rc;

    if ((rc = database_number(&h->db, "PRAGMA application_id", &application)) <
            0 ||
        (rc = database_number(&h->db, "PRAGMA user_version", &version)) < 0 ||
        (rc = database_number(&h->db, "SELECT count(*) FROM sqlite_schema",
                              &objects)) < 0)
        return rc;
    if (application != HISTORY_APPLICATION_ID &&
        (application != 0 || version != 0 || objects != 0))
        return ERROR_FOREIGN;
    if (version > HISTORY_VERSION)
        return ERROR_NEWER;
    if (version == 0) {
        rc = database_exec(&h->db, "PRAGMA page_size=8192;"
                                   "PRAGMA auto_vacuum=INCREMENTAL");
        if (rc < 0)
            return rc;
        if (chmod(path, 0600) < 0)
            return -errno;
    }
    if ((rc = database_exec(&h->db, "PRAGMA journal_mode=WAL;"
                                    "PRAGMA journal_size_limit=67108864")) < 0)
        return rc;
    return version == HISTORY_VERSION
               ? 0
               : store_schema_upgrade(&h->db, history_steps,
                                      (int)version, HISTORY_VERSION,
                                      HISTORY_APPLICATION_ID);
}

int history_open(struct history **out_h, const char *queue_path)
{
    struct history *h = NEW(struct history);
    struct buffer path = { 0 };
    int rc;

    history_path(queue_path, &path);
    if ((rc = database_open(&h->db, buffer_string(&path), DATABASE_HISTORY)) <
            0 ||
        (rc = database_exec(&h->db, HISTORY_CACHE)) < 0 ||
        (rc = bring_schema(h, buffer_string(&path))) < 0 ||
        (rc = database_prepare(&h->db)) < 0) {
        history_close(h);
        h = NULL;
    }
    buffer_fini(&path);
    if (h)
        *out_h = h;
    return rc;
}

void history_close(struct history *h)
{
    if (!h)
        return;
    database_close(&h->db);
    free(h);
}

static int history_end(struct history *h, int rc)
{
    if (rc == 0)
        rc = database_run(&h->db, HISTORY_COMMIT);
    if (rc < 0 && !sqlite3_get_autocommit(h->db.db) &&
        database_run(&h->db, HISTORY_ROLLBACK) < 0)
        return rc;
    return rc;
}

/* The row is borrowed from the one statement while the other runs. */
static int copy_event(struct history *h, sqlite3_stmt *from)
{
    sqlite3_stmt *to = database_statement(&h->db, HISTORY_PUT);
    struct queue_ruling r;

    for (int i = 0; i < EVENT_COLUMNS; i++) {
        if (sqlite3_column_type(from, i) == SQLITE_INTEGER)
            bind_number(to, i + 1, column_number(from, i));
        else
            bind_span(to, i + 1, column_span(from, i));
    }
    queue_ruling_read(column_span(from, EVENT_COLUMNS), &r);
    bind_span(to, EVENT_COLUMNS + 1, r.rule);
    bind_span(to, EVENT_COLUMNS + 2, r.place);
    bind_span(to, EVENT_COLUMNS + 3, r.held_by);
    bind_span(to, EVENT_COLUMNS + 4, r.asked_to);
    bind_span(to, EVENT_COLUMNS + 5, r.asked_from);
    bind_span(to, EVENT_COLUMNS + 6, column_span(from, EVENT_COLUMNS + 1));
    bind_span(to, EVENT_COLUMNS + 7, column_span(from, EVENT_COLUMNS + 2));
    bind_span(to, EVENT_COLUMNS + 8, r.orig_to);
    return database_run(&h->db, HISTORY_PUT);
}

/* A page of them, so that reading does not keep the queue from its checkpoints. */
static int copy_page(struct history *h, struct store_reader *r, uint32_t limit,
                     int64_t after, int64_t *out_last)
{
    sqlite3_stmt *from = database_statement(&r->db, READ_EVENTS);
    int rc = 0, read;

    *out_last = 0;
    bind_number(from, 1, after);
    bind_number(from, 2, limit);
    while ((read = database_step(&r->db, READ_EVENTS)) == 1) {
        if (!*out_last && sqlite3_get_autocommit(h->db.db) &&
            (rc = database_run(&h->db, HISTORY_BEGIN)) < 0)
            break;
        *out_last = column_number(from, 0);
        if ((rc = copy_event(h, from)) < 0)
            break;
    }
    if (read == 1)
        database_reset(&r->db, READ_EVENTS);
    return read < 0 ? read : rc;
}

int history_drain(struct history *h, struct store_reader *r, uint32_t limit,
                  int64_t *out_last)
{
    int64_t last = 0, page_last;
    int rc;

    do {
        uint32_t page = limit < DRAIN_PAGE ? limit : DRAIN_PAGE;

        rc = copy_page(h, r, page, last ? last : h->last_event, &page_last);
        last = page_last ? page_last : last;
        limit -= page;
    } while (rc == 0 && page_last && limit);
    if (!sqlite3_get_autocommit(h->db.db))
        rc = history_end(h, rc);
    if (rc < 0)
        return rc;
    if (last)
        h->last_event = last;
    *out_last = last;
    return 0;
}

static int put_refusal(struct history *h, const struct queue_refusal *r)
{
    sqlite3_stmt *st = database_statement(&h->db, HISTORY_REFUSAL);

    bind_number(st, 1, r->at_ms);
    bind_span(st, 2, r->client);
    bind_span(st, 3, r->helo);
    bind_span(st, 4, r->login);
    bind_span(st, 5, r->sender);
    bind_span(st, 6, r->recipient);
    bind_span(st, 7, r->reply);
    bind_span(st, 8, r->rule);
    bind_span(st, 9, r->place);
    bind_span(st, 10, r->stage);
    bind_span(st, 11, r->client_name);
    bind_span(st, 12, r->listener);
    bind_span(st, 13, r->tls);
    bind_number(st, 14, (int64_t)r->size_bytes);
    bind_number(st, 15, r->is_verdict);
    return database_run(&h->db, HISTORY_REFUSAL);
}

int history_refusals(struct history *h, const struct queue_refusal *rows,
                     size_t count)
{
    int rc = count ? database_run(&h->db, HISTORY_BEGIN) : 0;

    if (rc < 0 || count == 0)
        return rc;
    for (size_t i = 0; i < count && rc == 0; i++)
        rc = put_refusal(h, &rows[i]);
    return history_end(h, rc);
}

int history_prune(struct history *h, int64_t before_ms, uint32_t limit,
                  uint32_t *out_count)
{
    static const enum statement both[] = { HISTORY_PRUNE,
                                           HISTORY_PRUNE_REFUSALS };
    uint32_t count = 0;
    int rc = database_run(&h->db, HISTORY_BEGIN);

    if (rc < 0)
        return rc;
    for (int i = 0; i < 2 && rc == 0; i++) {
        sqlite3_stmt *st = database_statement(&h->db, both[i]);

        bind_number(st, 1, before_ms);
        bind_number(st, 2, limit);
        rc = database_run(&h->db, both[i]);
        if (rc == 0)
            count += (uint32_t)sqlite3_changes(h->db.db);
    }
    if ((rc = history_end(h, rc)) == 0)
        *out_count = count;
    return rc;
}

int history_prune_oldest(struct history *h, uint32_t limit)
{
    static const enum statement both[] = { HISTORY_OLDEST,
                                           HISTORY_OLDEST_REFUSAL };
    int64_t before = NEVER_MS;
    uint32_t count;
    int rc;

    for (int i = 0; i < 2; i++) {
        sqlite3_stmt *st = database_statement(&h->db, both[i]);

        bind_number(st, 1, limit);
        if ((rc = database_step(&h->db, both[i])) < 0)
            return rc;
        if (rc == 1) {
            if (column_number(st, 0) < before)
                before = column_number(st, 0);
            database_reset(&h->db, both[i]);
        }
    }
    return history_prune(h, before, limit, &count);
}

int history_size(struct history *h, struct history_size *out)
{
    int64_t page, pages, unused;
    int rc;

    if ((rc = database_number(&h->db, "PRAGMA page_size", &page)) < 0 ||
        (rc = database_number(&h->db, "PRAGMA page_count", &pages)) < 0 ||
        (rc = database_number(&h->db, "PRAGMA freelist_count", &unused)) < 0)
        return rc;
    out->file_bytes = (uint64_t)(page * pages);
    out->used_bytes = (uint64_t)(page * (pages - unused));
    return 0;
}

int history_vacuum(struct history *h, int pages)
{
    char text[60];

    (void)snprintf(text, sizeof text, "PRAGMA incremental_vacuum(%d)", pages);
    return database_exec(&h->db, text);
}
