/*
 * restore - a queue that came out of a backup, before it is used.
 *
 * It is looked through once more than at a usual start (Q6): every page of it and the content
 * of every message, and every page of its history. Then its next event gets a number that no history can have: what happened
 * between the backup and now may stand in a history under the numbers that would come next,
 * and what has a number twice is taken for a repetition.
 *
 * What is in it must be ours alone: a foreign table, view or index in a backup means that
 * somebody has had it in hand.
 *
 * Nothing is removed here: a message whose content is damaged stays, and is held when its
 * content is read.
 */
#include "queue/foreign.h"
#include "queue/store_private.h"

#include "policy/vocabulary/id.h"
#include "policy/vocabulary/memory.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

enum { HOLD_PAGE = 500, READ_BYTES = 128 * 1024 };

/* ------------------------------------------------------------ content ---- */

/* So many bytes of the file from `at` on, as the checksum sees them. */
static int sum_file(int fd, uint64_t at, uint64_t len, uint64_t *out_sum)
{
    struct checksum *sum = checksum_new();
    char *bytes = memory_take(READ_BYTES);
    uint64_t end = at + len;
    int rc = 0;

    while (rc == 0 && at < end) {
        size_t want = end - at < READ_BYTES ? (size_t)(end - at) : READ_BYTES;
        ssize_t n = pread(fd, bytes, want, (off_t)at);

        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0) {
            rc = ERROR_CHECKSUM;
        } else {
            checksum_add(sum, span_make(bytes, (size_t)n));
            at += (uint64_t)n;
        }
    }
    *out_sum = checksum_end(sum);
    free(bytes);
    return rc;
}

static bool file_is_good(const char *folder, sqlite3_stmt *st)
{
    uint64_t size = (uint64_t)column_number(st, 3);
    uint64_t head = (uint64_t)column_number(st, 4);
    uint64_t head_at = (uint64_t)column_number(st, 5);
    struct buffer path = { 0 };
    uint64_t first = 0, sum = 0;
    bool is_good = false;
    int fd;

    buffer_printf(&path, "%s/%s", folder,
                  id_print((uint64_t)column_number(st, 0)).at);
    fd = open(buffer_string(&path), O_RDONLY | O_CLOEXEC);
    buffer_fini(&path);
    if (fd < 0)
        return false;
    if (head <= size && sum_file(fd, 0, size - head, &sum) == 0 &&
        (!head || sum_file(fd, head_at, head, &first) == 0))
        is_good = (head ? checksum_join(first, sum) : sum) ==
                  (uint64_t)column_number(st, 1);
    (void)close(fd);
    return is_good;
}

static bool content_is_good(const char *folder, sqlite3_stmt *st)
{
    if (column_number(st, 2))
        return file_is_good(folder, st);
    return sqlite3_column_type(st, 6) != SQLITE_NULL &&
           checksum_of(column_span(st, 6)) == (uint64_t)column_number(st, 1);
}

static int check_content(struct database *d, const char *path,
                         struct queue_restored *out)
{
    struct buffer folder = { 0 };
    sqlite3_stmt *st = NULL;
    int rc;

    buffer_printf(&folder, "%s.content", path);
    rc = sqlite3_prepare_v2(
        d->db,
        "SELECT m.id,m.checksum,m.has_file,m.size,m.head_bytes,m.head_at,"
        "c.bytes FROM message m LEFT JOIN content c ON c.message=m.id",
        -1, &st, NULL);
    while (rc == SQLITE_OK && (rc = sqlite3_step(st)) == SQLITE_ROW) {
        out->messages++;
        if (!content_is_good(buffer_string(&folder), st))
            out->damaged++;
        rc = SQLITE_OK;
    }
    rc = rc == SQLITE_DONE ? 0 : database_fail(d, rc);
    (void)sqlite3_finalize(st);
    buffer_fini(&folder);
    return rc;
}

static int check_pages(struct database *d, const char *path,
                       struct buffer *out_why)
{
    int rc = store_check_pages(d);

    if (rc == 0)
        return 0;
    buffer_printf(out_why, "%s is damaged: %s", path, d->why);
    return ERROR_DAMAGED;
}

