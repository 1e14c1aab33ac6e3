/*
 * backup_send - what goes into a backup, in its order.
 *
 * The copy of queue.db says which messages have a file. Those that share one (several
 * messages that one became) have one inode: it is sent once.
 */
#include "queue/backup.h"

#include "policy/vocabulary/id.h"
#include "policy/vocabulary/memory.h"
#include "queue/core.h"
#include "queue/store_private.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
    TELL_MS = 300,
    READ_BYTES = 128 * 1024,
    HISTORY_PAGES = 512,     /* 4 MB */
    HISTORY_REST_US = 10000, /* between slices: mail's fsyncs come first */
};

/* A message's file. */
struct shared {
    uint64_t message;
    ino_t inode;
};

struct sending {
    struct backup *b;
    struct queue *q;
    char *path; /* of the copy */
    int fd;     /* of the copy, once it is complete */
    struct shared *files;
    size_t count, room;
};

static int fail(struct sending *s, int rc, const char *path)
{
    if (rc != ERROR_CLOSING && rc != ERROR_FULL && s->b->why.len == 0)
        buffer_printf(&s->b->why, "%s: %s", path, error_text(rc));
    return rc;
}

static int put_line(struct sending *s, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

static int put_line(struct sending *s, const char *format, ...)
{
    struct buffer line = { 0 };
    va_list args;
    int rc;

    va_start(args, format);
    buffer_vprintf(&line, format, args);
    va_end(args);
    buffer_put_byte(&line, '\n');
    rc = backup_put(s->b, buffer_span(&line));
    buffer_fini(&line);
    return rc;
}

/* size: as the file was when the line before it was sent. */
static int put_file(struct sending *s, int fd, uint64_t size)
{
    char *bytes = memory_take(READ_BYTES);
    uint64_t at = 0;
    int rc = 0;

    while (rc == 0 && at < size) {
        size_t want = size - at < READ_BYTES ? (size_t)(size - at) : READ_BYTES;
        ssize_t n = pread(fd, bytes, want, (off_t)at);

        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0) {
            rc = n < 0 ? -errno : ERROR_DAMAGED;
        } else {
            at += (uint64_t)n;
            rc = put_line(s, "{\"bytes\":%zd}", n);
            if (rc == 0)
                rc = backup_put(s->b, span_make(bytes, (size_t)n));
        }
        if (rc == 0)
            rc = backup_look(s->b);
    }
    free(bytes);
    return rc;
}

/* ------------------------------------------------------------- a copy ---- */

