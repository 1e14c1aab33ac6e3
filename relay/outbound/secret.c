/*
 * secret - bytes that must not be seen: in memory, and in their file.
 */
#include "relay/outbound/secret.h"

#include "relay/net/secretfile.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
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

static struct span first_line(const struct secretfile *f)
{
    struct span all = span_make(f->bytes, f->len), rest;
    struct span line = span_split(all, '\n', &rest);

    if (line.len && line.at[line.len - 1] == '\r')
        line.len--;
    return line;
}

static int take_line(struct span line, const char *path, struct buffer *out,
                     struct buffer *why)
{
    if (line.len == 0)
        return secretfile_complain(why, path, ERROR_SYNTAX,
                                   "its first line is empty");
    if (memchr(line.at, 0, line.len))
        return secretfile_complain(why, path, ERROR_SYNTAX,
                                   "has a NUL in its first line");
    secret_keep(out, line);
    return 0;
}

int secret_read(struct span path_span, struct buffer *out, bool *out_exposed,
                struct buffer *why)
{
    char *path = span_dup(path_span);
    struct secretfile f = { 0 };
    int rc = secretfile_read(path, SECRET_FILE_MOST, &f, why);

    if (rc == 0)
        rc = take_line(first_line(&f), path, out, why);
    if (rc == 0)
        *out_exposed = secretfile_is_exposed(&f);
    secretfile_fini(&f);
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
