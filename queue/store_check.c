/*
 * store_check - is this file a queue of ours, whole, and of our time? (Q6)
 *
 * Asked before anything is written. Each refusal is one sentence that says what
 * to do; nothing is ever repaired or started afresh in silence.
 *
 * How much is checked: every page of a small file, since a torn copy or a bad
 * sector shows then; of a large one only the schema and the length, because
 * reading it all would keep mail out for minutes, damage elsewhere is found
 * when it is read (SQLITE_CORRUPT is fatal), and content carries checksums of
 * its own.
 */
#include "queue/store_private.h"

#include "policy/vocabulary/remedy.h"

#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <linux/magic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

enum { WHOLE_CHECK_BYTES = 64 * 1024 * 1024 };

/* What to say of an error that SQLite found while looking at the file. */
static int refuse(struct database *d, int rc, const char *path,
                  struct buffer *out_why)
{
    switch (rc) {
    case ERROR_FOREIGN:
        buffer_printf(out_why,
                      "%s is not a database: name another file as the queue's "
                      "path, or move this one away",
                      path);
        return rc;
    case ERROR_DAMAGED:
        buffer_printf(out_why,
                      "%s is damaged (%s): restore it from a backup, or move "
                      "it away with its -wal file and recover what is left "
                      "with sqlite3's .recover",
                      path, d->why);
        return rc;
    case ERROR_LOCKED:
        buffer_printf(out_why,
                      "%s is locked by another program: end it, then start "
                      "again",
                      path);
        return rc;
    case ERROR_FULL:
        buffer_printf(out_why, "%s cannot be opened", path);
        remedy_put_writing(out_why, rc);
        return rc;
    default:
        buffer_printf(out_why, "%s cannot be opened: %s", path, d->why);
        return rc;
    }
}

/* PRAGMA quick_check answers "ok" or what is wrong. */
int store_check_pages(struct database *d)
{
    sqlite3_stmt *st = NULL;
    int rc = sqlite3_prepare_v2(d->db, "PRAGMA quick_check(1)", -1, &st, NULL);

    if (rc == SQLITE_OK)
        rc = sqlite3_step(st);
    if (rc != SQLITE_ROW) {
        rc = database_fail(d, rc == SQLITE_DONE ? SQLITE_CORRUPT : rc);
    } else if (!span_is(column_span(st, 0), SPAN("ok"))) {
        (void)snprintf(d->why, sizeof d->why, "%s",
                       (const char *)sqlite3_column_text(st, 0));
        rc = ERROR_DAMAGED;
    } else {
        rc = 0;
    }
    (void)sqlite3_finalize(st);
    return rc;
}

static int check_length(struct database *d, const char *path)
{
    struct buffer wal = { 0 };
    int64_t pages, page;
    struct stat st, wal_st;
    bool has_wal;
    int rc;

    if ((rc = database_number(d, "PRAGMA page_count", &pages)) < 0 ||
        (rc = database_number(d, "PRAGMA page_size", &page)) < 0)
        return rc;
    if (stat(path, &st) < 0)
        return -errno;
    if (st.st_size <= WHOLE_CHECK_BYTES)
        return store_check_pages(d);
    buffer_printf(&wal, "%s-wal", path);
    has_wal = stat(buffer_string(&wal), &wal_st) == 0 && wal_st.st_size > 0;
    buffer_fini(&wal);
    /* With a WAL the file may be longer or shorter than what it stands for. */
    if (st.st_size % page == 0 && (has_wal || st.st_size == pages * page))
        return 0;
    (void)snprintf(d->why, sizeof d->why,
                   "it is %lld bytes long and should be %lld",
                   (long long)st.st_size, (long long)(pages * page));
    return ERROR_DAMAGED;
}

/* A queue without its database but with its WAL has been taken apart by
 * somebody: what SQLite would do is to throw the WAL away. */
static int check_orphan_wal(const char *path, struct buffer *out_why)
{
    struct buffer wal = { 0 };
    struct stat st;
    bool is_orphan = false;

    buffer_printf(&wal, "%s-wal", path);
    if (stat(buffer_string(&wal), &st) == 0 && st.st_size > 0)
        is_orphan = stat(path, &st) < 0 || st.st_size == 0;
    if (is_orphan)
        buffer_printf(out_why,
                      "%s is missing or empty, but its mail may be in %s: put "
                      "back the database that belongs to it, or move that "
                      "file away",
                      path, buffer_string(&wal));
    buffer_fini(&wal);
    return is_orphan ? ERROR_DAMAGED : 0;
}

