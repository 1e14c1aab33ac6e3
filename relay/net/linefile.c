/*
 * linefile - one line of a file of KEY:REST lines, replaced, added or taken out.
 *
 * Two that change at once wait for each other at the folder's lock.
 */
#include "relay/net/linefile.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <openssl/crypto.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

enum { FILE_MOST = 64 * 1024 * 1024 };

/* A change under way. */
struct edit {
    char path[PATH_MAX], fresh[PATH_MAX + 16], folder[PATH_MAX];
    int folder_fd, fd; /* -1: none */
    bool is_new;
    const char *heir; /* whose owner gets a new file; NULL: as it is */
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

static void put_line(struct buffer *b, struct span key, struct span rest)
{
    buffer_put(b, key);
    buffer_put_byte(b, ':');
    buffer_put(b, rest);
    buffer_put_byte(b, '\n');
}

static enum linefile_changed rewrite(struct edit *e, struct span key,
                                     const struct span *rest)
{
    struct span left = buffer_span(&e->before), line, after;
    enum linefile_changed said = rest ? LINEFILE_ADDED : LINEFILE_ABSENT;

    /* Room for all of it at once, so that no copy of a secret is left behind. */
    (void)buffer_room(&e->after,
                      left.len + key.len + (rest ? rest->len : 0) + 3);
    while (left.len) {
        line = span_split(left, '\n', &left);
        if (!span_is(span_split(line, ':', &after), key) || !after.at) {
            buffer_put(&e->after, line);
            buffer_put_byte(&e->after, '\n');
            continue;
        }
        said = rest ? LINEFILE_REPLACED : LINEFILE_REMOVED;
        if (rest)
            put_line(&e->after, key, *rest);
    }
    if (said == LINEFILE_ADDED)
        put_line(&e->after, key, *rest);
    return said;
}

/* As the old one was, or, where that is wanted and may be done, the heir's. */
static int take_owner(struct edit *e)
{
    struct stat folder;

    if (!e->is_new)
        return fchown(e->fd, e->old.st_uid, e->old.st_gid) < 0 ||
                       fchmod(e->fd, e->old.st_mode & 07777) < 0
                   ? -errno
                   : 0;
    if (!e->heir || geteuid() != 0)
        return 0;
    return stat(e->heir, &folder) < 0 ||
                   fchown(e->fd, folder.st_uid, folder.st_gid) < 0
               ? -errno
               : 0;
}

static void wipe(struct buffer *b)
{
    if (b->at)
        OPENSSL_cleanse(b->at, b->size);
    buffer_fini(b);
}

static int write_after(struct edit *e)
{
    struct span s = buffer_span(&e->after);
    int rc;

    e->fd = mkostemp(e->fresh, O_CLOEXEC);
    if (e->fd < 0)
        return -errno;
    if ((rc = take_owner(e)) < 0)
        return rc;
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

static int change(const char *path, const char *heir, struct span key,
                  const struct span *rest, struct buffer *out_why)
{
    struct edit e = { .folder_fd = -1, .fd = -1, .heir = heir };
    enum linefile_changed said = LINEFILE_ABSENT;
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
        said = rewrite(&e, key, rest);
    if (rc == 0 && said != LINEFILE_ABSENT)
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
    wipe(&e.before);
    wipe(&e.after);
    return rc < 0 ? rc : (int)said;
}

int linefile_change(const char *path, struct span key, const struct span *rest,
                    struct buffer *out_why)
{
    return change(path, NULL, key, rest, out_why);
}

int linefile_change_for(const char *heir, const char *path, struct span key,
                        const struct span *rest, struct buffer *out_why)
{
    return change(path, heir, key, rest, out_why);
}
