/*
 * unpacking - the files of a backup, from the archive to where the queue is.
 *
 * Everything is made within the queue's own folder, so that it is moved by renaming. Files
 * are fsynced before they get their final names, and the folders after.
 */
#include "relay/main/unpacking_private.h"

#include "relay/main/archive.h"
#include "relay/main/droparchive.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

const char unpacking_end[] = ".restore";

void unpacking_init(struct unpacking *u, const char *path)
{
    *u = (struct unpacking){ .path = path, .fd = -1, .lock_fd = -1 };
    buffer_printf(&u->folder, "%s%s", path, unpacking_end);
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

int unpacking_failed(struct buffer *why, const char *path, int rc)
{
    if (why->len == 0)
        buffer_printf(why, "%s: %s", path, error_text(rc));
    return rc;
}

void unpacking_clean(struct unpacking *u)
{
    unpacking_remove(buffer_string(&u->folder));
}

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
        rc = unpacking_failed(u->why, buffer_string(&path), -errno);
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
            return unpacking_failed(u->why, "it cannot be unpacked",
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
    return rc < 0 ? unpacking_failed(u->why, "it cannot be unpacked", rc) : 0;
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
        rc = unpacking_failed(u->why, buffer_string(&path), -errno);
    buffer_fini(&path);
    buffer_fini(&target);
    return rc;
}

/* See unpacking_sweep. */
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
        rc = unpacking_failed(out_why, buffer_string(&content), -errno);
    } else {
        rc = archive_read(archive_fd, &events, u, out_why);
    }
    if (rc == 0 && access(buffer_string(&u->queue), F_OK) < 0) {
        buffer_put_string(out_why, "it is not a backup: it has no queue.db");
        rc = ERROR_DAMAGED;
    }
    buffer_fini(&content);
    return rc < 0 ? unpacking_failed(out_why, buffer_string(&u->folder), rc)
                  : 0;
}
