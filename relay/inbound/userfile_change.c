/*
 * userfile_change - one line of a users file, replaced, added or taken out.
 *
 * Two that change at once wait for each other at the folder's lock.
 */
#include "relay/inbound/userfile_change.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <unistd.h>

enum { FILE_MOST = 64 * 1024 * 1024 };

/* A change under way. */
struct edit {
    char path[PATH_MAX], fresh[PATH_MAX + 16], folder[PATH_MAX];
    int folder_fd, fd; /* -1: none */
    bool is_new;
    struct stat old;
    struct buffer before, after;
};

/* Through links: it is the file that is replaced, not the link to it. */
static int name_files(struct edit *e, const char *path)
{
    char *slash;

    if (!realpath(path, e->path)) {
        if (errno != ENOENT)
            return -errno;
        if (strlen(path) >= sizeof e->path)
            return -ENAMETOOLONG;
        (void)snprintf(e->path, sizeof e->path, "%s", path);
    }
    (void)snprintf(e->fresh, sizeof e->fresh, "%s.XXXXXX", e->path);
    (void)snprintf(e->folder, sizeof e->folder, "%s", e->path);
    slash = strrchr(e->folder, '/');
    if (!slash)
        (void)snprintf(e->folder, sizeof e->folder, ".");
    else
        slash[slash == e->folder] = '\0';
    return 0;
}

static int read_before(struct edit *e)
{
    int fd = open(e->path, O_RDONLY | O_CLOEXEC), rc = 0;
    char *room;
    ssize_t n;

    if (fd < 0) {
        e->is_new = errno == ENOENT;
        return e->is_new ? 0 : -errno;
    }
    if (fstat(fd, &e->old) < 0)
        rc = -errno;
    else if (!S_ISREG(e->old.st_mode))
        rc = -EINVAL;
    else if (e->old.st_size > FILE_MOST)
        rc = ERROR_TOO_BIG;
    room = rc == 0 ? buffer_room(&e->before, (size_t)e->old.st_size) : NULL;
    while (room && e->before.len < (size_t)e->old.st_size) {
        n = read(fd, room, (size_t)e->old.st_size - e->before.len);
        if (n <= 0) {
            rc = n < 0 ? -errno : -EAGAIN;
            break;
        }
        buffer_grew(&e->before, (size_t)n);
        room += n;
    }
    (void)close(fd);
    return rc;
}

static void put_line(struct buffer *b, struct span login, struct span rest)
{
    buffer_put(b, login);
    buffer_put_byte(b, ':');
    buffer_put(b, rest);
    buffer_put_byte(b, '\n');
}

static enum userfile_changed rewrite(struct edit *e, struct span login,
                                     const struct span *rest)
{
    struct span left = buffer_span(&e->before), line, after;
    enum userfile_changed said = rest ? USERFILE_ADDED : USERFILE_ABSENT;

    /* Room for all of it at once, so that no copy of a secret is left behind. */
    (void)buffer_room(&e->after,
                      left.len + login.len + (rest ? rest->len : 0) + 3);
    while (left.len) {
        line = span_split(left, '\n', &left);
        if (!span_is(span_split(line, ':', &after), login) || !after.at) {
            buffer_put(&e->after, line);
            buffer_put_byte(&e->after, '\n');
            continue;
        }
        said = rest ? USERFILE_REPLACED : USERFILE_REMOVED;
        if (rest)
            put_line(&e->after, login, *rest);
    }
    if (said == USERFILE_ADDED)
        put_line(&e->after, login, *rest);
    return said;
}

static int write_after(struct edit *e)
{
    struct span s = buffer_span(&e->after);

    e->fd = mkostemp(e->fresh, O_CLOEXEC);
    if (e->fd < 0)
        return -errno;
    if (!e->is_new && (fchown(e->fd, e->old.st_uid, e->old.st_gid) < 0 ||
                       fchmod(e->fd, e->old.st_mode & 07777) < 0))
        return -errno;
    while (s.len) {
        ssize_t n = write(e->fd, s.at, s.len);

        if (n < 0 && errno != EINTR)
            return -errno;
        if (n > 0)
            s = span_skip(s, (size_t)n);
    }
    if (fsync(e->fd) < 0 || rename(e->fresh, e->path) < 0)
        return -errno;
    *e->fresh = '\0';
    return fsync(e->folder_fd) < 0 ? -errno : 0;
}

int userfile_change(const char *path, struct span login,
                    const struct span *rest, struct buffer *out_why)
{
    struct edit e = { .folder_fd = -1, .fd = -1 };
    enum userfile_changed said = USERFILE_ABSENT;
    int rc = name_files(&e, path);

    if (rc < 0) {
        *e.fresh = '\0';
        goto done;
    }
    e.folder_fd = open(e.folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (e.folder_fd < 0 || flock(e.folder_fd, LOCK_EX) < 0)
        rc = -errno;
    if (rc == 0)
        rc = read_before(&e);
    if (rc == 0)
        said = rewrite(&e, login, rest);
    if (rc == 0 && said != USERFILE_ABSENT)
        rc = write_after(&e);
done:
    if (rc < 0)
        buffer_printf(out_why, "%s: %s", path, error_text(rc));
    if (e.fd >= 0) {
        (void)close(e.fd);
        if (*e.fresh)
            (void)unlink(e.fresh);
    }
    if (e.folder_fd >= 0)
        (void)close(e.folder_fd);
    password_forget_buffer(&e.before);
    password_forget_buffer(&e.after);
    return rc < 0 ? rc : (int)said;
}
