/*
 * unpacking - the files of a backup, from the archive to where the queue is.
 *
 * Everything is made within the queue's own folder, so that it is moved by renaming. Files
 * are fsynced before they get their final names, and the folders after.
 *
 * An old WAL must never meet the new queue.db, which SQLite would apply it to: the caller has
 * brought it into the old database, and what is left of it (the old database was damaged) is
 * put aside before anything is renamed.
 */
#include "relay/main/unpacking.h"

#include "relay/main/archive.h"
#include "relay/main/droparchive.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum { ASIDE_TRIES = 100 };

static const char restore_end[] = ".restore";

void unpacking_init(struct unpacking *u, const char *path)
{
    *u = (struct unpacking){ .path = path, .fd = -1, .lock_fd = -1 };
    buffer_printf(&u->folder, "%s%s", path, restore_end);
    buffer_printf(&u->queue, "%s/queue.db", buffer_string(&u->folder));
    buffer_printf(&u->drop, "%s/drop", buffer_string(&u->folder));
}

void unpacking_fini(struct unpacking *u)
{
    if (u->fd >= 0)
        (void)close(u->fd);
    if (u->lock_fd >= 0)
        (void)close(u->lock_fd);
    buffer_fini(&u->folder);
    buffer_fini(&u->queue);
    buffer_fini(&u->drop);
}

const char *unpacking_queue(struct unpacking *u)
{
    return buffer_string(&u->queue);
}

static int failed(struct buffer *why, const char *path, int rc)
{
    if (why->len == 0)
        buffer_printf(why, "%s: %s", path, error_text(rc));
    return rc;
}

static int sync_path(const char *path)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    int rc = fd < 0 || fsync(fd) < 0 ? -errno : 0;

    if (fd >= 0)
        (void)close(fd);
    return rc;
}

/* ------------------------------------------------------------- cleaning -- */

/* One level of files; there are only three folders of ours. */
static void empty_folder(const char *path)
{
    DIR *d = opendir(path);
    struct dirent *e;

    while (d && (e = readdir(d)))
        if (strcmp(e->d_name, ".") != 0 && strcmp(e->d_name, "..") != 0)
            (void)unlinkat(dirfd(d), e->d_name, 0);
    if (d)
        (void)closedir(d);
}

static void remove_folder(const char *path)
{
    empty_folder(path);
    (void)rmdir(path);
}

static void remove_all(const char *folder)
{
    struct buffer inner = { 0 };

    buffer_printf(&inner, "%s/queue.db.content", folder);
    remove_folder(buffer_string(&inner));
    buffer_clear(&inner);
    buffer_printf(&inner, "%s/drop", folder);
    remove_folder(buffer_string(&inner));
    remove_folder(folder);
    buffer_fini(&inner);
}

void unpacking_clean(struct unpacking *u)
{
    remove_all(buffer_string(&u->folder));
}

/* ------------------------------------------------------ those only looked -- */

void unpacking_check_path(struct span queue, struct buffer *out)
{
    buffer_put(out, queue);
    buffer_printf(out, ".check-%ld", (long)getpid());
}

/* Of one that has ended? Who still looks holds its lock; before it has it, it is alive. */
static bool is_left(const char *path, struct span pid)
{
    uint64_t n;
    int fd;
    bool yes;

    if (!span_number(pid, &n) || n == 0 || n > INT32_MAX ||
        kill((pid_t)n, 0) == 0 || errno != ESRCH)
        return false;
    fd = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    yes = fd >= 0 && flock(fd, LOCK_EX | LOCK_NB) == 0;
    if (fd >= 0)
        (void)close(fd);
    return yes;
}

void unpacking_sweep(const char *queue)
{
    char *copy = span_dup(span_of(queue)), *other = span_dup(span_of(queue));
    const char *folder = dirname(copy);
    struct buffer begin = { 0 }, path = { 0 };
    DIR *d = opendir(folder);
    const struct dirent *e;

    buffer_printf(&begin, "%s.check-", basename(other));
    while (d && (e = readdir(d))) {
        struct span name = span_of(e->d_name), end = span_of(restore_end);

        if (!span_starts_nocase(name, buffer_span(&begin)) ||
            !span_ends_nocase(name, end))
            continue;
        name = span_skip(span_first(name, name.len - end.len), begin.len);
        buffer_clear(&path);
        buffer_printf(&path, "%s/%s", folder, e->d_name);
        if (is_left(buffer_string(&path), name))
            remove_all(buffer_string(&path));
    }
    if (d)
        (void)closedir(d);
    buffer_fini(&begin);
    buffer_fini(&path);
    free(copy);
    free(other);
}

/* ------------------------------------------------------------ unpacking -- */

static void put_path(struct unpacking *u, struct span name, struct buffer *out)
{
    buffer_put(out, buffer_span(&u->folder));
    buffer_put_byte(out, '/');
    buffer_put(out, name);
}

/* The file of a large message. */
static bool is_content(struct span name)
{
    static const struct span folder = SPAN_INIT("queue.db.content/");

    return span_is(span_first(name, folder.len), folder) &&
           span_find(span_skip(name, folder.len), '/') == name.len - folder.len;
}