static int check_history(const char *path, struct buffer *out_why)
{
    struct database d = { 0 };
    struct buffer history = { 0 };
    int rc = 0;

    history_path(path, &history);
    if (access(buffer_string(&history), F_OK) == 0 &&
        (rc = database_open(&d, buffer_string(&history), DATABASE_WRITER)) == 0)
        rc = check_pages(&d, buffer_string(&history), out_why);
    if (rc == 0 && d.db)
        rc = foreign_check_history(&d, buffer_string(&history), out_why);
    if (rc < 0 && out_why->len == 0)
        buffer_printf(out_why, "%s: %s", buffer_string(&history), d.why);
    database_close(&d);
    buffer_fini(&history);
    return rc;
}

/* ------------------------------------------------------------ holding ---- */

static int hold_all(struct store *s, int64_t now_ms, uint64_t *out_held)
{
    struct queue_filter f = { 0 };
    struct store_change change = {
        .filter = &f,
        .change = CHANGE_HOLD,
        .who = SPAN("restore"),
        .why = SPAN("restored from a backup"),
        .now_ms = now_ms,
    };
    struct queue_count count = { 0 };
    uint64_t after = 0;
    int rc = 0;

    do {
        if ((rc = store_begin(s)) < 0)
            return rc;
        rc = store_change(s, &change, after, HOLD_PAGE, &count, &after);
        if (rc < 0)
            store_rollback(s);
        else
            rc = store_commit(s);
    } while (rc == 0 && after);
    *out_held = count.recipients;
    return rc;
}

int queue_restore_prepare(const char *path, bool is_held,
                          struct queue_restored *out, struct buffer *out_why)
{
    struct queue_restored found = { 0 };
    struct buffer ignored = { 0 };
    struct store *s = NULL;
    struct timespec now;
    int64_t recipients = 0;
    char sql[120];
    int rc = store_open(&s, path, out_why, &ignored);

    buffer_fini(&ignored);
    if (rc < 0)
        return rc;
    rc = check_history(path, out_why);
    (void)clock_gettime(CLOCK_REALTIME, &now);
    (void)snprintf(sql, sizeof sql,
                   "UPDATE state SET last_event=max(last_event,%lld)",
                   (long long)now.tv_sec * 1000000 + now.tv_nsec / 1000);
    if (rc < 0 || (rc = check_pages(&s->db, path, out_why)) < 0 ||
        (rc = foreign_check_queue(&s->db, path, out_why)) < 0 ||
        (rc = check_content(&s->db, path, &found)) < 0 ||
        (rc = database_exec(&s->db, sql)) < 0 ||
        (rc = database_number(&s->db, "SELECT count(*) FROM recipient",
                              &recipients)) < 0)
        goto out;
    store_close(s); /* what is in memory of the last event is not so any more */
    s = NULL;
    if (is_held &&
        ((rc = store_open(&s, path, out_why, &ignored)) < 0 ||
         (rc = hold_all(s, now.tv_sec * (int64_t)1000, &found.held)) < 0))
        goto out;
    found.recipients = (uint64_t)recipients;
    *out = found;
out:
    if (rc < 0 && out_why->len == 0)
        buffer_printf(out_why, "%s: %s", path,
                      s && s->db.why[0] ? s->db.why : error_text(rc));
    buffer_fini(&ignored);
    store_close(s);
    return rc;
}

/* ------------------------------------------------------- the old files ---- */

static int settle_history(const char *path)
{
    struct buffer history = { 0 };
    struct history *h = NULL;
    int rc = 0;

    history_path(path, &history);
    if (access(buffer_string(&history), F_OK) == 0)
        rc = history_open(&h, path);
    history_close(h);
    buffer_fini(&history);
    return rc;
}

int queue_settle_files(const char *path, uint64_t *out_messages,
                       struct buffer *out_why)
{
    struct database d = { 0 };
    int64_t messages = 0;
    int version = 0;
    int rc;

    if ((rc = store_check_before(path, out_why)) < 0)
        return rc;
    if (access(path, F_OK) < 0) {
        *out_messages = 0;
        return 0;
    }
    if ((rc = database_open(&d, path, DATABASE_WRITER)) < 0 ||
        (rc = store_check(&d, path, &version, out_why)) < 0)
        goto out;
    if (version > 0 &&
        ((rc = database_number(&d, "SELECT count(*) FROM message", &messages)) <
             0 ||
         (rc = database_exec(&d, "PRAGMA wal_checkpoint(TRUNCATE)")) < 0))
        goto out;
    if ((rc = settle_history(path)) == 0)
        *out_messages = (uint64_t)messages;
out:
    if (rc < 0 && out_why->len == 0)
        buffer_printf(out_why, "%s: %s", path,
                      d.why[0] ? d.why : error_text(rc));
    database_close(&d);
    return rc;
}
