/*
 * unpacking_sweep - folders of ours that go: our own, and what those have left that were killed
 * while they only looked.
 */
#include "relay/main/unpacking_private.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

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

void unpacking_remove(const char *folder)
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
        struct span name = span_of(e->d_name), end = span_of(unpacking_end);

        if (!span_starts_nocase(name, buffer_span(&begin)) ||
            !span_ends_nocase(name, end))
            continue;
        name = span_skip(span_first(name, name.len - end.len), begin.len);
        buffer_clear(&path);
        buffer_printf(&path, "%s/%s", folder, e->d_name);
        if (is_left(buffer_string(&path), name))
            unpacking_remove(buffer_string(&path));
    }
    if (d)
        (void)closedir(d);
    buffer_fini(&begin);
    buffer_fini(&path);
    free(copy);
    free(other);
}
