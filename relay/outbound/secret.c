/*
 * secret - bytes that must not be seen: in memory, and in their file.
 */
#include "relay/outbound/secret.h"

#include "policy/vocabulary/memory.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

void secret_wipe(struct buffer *b)
{
    if (b->at)
        explicit_bzero(b->at, b->size);
    buffer_fini(b);
    b->len = 0;
}

/* All room is taken before the bytes come: growing would leave copies behind. */
void secret_keep(struct buffer *b, struct span s)
{
    struct buffer fresh = { .cap = b->cap };

    if (s.len && buffer_room(&fresh, s.len))
        buffer_put(&fresh, s);
    secret_wipe(b);
    *b = fresh;
}

static int complain(struct buffer *why, const char *path, int rc,
                    const char *text)
{
    buffer_put_escaped(why, span_of(path));
    buffer_printf(why, ": %s", text ? text : error_text(rc));
    return rc;
}

/* At most `size` bytes; how many, or negative. */
static ssize_t read_up_to(int fd, char *at, size_t size)
{
    size_t len = 0;

    while (len < size) {
        ssize_t n = read(fd, at + len, size - len);

        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return -errno;
        if (n == 0)
            break;
        len += (size_t)n;
    }
    return (ssize_t)len;
}

static struct span first_line(const char *at, size_t len)
{
    struct span rest, line = span_split(span_make(at, len), '\n', &rest);

    if (line.len && line.at[line.len - 1] == '\r')
        line.len--;
    return line;
}

static int read_line(int fd, const char *path, struct buffer *out,
                     struct buffer *why)
{
    char *bytes = memory_take(SECRET_FILE_MOST + 1);
    ssize_t n = read_up_to(fd, bytes, SECRET_FILE_MOST + 1);
    struct span line = first_line(bytes, n > 0 ? (size_t)n : 0);
    int rc = 0;

    if (n < 0)
        rc = complain(why, path, (int)n, NULL);
    else if (n > SECRET_FILE_MOST)
        rc = complain(why, path, ERROR_TOO_BIG, "larger than 64 KB");
    else if (line.len == 0)
        rc = complain(why, path, ERROR_SYNTAX, "its first line is empty");
    else if (memchr(line.at, 0, line.len))
        rc = complain(why, path, ERROR_SYNTAX, "has a NUL in its first line");
    else
        secret_keep(out, line);
    explicit_bzero(bytes, SECRET_FILE_MOST + 1);
    free(bytes);
    return rc;
}

int secret_read(struct span path_span, struct buffer *out, bool *out_exposed,
                struct buffer *why)
{
    char *path = span_dup(path_span);
    /* a FIFO must not make us wait, nor a terminal become ours */
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    struct stat st;
    int rc;

    if (fd < 0 || fstat(fd, &st) < 0)
        rc = complain(why, path, -errno, NULL);
    else if (!S_ISREG(st.st_mode))
        rc = complain(why, path, -EINVAL, "not a regular file");
    else
        rc = read_line(fd, path, out, why);
    if (rc == 0 && fd >= 0)
        *out_exposed = (st.st_mode & (S_IRWXG | S_IRWXO)) != 0;
    if (fd >= 0)
        (void)close(fd);
    free(path);
    return rc;
}

static int write_all(int fd, struct span s)
{
    while (s.len) {
        ssize_t n = write(fd, s.at, s.len);

        if (n < 0 && errno != EINTR)
            return -errno;
        if (n > 0)
            s = span_skip(s, (size_t)n);
    }
    return 0;
}

/* The name in the folder lasts only when the folder is on disk, too. */
static int sync_folder(const char *path)
{
    size_t slash = span_find_last(span_of(path), '/');
    char *folder = span_dup(span_make(path, slash ? slash : 1));
    int fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    int rc = fd < 0 || fsync(fd) < 0 ? -errno : 0;

    if (fd >= 0)
        (void)close(fd);
    free(folder);
    return rc;
}

int secret_replace(struct span path_span, struct span secret)
{
    char *named = span_dup(path_span), *path = realpath(named, NULL);
    struct buffer temporary = { 0 };
    int fd = -1, rc = 0;

    if (!path) {
        rc = -errno;
        goto out;
    }
    buffer_printf(&temporary, "%s.XXXXXX", path);
    (void)buffer_string(&temporary);
    if ((fd = mkostemp(temporary.at, O_CLOEXEC)) < 0) { /* mode 0600 */
        rc = -errno;
        goto out;
    }
    if ((rc = write_all(fd, secret)) == 0 &&
        (rc = write_all(fd, SPAN("\n"))) == 0 &&
        (fsync(fd) < 0 || rename(temporary.at, path) < 0))
        rc = -errno;
    if (rc < 0)
        (void)unlink(temporary.at);
    else
        rc = sync_folder(path);
out:
    if (fd >= 0)
        (void)close(fd);
    buffer_fini(&temporary);
    free(named);
    free(path);
    return rc;
}
