/*
 * unpacking_place - the old queue is put aside, and what was unpacked in its place.
 *
 * By links and renaming only; the queue is the old one until the last rename.
 *
 * An old WAL must never meet the new queue.db, which SQLite would apply it to: the caller has
 * brought it into the old database, and what is left of it (the old database was damaged) is
 * put aside before anything is renamed.
 */
#include "relay/main/unpacking_private.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum { ASIDE_TRIES = 100 };

static int sync_path(const char *path)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    int rc = fd < 0 || fsync(fd) < 0 ? -errno : 0;

    if (fd >= 0)
        (void)close(fd);
    return rc;
}

/* ---------------------------------------------------------------- aside -- */

/* Paths of the old queue, and of the new: "" is queue.db itself. */
static void put_history(const char *queue, const char *end, struct buffer *out)
{
    static const struct span usual = SPAN_INIT("queue.db");
    struct span path = span_of(queue);

    if (span_ends_nocase(path, usual)) {
        buffer_put(out, span_first(path, path.len - usual.len));
        buffer_put_string(out, "history.db");
    } else {
        buffer_printf(out, "%s.history", queue);
    }
    buffer_put_string(out, end);
}

static int link_aside(const char *from, const char *folder, const char *name,
                      bool is_moved, struct buffer *why)
{
    struct buffer to = { 0 };
    int rc = 0;

    buffer_printf(&to, "%s/%s", folder, name);
    if ((is_moved ? rename(from, buffer_string(&to))
                  : link(from, buffer_string(&to))) < 0 &&
        errno != ENOENT)
        rc = unpacking_failed(why, buffer_string(&to), -errno);
    buffer_fini(&to);
    return rc;
}

/* is_moved: it must not be there any more. */
static const struct {
    const char *end, *name;
    bool is_history, is_moved;
} olds[] = {
    { "", "queue.db", false, false },
    { "-wal", "queue.db-wal", false, true },
    { "-shm", "queue.db-shm", false, true },
    { "", "history.db", true, false },
    { "-wal", "history.db-wal", true, true },
    { "-shm", "history.db-shm", true, true },
};

static int link_content(struct unpacking *u, const char *aside,
                        struct buffer *why)
{
    struct buffer from = { 0 }, to = { 0 };
    struct dirent *e;
    DIR *d;
    int rc = 0;

    buffer_printf(&from, "%s.content", u->path);
    buffer_printf(&to, "%s/queue.db.content", aside);
    d = opendir(buffer_string(&from));
    if (d && mkdir(buffer_string(&to), 0700) < 0)
        rc = unpacking_failed(why, buffer_string(&to), -errno);
    while (d && rc == 0 && (e = readdir(d))) {
        struct buffer path = { 0 };

        buffer_printf(&path, "%s/%s", buffer_string(&to), e->d_name);
        if (e->d_name[0] != '.' &&
            linkat(dirfd(d), e->d_name, AT_FDCWD, buffer_string(&path), 0) < 0)
            rc = unpacking_failed(why, buffer_string(&path), -errno);
        buffer_fini(&path);
    }
    if (d)
        (void)closedir(d);
    if (rc == 0 && d)
        rc = sync_path(buffer_string(&to));
    buffer_fini(&from);
    buffer_fini(&to);
    return rc;
}

/* Named after now; one of the same second has a number too. */
static int make_aside(const char *path, struct buffer *out_folder)
{
    time_t now = time(NULL);
    struct tm t = { 0 };
    char when[32];
    int tries = 1;

    (void)localtime_r(&now, &t);
    (void)strftime(when, sizeof(when), "%Y%m%d-%H%M%S", &t);
    do {
        buffer_clear(out_folder);
        buffer_printf(out_folder, "%s.before-restore-%s", path, when);
        if (tries > 1)
            buffer_printf(out_folder, "-%d", tries);
        if (mkdir(buffer_string(out_folder), 0700) == 0)
            return 0;
    } while (errno == EEXIST && tries++ < ASIDE_TRIES);
    return -errno;
}

int unpacking_put_aside(struct unpacking *u, struct buffer *out_folder,
                        struct buffer *out_why)
{
    int rc;

    if (access(u->path, F_OK) < 0)
        return 0;
    if ((rc = make_aside(u->path, out_folder)) < 0)
        return unpacking_failed(out_why, buffer_string(out_folder), rc);
    for (size_t i = 0; rc == 0 && i < sizeof(olds) / sizeof(olds[0]); i++) {
        struct buffer from = { 0 };

        if (olds[i].is_history)
            put_history(u->path, olds[i].end, &from);
        else
            buffer_printf(&from, "%s%s", u->path, olds[i].end);
        rc = link_aside(buffer_string(&from), buffer_string(out_folder),
                        olds[i].name, olds[i].is_moved, out_why);
        buffer_fini(&from);
    }
    if (rc == 0)
        rc = link_content(u, buffer_string(out_folder), out_why);
    if (rc == 0)
        rc = sync_path(buffer_string(out_folder));
    return rc < 0 ? unpacking_failed(out_why, buffer_string(out_folder), rc)
                  : 0;
}

/* ------------------------------------------------------------- in place -- */

static int move_content(struct unpacking *u, struct buffer *why)
{
    struct buffer from = { 0 }, to = { 0 };
    struct dirent *e;
    int rc = 0, to_fd;
    DIR *d;

    buffer_printf(&from, "%s/queue.db.content", buffer_string(&u->folder));
    buffer_printf(&to, "%s.content", u->path);
    if (mkdir(buffer_string(&to), 0700) < 0 && errno != EEXIST)
        rc = unpacking_failed(why, buffer_string(&to), -errno);
    d = opendir(buffer_string(&from));
    to_fd = open(buffer_string(&to), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (rc == 0 && (!d || to_fd < 0))
        rc = unpacking_failed(why, buffer_string(&from), -errno);
    while (d && rc == 0 && (e = readdir(d)))
        if (e->d_name[0] != '.' &&
            renameat(dirfd(d), e->d_name, to_fd, e->d_name) < 0)
            rc = unpacking_failed(why, buffer_string(&to), -errno);
    if (rc == 0 && fsync(to_fd) < 0)
        rc = unpacking_failed(why, buffer_string(&to), -errno);
    if (d)
        (void)closedir(d);
    if (to_fd >= 0)
        (void)close(to_fd);
    buffer_fini(&from);
    buffer_fini(&to);
    return rc;
}

static int move_history(struct unpacking *u, struct buffer *why)
{
    struct buffer from = { 0 }, to = { 0 };
    int rc = 0;

    buffer_printf(&from, "%s/history.db", buffer_string(&u->folder));
    put_history(u->path, "", &to);
    if (rename(buffer_string(&from), buffer_string(&to)) < 0 && errno != ENOENT)
        rc = unpacking_failed(why, buffer_string(&to), -errno);
    buffer_fini(&from);
    buffer_fini(&to);
    return rc;
}

int unpacking_put_in_place(struct unpacking *u, struct buffer *out_why)
{
    char *copy = span_dup(span_of(u->path));
    const char *folder = dirname(copy);
    int rc = move_content(u, out_why);

    if (rc == 0)
        rc = sync_path(buffer_string(&u->queue));
    if (rc == 0)
        rc = move_history(u, out_why);
    if (rc == 0)
        rc = sync_path(folder);
    if (rc == 0 && rename(buffer_string(&u->queue), u->path) < 0)
        rc = -errno;
    if (rc == 0)
        rc = sync_path(folder);
    free(copy);
    return rc < 0 ? unpacking_failed(out_why, u->path, rc) : 0;
}