static bool is_ours(struct span name)
{
    return is_content(name) || droparchive_is_name(name) ||
           span_is(name, SPAN("queue.db")) ||
           span_is(name, SPAN("history.db")) ||
           span_is(name, SPAN("backup.json"));
}

static int begin_file(void *user, struct span name, uint64_t size)
{
    struct unpacking *u = user;
    struct buffer path = { 0 };
    int rc = 0;

    (void)size;
    u->drop_count += droparchive_is_name(name);
    if (!is_ours(name)) {
        buffer_put_string(u->why, "it is not a backup: it holds ");
        buffer_put_escaped(u->why, name);
        return ERROR_DAMAGED;
    }
    put_path(u, name, &path);
    u->fd = open(buffer_string(&path),
                 O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (u->fd < 0)
        rc = failed(u->why, buffer_string(&path), -errno);
    buffer_fini(&path);
    return rc;
}

static int take_bytes(void *user, struct span bytes)
{
    struct unpacking *u = user;

    while (bytes.len) {
        ssize_t n = write(u->fd, bytes.at, bytes.len);

        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return failed(u->why, "it cannot be unpacked",
                          n < 0 ? -errno : -EIO);
        bytes = span_skip(bytes, (size_t)n);
    }
    return 0;
}

static int end_file(void *user)
{
    struct unpacking *u = user;
    int rc = fsync(u->fd) < 0 ? -errno : 0;

    (void)close(u->fd);
    u->fd = -1;
    return rc < 0 ? failed(u->why, "it cannot be unpacked", rc) : 0;
}

static int make_link(void *user, struct span name, struct span to)
{
    struct unpacking *u = user;
    struct buffer path = { 0 }, target = { 0 };
    int rc = 0;

    if (!is_content(name) || !is_content(to)) {
        buffer_put_string(u->why, "it is not a backup: it links elsewhere");
        return ERROR_DAMAGED;
    }
    put_path(u, name, &path);
    put_path(u, to, &target);
    if (link(buffer_string(&target), buffer_string(&path)) < 0)
        rc = failed(u->why, buffer_string(&path), -errno);
    buffer_fini(&path);
    buffer_fini(&target);
    return rc;
}

/* See is_left. */
static int lock_folder(struct unpacking *u)
{
    u->lock_fd = open(buffer_string(&u->folder),
                      O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    return u->lock_fd < 0 ? -1 : flock(u->lock_fd, LOCK_EX | LOCK_NB);
}

int unpacking_run(struct unpacking *u, int archive_fd, struct buffer *out_why)
{
    static const struct archive_events events = { begin_file, take_bytes,
                                                  end_file, make_link };
    struct buffer content = { 0 };
    int rc;

    u->why = out_why;
    unpacking_clean(u); /* of one that was killed */
    buffer_printf(&content, "%s/queue.db.content", buffer_string(&u->folder));
    if (mkdir(buffer_string(&u->folder), 0700) < 0 || lock_folder(u) < 0 ||
        mkdir(buffer_string(&content), 0700) < 0 ||
        mkdir(buffer_string(&u->drop), 0700) < 0) {
        rc = failed(out_why, buffer_string(&content), -errno);
    } else {
        rc = archive_read(archive_fd, &events, u, out_why);
    }
    if (rc == 0 && access(buffer_string(&u->queue), F_OK) < 0) {
        buffer_put_string(out_why, "it is not a backup: it has no queue.db");
        rc = ERROR_DAMAGED;
    }
    buffer_fini(&content);
    return rc < 0 ? failed(out_why, buffer_string(&u->folder), rc) : 0;
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
        rc = failed(why, buffer_string(&to), -errno);
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
        rc = failed(why, buffer_string(&to), -errno);
    while (d && rc == 0 && (e = readdir(d))) {
        struct buffer path = { 0 };

        buffer_printf(&path, "%s/%s", buffer_string(&to), e->d_name);
        if (e->d_name[0] != '.' &&
            linkat(dirfd(d), e->d_name, AT_FDCWD, buffer_string(&path), 0) < 0)
            rc = failed(why, buffer_string(&path), -errno);
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
        return failed(out_why, buffer_string(out_folder), rc);
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
    return rc < 0 ? failed(out_why, buffer_string(out_folder), rc) : 0;
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
        rc = failed(why, buffer_string(&to), -errno);
    d = opendir(buffer_string(&from));
    to_fd = open(buffer_string(&to), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (rc == 0 && (!d || to_fd < 0))
        rc = failed(why, buffer_string(&from), -errno);
    while (d && rc == 0 && (e = readdir(d)))
        if (e->d_name[0] != '.' &&
            renameat(dirfd(d), e->d_name, to_fd, e->d_name) < 0)
            rc = failed(why, buffer_string(&to), -errno);
    if (rc == 0 && fsync(to_fd) < 0)
        rc = failed(why, buffer_string(&to), -errno);
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
        rc = failed(why, buffer_string(&to), -errno);
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
    return rc < 0 ? failed(out_why, u->path, rc) : 0;
}
