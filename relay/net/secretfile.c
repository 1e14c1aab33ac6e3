/*
 * secretfile - a small file that holds secrets, read whole.
 */
#include "relay/net/secretfile.h"

#include "policy/vocabulary/memory.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

enum { SIZELESS_MOST = 64 * 1024 }; /* of files that do not tell their size */

int secretfile_complain(struct buffer *why, const char *path, int rc,
                        const char *text)
{
    buffer_put_escaped(why, span_of(path));
    buffer_printf(why, ": %s", text ? text : error_text(rc));
    return rc;
}

static int complain_of_size(struct buffer *why, const char *path, size_t most)
{
    buffer_put_escaped(why, span_of(path));
    buffer_printf(why, ": larger than %zu KB", most / 1024);
    return ERROR_TOO_BIG;
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

/* All room is taken before the bytes come: growing would leave copies behind. */
static int read_whole(int fd, const char *path, size_t most,
                      struct secretfile *f, struct buffer *why)
{
    size_t room = f->stat.st_size ? (size_t)f->stat.st_size : SIZELESS_MOST;
    ssize_t n;

    if (room > most && f->stat.st_size)
        return complain_of_size(why, path, most);
    room = room < most ? room : most;
    f->bytes = memory_take(room + 1);
    n = read_up_to(fd, f->bytes, room + 1);
    f->len = n > 0 ? (size_t)n : 0;
    if (n < 0)
        return secretfile_complain(why, path, (int)n, NULL);
    if (f->len > most)
        return complain_of_size(why, path, most);
    if (f->len > room) /* it is being changed */
        return secretfile_complain(why, path, -EAGAIN, NULL);
    f->bytes[f->len] = 0;
    return 0;
}

int secretfile_read(const char *path, size_t most, struct secretfile *out,
                    struct buffer *why)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY), rc;
    struct secretfile f = { 0 };

    if (fd < 0 || fstat(fd, &f.stat) < 0)
        rc = secretfile_complain(why, path, -errno, NULL);
    else if (!S_ISREG(f.stat.st_mode))
        rc = secretfile_complain(why, path, -EINVAL, "not a regular file");
    else
        rc = read_whole(fd, path, most, &f, why);
    if (fd >= 0)
        (void)close(fd);
    if (rc < 0)
        secretfile_fini(&f);
    else
        *out = f;
    return rc;
}

bool secretfile_is_exposed(const struct secretfile *f)
{
    return (f->stat.st_mode & (S_IRWXG | S_IRWXO)) != 0;
}

void secretfile_fini(struct secretfile *f)
{
    if (f->bytes)
        explicit_bzero(f->bytes, f->len);
    free(f->bytes);
    *f = (struct secretfile){ 0 };
}