int store_check_before(const char *path, struct buffer *out_why)
{
    struct stat st;

    if (stat(path, &st) == 0 && !S_ISREG(st.st_mode)) {
        buffer_printf(out_why, "%s is not a file: name another path", path);
        return ERROR_FOREIGN;
    }
    if (faccessat(AT_FDCWD, path, R_OK | W_OK, AT_EACCESS) < 0 &&
        errno != ENOENT) {
        int rc = -errno; /* SQLite would not say it */

        buffer_printf(out_why, "%s cannot be opened", path);
        remedy_put_writing(out_why, rc);
        return rc;
    }
    return check_orphan_wal(path, out_why);
}

/* No queue of ours has a trigger, and who puts one into it means to change what we do. */
static int check_foreign(struct database *d, const char *path,
                         struct buffer *out_why)
{
    sqlite3_stmt *st = NULL;
    int rc = sqlite3_prepare_v2(
        d->db, "SELECT name FROM sqlite_schema WHERE type='trigger'", -1, &st,
        NULL);

    if (rc == SQLITE_OK)
        rc = sqlite3_step(st);
    if (rc == SQLITE_DONE) {
        rc = 0;
    } else if (rc != SQLITE_ROW) {
        rc = refuse(d, database_fail(d, rc), path, out_why);
    } else {
        buffer_printf(out_why, "%s has a trigger that is not ours, \"", path);
        buffer_put_escaped(out_why, span_first(column_span(st, 0), 100));
        buffer_put_string(out_why,
                          "\": find out who has put it there, then remove it "
                          "with sqlite3 (DROP TRIGGER)");
        rc = ERROR_DAMAGED;
    }
    (void)sqlite3_finalize(st);
    return rc;
}

int store_check(struct database *d, const char *path, int *out_version,
                struct buffer *out_why)
{
    int64_t application, version, objects;
    int rc;

    if ((rc = database_number(d, "PRAGMA application_id", &application)) < 0 ||
        (rc = database_number(d, "PRAGMA user_version", &version)) < 0 ||
        (rc = database_number(d, "SELECT count(*) FROM sqlite_schema",
                              &objects)) < 0)
        return refuse(d, rc, path, out_why);
    if (application != STORE_APPLICATION_ID &&
        (application != 0 || version != 0 || objects != 0)) {
        buffer_printf(out_why,
                      "%s is the database of another application: name "
                      "another file as the queue's path",
                      path);
        return ERROR_FOREIGN;
    }
    if (version > store_schema_version()) {
        buffer_printf(out_why,
                      "%s was written by a newer Waypost (schema %lld, this "
                      "one knows %d): run that version, or restore a backup "
                      "from before the upgrade",
                      path, (long long)version, store_schema_version());
        return ERROR_NEWER;
    }
    if (objects > 0 && (rc = check_length(d, path)) < 0)
        return refuse(d, rc, path, out_why);
    if ((rc = check_foreign(d, path, out_why)) < 0)
        return rc;
    *out_version = (int)version;
    return 0;
}

int store_check_refuse(struct database *d, int rc, const char *path,
                       struct buffer *out_why)
{
    return refuse(d, rc, path, out_why);
}

/* ------------------------------------------------------- the folder ---- */

/* clang-format off */
static const struct {
    long type;
    const char *notice;
} file_systems[] = {
    { TMPFS_MAGIC, "lies in memory (tmpfs): all mail in it is lost when the machine stops" },
    { RAMFS_MAGIC, "lies in memory (ramfs): all mail in it is lost when the machine stops" },
    { OVERLAYFS_SUPER_MAGIC, "lies on a container's overlay: all mail in it is lost with the container; mount a volume there" },
    { NFS_SUPER_MAGIC, "lies on NFS: locks and fsync cannot be relied on there; use a local disk" },
    { SMB_SUPER_MAGIC, "lies on SMB: locks and fsync cannot be relied on there; use a local disk" },
    { (long)0xFF534D42, "lies on CIFS: locks and fsync cannot be relied on there; use a local disk" },
    { (long)0xFE534D42, "lies on SMB2: locks and fsync cannot be relied on there; use a local disk" },
    { FUSE_SUPER_MAGIC, "lies on FUSE: whether fsync reaches a disk is up to that file system" },
    { V9FS_MAGIC, "lies on 9p: locks and fsync cannot be relied on there; use a local disk" },
    { CEPH_SUPER_MAGIC, "lies on Ceph: SQLite's WAL must not be shared between machines" },
};
/* clang-format on */

void store_check_folder(const char *path, struct buffer *out_notices)
{
    char *copy = span_dup(span_of(path));
    struct statfs fs;

    if (statfs(dirname(copy), &fs) == 0) {
        for (size_t i = 0; i < sizeof file_systems / sizeof *file_systems;
             i++) {
            if ((unsigned long)fs.f_type != (unsigned long)file_systems[i].type)
                continue;
            if (out_notices->len)
                buffer_put_byte(out_notices, '\n');
            buffer_printf(out_notices, "the queue %s %s", path,
                          file_systems[i].notice);
        }
    }
    free(copy);
}
