/*
 * store_open - from a path to a store that may be written to.
 *
 *   lock -> orphaned WAL? -> open -> ours, whole, of our time? -> WAL mode
 *        -> copy the WAL into the database -> upgrade -> statements -> last ids
 *
 * Each arrow may refuse, with a sentence; then everything is given back and
 * nothing was changed. (Q6)
 *
 * The WAL is copied and the database fsynced before anything is acknowledged
 * (Q7): after a failed fsync the kernel's page cache may show what the disk
 * does not have, and a second fsync of those clean pages says yes for nothing.
 * Copying writes every page anew, so its fsync means what it says.
 *
 * PATH.lock is held by flock for the life of the store and carries our process
 * number. Only SQLite opens PATH: closing another descriptor of it would drop
 * SQLite's locks.
 */
#include "queue/store_private.h"

#include "policy/vocabulary/memory.h"
#include "policy/vocabulary/remedy.h"

#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

static void read_owner(int fd, char *out, size_t size)
{
    ssize_t n = pread(fd, out, size - 1, 0);

    out[n > 0 ? n : 0] = '\0';
    out[strspn(out, "0123456789")] = '\0';
}

int queue_lock_path(const char *path, int *out_fd, struct buffer *out_why)
{
    struct buffer lock = { 0 };
    char text[24] = "";
    int rc = 0, fd, n;

    buffer_printf(&lock, "%s.lock", path);
    fd = open(buffer_string(&lock), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (fd < 0) {
        rc = -errno;
        buffer_printf(out_why, "%s cannot be opened", buffer_string(&lock));
        remedy_put_writing(out_why, rc);
    } else if (flock(fd, LOCK_EX | LOCK_NB) < 0) {
        rc = errno == EWOULDBLOCK ? ERROR_LOCKED : -errno;
        read_owner(fd, text, sizeof text);
        if (rc == ERROR_LOCKED)
            buffer_printf(out_why,
                          "another Waypost (pid %s) is using this queue, %s: "
                          "stop it, or name another path",
                          *text ? text : "unknown", path);
        else
            buffer_printf(out_why, "%s cannot be locked: %s",
                          buffer_string(&lock), strerror(-rc));
        (void)close(fd);
    } else {
        n = snprintf(text, sizeof text, "%ld\n", (long)getpid());
        /* Only for the other one's sentence; the lock itself is flock's. */
        if (ftruncate(fd, 0) < 0 || pwrite(fd, text, (size_t)n, 0) < 0)
            rc = 0;
        *out_fd = fd;
    }
    buffer_fini(&lock);
    return rc;
}

static int sync_folder(const char *path)
{
    char *copy = span_dup(span_of(path));
    int fd = open(dirname(copy), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    int rc = 0;

    free(copy);
    if (fd < 0)
        return -errno;
    if (fsync(fd) < 0)
        rc = -errno;
    (void)close(fd);
    return rc;
}

/* What is chosen once, when the file is made. */
static int prepare_new(struct store *s, const char *path)
{
    char text[100];
    int rc;

    (void)snprintf(text, sizeof text,
                   "PRAGMA page_size=%d; PRAGMA auto_vacuum=INCREMENTAL",
                   STORE_PAGE);
    if ((rc = database_exec(&s->db, text)) < 0)
        return rc;
    /* Mail is nobody else's to read; WAL and shared memory take after it. */
    if (chmod(path, 0600) < 0)
        return -errno;
    return sync_folder(path);
}

static int journal_is_wal(struct store *s)
{
    sqlite3_stmt *st = NULL;
    int rc =
        sqlite3_prepare_v2(s->db.db, "PRAGMA journal_mode=WAL", -1, &st, NULL);

    if (rc == SQLITE_OK)
        rc = sqlite3_step(st);
    if (rc != SQLITE_ROW)
        rc = database_fail(&s->db, rc);
    else if (!span_is(column_span(st, 0), SPAN("wal")))
        rc = ERROR_STORE;
    else
        rc = 0;
    (void)sqlite3_finalize(st);
    return rc < 0 ? rc
                  : database_exec(&s->db, "PRAGMA wal_autocheckpoint=0;"
                                          "PRAGMA journal_size_limit=67108864");
}

/* Q7: see above. */
static int empty_wal(struct store *s)
{
    int frames = -1, copied = -1;
    int rc = sqlite3_wal_checkpoint_v2(
        s->db.db, NULL, SQLITE_CHECKPOINT_TRUNCATE, &frames, &copied);

    if (rc != SQLITE_OK)
        return database_fail(&s->db, rc);
    if (frames != copied) {
        (void)snprintf(s->db.why, sizeof s->db.why,
                       "%d of %d pages of its WAL could be copied", copied,
                       frames);
        return ERROR_STORE;
    }
    return 0;
}

/* Lanes without mail and destinations without news are dropped here, where
 * nobody knows their ids yet. On a full disk they stay. */
static int sweep(struct store *s)
{
    int rc = database_exec(
        &s->db,
        "BEGIN IMMEDIATE;"
        "DELETE FROM lane WHERE id IN (SELECT id FROM lane WHERE NOT EXISTS"
        " (SELECT 1 FROM recipient WHERE lane=lane.id) LIMIT 20000);"
        "DELETE FROM destination WHERE"
        " max(at_ms,due_ms)<(julianday('now')-2440587.5-30)*86400000;"
        "COMMIT");

    if (rc < 0 && !sqlite3_get_autocommit(s->db.db))
        (void)sqlite3_exec(s->db.db, "ROLLBACK", NULL, NULL, NULL);
    return rc == ERROR_FULL ? 0 : rc;
}

static int read_last_ids(struct store *s)
{
    int64_t message, event;
    int rc;

    rc = database_number(&s->db,
                         "SELECT max(coalesce((SELECT max(id) FROM message),0),"
                         " coalesce((SELECT max(message) FROM event),0),"
                         " (SELECT last_message FROM state))",
                         &message);
    if (rc == 0)
        rc = database_number(
            &s->db,
            "SELECT max(coalesce((SELECT max(id) FROM event),0),"
            " (SELECT last_event FROM state))",
            &event);
    if (rc == 0) {
        s->last_message = (uint64_t)message;
        s->last_event = event;
    }
    return rc;
}

/* All after the check: it is ours, bring it to what we need. */
static int make_ready(struct store *s, const char *path, int version)
{
    bool is_new = version == 0;
    int rc;

    if (is_new && (rc = prepare_new(s, path)) < 0)
        return rc;
    if ((rc = journal_is_wal(s)) < 0 || (rc = empty_wal(s)) < 0)
        return rc;
    if (version < store_schema_version() &&
        ((rc = store_schema_bring(&s->db, version)) < 0 ||
         (rc = sync_folder(path)) < 0))
        return rc;
    if ((rc = sweep(s)) < 0 || (rc = database_prepare(&s->db)) < 0 ||
        (rc = store_wal_watch(s)) < 0)
        return rc;
    return read_last_ids(s);
}

int store_open(struct store **out_s, const char *path, struct buffer *out_why,
               struct buffer *out_notices)
{
    struct store *s = NEW(struct store);
    int version = 0;
    int rc;

    s->lock_fd = -1;
    s->trail.cap = (size_t)STORE_TRAIL * 2;
    if ((rc = queue_lock_path(path, &s->lock_fd, out_why)) < 0)
        goto fail;
    store_check_folder(path, out_notices);
    if ((rc = store_check_before(path, out_why)) < 0)
        goto fail;
    if ((rc = database_open(&s->db, path, DATABASE_WRITER)) < 0) {
        rc = store_check_refuse(&s->db, rc, path, out_why);
        goto fail;
    }
    if ((rc = store_check(&s->db, path, &version, out_why)) < 0)
        goto fail;
    if ((rc = make_ready(s, path, version)) < 0) {
        if (rc > ERROR_BASE && rc < ERROR_END) {
            rc = store_check_refuse(&s->db, rc, path, out_why);
        } else {
            buffer_printf(out_why, "%s cannot be opened", path);
            remedy_put_writing(out_why, rc);
        }
        goto fail;
    }
    *out_s = s;
    return 0;
fail:
    store_close(s);
    return rc;
}

void store_close(struct store *s)
{
    if (!s)
        return;
    database_close(&s->db);
    store_lanes_forget(s);
    if (s->lock_fd >= 0)
        (void)close(s->lock_fd);
    free(s->alarms.ids);
    buffer_fini(&s->trail);
    buffer_fini(&s->dialogue);
    buffer_fini(&s->reply);
    buffer_fini(&s->text);
    free(s);
}

const char *store_why(const struct store *s)
{
    return s->why;
}