/* An empty file to copy into. */
static int make_copy(struct sending *s)
{
    int fd;

    (void)unlink(s->path);
    fd = open(s->path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (fd < 0)
        return fail(s, -errno, s->path);
    (void)close(fd);
    return 0;
}

static void drop_copy(struct sending *s)
{
    if (s->fd >= 0)
        (void)close(s->fd);
    s->fd = -1;
    (void)unlink(s->path);
}

static int send_copy(struct sending *s, const char *name)
{
    struct stat st;
    int rc;

    s->fd = open(s->path, O_RDONLY | O_CLOEXEC);
    if (s->fd < 0 || fstat(s->fd, &st) < 0)
        return fail(s, -errno, s->path);
    (void)unlink(s->path);
    rc = put_line(s, "{\"file\":\"%s\",\"size\":%llu}", name,
                  (unsigned long long)st.st_size);
    if (rc == 0)
        rc = put_file(s, s->fd, (uint64_t)st.st_size);
    return rc < 0 ? fail(s, rc, s->path) : 0;
}

/* Would a copy of this file leave the reserve? */
static int ask_room(struct sending *s, const char *path)
{
    struct stat st;

    if (stat(path, &st) < 0)
        return fail(s, -errno, path);
    return disk_has_room(&s->q->disk, (uint64_t)st.st_size) ? 0 : ERROR_FULL;
}

/* ---------------------------------------------------------- the queue ---- */

static int take_snapshot(struct sending *s)
{
    struct snapshot *shot = &s->q->snapshot;
    int rc;

    snapshot_begin(s->q, s->path);
    while ((rc = snapshot_wait(s->q, TELL_MS)) == 1) {
        uint64_t pages = atomic_load(&shot->pages);

        if (backup_look(s->b) < 0)
            snapshot_cancel(s->q);
        else
            backup_tell(s->b, (pages - atomic_load(&shot->left)) * STORE_PAGE,
                        pages * STORE_PAGE);
    }
    if (rc == ERROR_CLOSING && backup_look(s->b) == ERROR_FULL)
        rc = ERROR_FULL;
    return rc < 0 ? fail(s, rc, s->path) : 0;
}

/* The copy is nobody else's: it needs no lock, and no WAL. */
static int open_copy(struct sending *s, sqlite3 **out_db)
{
    struct buffer name = { 0 };
    int rc;

    buffer_put_string(&name, "file:");
    for (const char *c = s->path; *c; c++)
        if (*c == '%' || *c == '?' || *c == '#')
            buffer_printf(&name, "%%%02X", (unsigned char)*c);
        else
            buffer_put_byte(&name, *c);
    buffer_put_string(&name, "?immutable=1");
    rc = sqlite3_open_v2(buffer_string(&name), out_db,
                         SQLITE_OPEN_READONLY | SQLITE_OPEN_URI |
                             SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_PRIVATECACHE,
                         NULL);
    buffer_fini(&name);
    return rc;
}

static void add_file(struct sending *s, uint64_t message)
{
    if (s->count == s->room) {
        s->room = s->room ? s->room * 2 : 256;
        s->files = memory_grow(s->files, s->room * sizeof *s->files);
    }
    s->files[s->count++] = (struct shared){ .message = message };
}

static int read_copy(struct sending *s, int64_t *out_messages,
                     int64_t *out_recipients)
{
    sqlite3 *db = NULL;
    sqlite3_stmt *st = NULL;
    int rc = open_copy(s, &db);

    if (rc == SQLITE_OK)
        rc = sqlite3_prepare_v2(db,
                                "SELECT (SELECT count(*) FROM message),"
                                "(SELECT count(*) FROM recipient)",
                                -1, &st, NULL);
    if (rc == SQLITE_OK && (rc = sqlite3_step(st)) == SQLITE_ROW) {
        *out_messages = sqlite3_column_int64(st, 0);
        *out_recipients = sqlite3_column_int64(st, 1);
        rc = SQLITE_OK;
    }
    (void)sqlite3_finalize(st);
    st = NULL;
    if (rc == SQLITE_OK)
        rc = sqlite3_prepare_v2(
            db, "SELECT id FROM message WHERE has_file=1 ORDER BY id", -1, &st,
            NULL);
    while (rc == SQLITE_OK && (rc = sqlite3_step(st)) == SQLITE_ROW) {
        add_file(s, (uint64_t)sqlite3_column_int64(st, 0));
        rc = SQLITE_OK;
    }
    (void)sqlite3_finalize(st);
    if (rc != SQLITE_DONE)
        buffer_printf(&s->b->why, "%s: SQLite: %s", s->path,
                      db ? sqlite3_errmsg(db) : sqlite3_errstr(rc));
    (void)sqlite3_close(db);
    return rc == SQLITE_DONE ? 0 : ERROR_STORE;
}

/* ---------------------------------------------------------- its files ---- */

static int by_inode(const void *a, const void *b)
{
    const struct shared *x = a, *y = b;

    if (x->inode != y->inode)
        return x->inode < y->inode ? -1 : 1;
    return x->message < y->message ? -1 : x->message > y->message;
}

static int send_content(struct sending *s, uint64_t message)
{
    struct stat st;
    int rc, fd = openat(s->q->bodies.folder_fd, id_print(message).at,
                        O_RDONLY | O_CLOEXEC);

    if (fd < 0 || fstat(fd, &st) < 0)
        return fail(s, -errno, id_print(message).at);
    rc = put_line(s, "{\"file\":\"queue.db.content/%s\",\"size\":%llu}",
                  id_print(message).at, (unsigned long long)st.st_size);
    if (rc == 0)
        rc = put_file(s, fd, (uint64_t)st.st_size);
    (void)close(fd);
    return rc < 0 ? fail(s, rc, id_print(message).at) : 0;
}

static int send_files(struct sending *s)
{
    int rc = 0;

    for (size_t i = 0; i < s->count; i++) {
        struct stat st = { 0 };

        if (fstatat(s->q->bodies.folder_fd, id_print(s->files[i].message).at,
                    &st, 0) == 0)
            s->files[i].inode = st.st_ino;
        else if (errno != ENOENT)
            return fail(s, -errno, s->q->bodies.folder);
    }
    if (s->count)
        qsort(s->files, s->count, sizeof *s->files, by_inode);
    for (size_t i = 0; rc == 0 && i < s->count; i++) {
        const struct shared *f = &s->files[i];

        if (f->inode == 0)
            rc = put_line(s, "{\"lost\":\"queue.db.content/%s\"}",
                          id_print(f->message).at);
        else if (i && f[-1].inode == f->inode)
            rc = put_line(s,
                          "{\"link\":\"queue.db.content/%s\","
                          "\"to\":\"queue.db.content/%s\"}",
                          id_print(f->message).at, id_print(f[-1].message).at);
        else
            rc = send_content(s, f->message);
    }
    return rc;
}

/* -------------------------------------------------------- the history ---- */

/* Within one read transaction, which keeps the history's WAL from beginning anew; it goes by
 * the speed of the disk, not of who reads the backup. */
static int copy_history(struct sending *s, const char *path)
{
    struct timespec rest = { .tv_nsec = HISTORY_REST_US * 1000L };
    struct database d = { 0 };
    struct store_copy *copy = NULL;
    uint64_t left = 1, pages;
    int64_t ignored;
    int rc;

    if ((rc = past_open(&d, path, &ignored)) < 0 ||
        (rc = database_exec(&d, "BEGIN")) < 0 ||
        (rc = database_number(&d, "SELECT count(*) FROM sqlite_schema",
                              &ignored)) < 0)
        goto out;
    rc = store_copy_begin(&copy, &d, s->path);
    while (rc == 0 && left > 0) {
        rc = store_copy_step(copy, HISTORY_PAGES, &left, &pages);
        if (rc == 0 && left > 0) {
            rc = backup_look(s->b);
            (void)clock_nanosleep(CLOCK_MONOTONIC, 0, &rest, NULL);
        }
    }
    store_copy_end(copy);
out:
    if (rc < 0)
        (void)fail(s, rc, d.why[0] ? d.why : path);
    database_close(&d);
    return rc;
}

static int send_history(struct sending *s)
{
    struct buffer path = { 0 };
    int rc = 0;

    history_path(s->q->path, &path);
    if (access(buffer_string(&path), F_OK) == 0) {
        rc = ask_room(s, buffer_string(&path));
        if (rc == 0)
            rc = make_copy(s);
        if (rc == 0)
            rc = copy_history(s, buffer_string(&path));
        if (rc == 0)
            rc = send_copy(s, "history.db");
        drop_copy(s);
    }
    buffer_fini(&path);
    return rc;
}

/* ---------------------------------------------------------------- all ---- */

static int send_queue(struct sending *s, int64_t *out_messages,
                      int64_t *out_recipients)
{
    int rc = ask_room(s, s->q->path);

    if (rc == 0)
        rc = make_copy(s);
    if (rc == 0)
        rc = take_snapshot(s);
    if (rc == 0)
        rc = read_copy(s, out_messages, out_recipients);
    if (rc == 0)
        rc = send_copy(s, "queue.db");
    drop_copy(s);
    return rc == 0 ? send_files(s) : rc;
}

int backup_send(struct backup *b)
{
    struct sending s = { .b = b, .q = b->queue, .fd = -1 };
    struct buffer path = { 0 };
    int64_t messages = 0, recipients = 0;
    int rc;

    buffer_printf(&path, "%s.backup", b->queue->path);
    s.path = span_dup(buffer_span(&path));
    buffer_fini(&path);
    rc = send_queue(&s, &messages, &recipients);
    if (rc == 0 && b->has_history)
        rc = send_history(&s);
    if (rc == 0)
        rc =
            put_line(&s, "{\"end\":true,\"messages\":%lld,\"recipients\":%lld}",
                     (long long)messages, (long long)recipients);
    free(s.files);
    free(s.path);
    return rc;
}
