/*
 * logfile - a log that is a file.
 */
#include "relay/net/logfile.h"

#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <unistd.h>

enum { FILE_MODE = 0640 };

static char *path_now; /* main thread; NULL: none was opened */
static atomic_int fd_now = -1;
static atomic_ullong lost;
static atomic_int lost_rc;
static atomic_bool is_torn; /* a line has no end yet */

/* What is given takes the place of what was open, under the same number. */
static int install(int take_fd)
{
    int fd = atomic_load(&fd_now);
    int rc = 0;

    if (fd < 0) {
        atomic_store(&fd_now, take_fd);
        return 0;
    }
    if (dup3(take_fd, fd, O_CLOEXEC) < 0)
        rc = -errno;
    (void)close(take_fd);
    return rc;
}

static int open_at(const char *path)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NOCTTY,
                  FILE_MODE);

    return fd < 0 ? -errno : install(fd);
}

int logfile_open(struct span path)
{
    char *copy = span_dup(path);
    int rc = open_at(copy);

    if (rc < 0) {
        free(copy);
        return rc;
    }
    free(path_now);
    path_now = copy;
    return 0;
}

int logfile_reopen(void)
{
    return path_now ? open_at(path_now) : -ENOENT;
}

static void count_lost(const char *lines, size_t len, int rc)
{
    uint64_t n = 0;

    for (size_t i = 0; i < len; i++)
        n += lines[i] == '\n';
    atomic_fetch_add(&lost, n);
    atomic_store(&lost_rc, rc);
}

bool logfile_write(const char *lines, size_t len)
{
    int fd = atomic_load(&fd_now);
    size_t sent = 0;

    if (atomic_exchange(&is_torn, false) && write(fd, "\n", 1) < 0)
        atomic_store(&is_torn, true);
    while (sent < len) {
        ssize_t n = write(fd, lines + sent, len - sent);

        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0) {
            count_lost(lines + sent, len - sent, n < 0 ? -errno : -EIO);
            if (sent > 0 && lines[sent - 1] != '\n')
                atomic_store(&is_torn, true);
            return false;
        }
        sent += (size_t)n;
    }
    return true;
}

uint64_t logfile_take_lost(int *out_rc)
{
    *out_rc = atomic_load(&lost_rc);
    return atomic_exchange(&lost, 0);
}

void logfile_put_lost(uint64_t count)
{
    atomic_fetch_add(&lost, count);
}
