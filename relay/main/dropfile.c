/*
 * dropfile - a message left in the drop folder, for the relay to find.
 *
 * Whoever may not list the folder cannot open it for fsync either; then the whole file system
 * is synced, which is slow and seldom.
 */
#include "relay/main/dropfile.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

enum { RANDOM = 32 }; /* hexadecimal digits */

struct random_name {
    char at[RANDOM + 1];
};

static int make_name(struct random_name *out)
{
    unsigned char bytes[RANDOM / 2];

    if (getrandom(bytes, sizeof bytes, 0) != (ssize_t)sizeof bytes)
        return -errno;
    for (size_t i = 0; i < sizeof bytes; i++)
        (void)snprintf(out->at + 2 * i, 3, "%02x", bytes[i]);
    return 0;
}

struct dropfile_job_name dropfile_job_print(const struct dropfile_job *j)
{
    struct dropfile_job_name name;

    (void)snprintf(name.at, sizeof name.at, "%s-%s-%s.%u", id_print(j->mail).at,
                   id_print(j->report).at, id_print(j->rest).at, j->uid);
    return name;
}

bool dropfile_job_parse(struct span name, struct dropfile_job *out)
{
    struct span rest, mail = span_split(name, '-', &rest);
    struct span report = span_split(rest, '-', &rest);
    struct span last = span_split(rest, '.', &rest);
    uint64_t uid;

    if (name.len >= DROPFILE_JOB_MOST || !id_parse(mail, &out->mail) ||
        !id_parse(report, &out->report) || !id_parse(last, &out->rest) ||
        !span_number(rest, &uid) || uid > UINT32_MAX)
        return false;
    out->uid = (uint32_t)uid;
    return true;
}

static int write_all(int fd, struct span bytes)
{
    while (bytes.len) {
        ssize_t n = write(fd, bytes.at, bytes.len);

        if (n < 0 && errno != EINTR)
            return -errno;
        if (n > 0)
            bytes = span_skip(bytes, (size_t)n);
    }
    return 0;
}

static int sync_name(const char *folder, int fd)
{
    int dir = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    int rc = 0;

    if (dir < 0)
        return syncfs(fd) < 0 ? -errno : 0;
    if (fsync(dir) < 0)
        rc = -errno;
    (void)close(dir);
    return rc;
}

static int write_and_name(int fd, const char *folder, const char *temporary,
                          const char *final, struct span bytes)
{
    int rc = write_all(fd, bytes);

    if (rc < 0)
        return rc;
    /* the relay may be another user; nobody else can find it */
    if (fchmod(fd, 0644) < 0 || fsync(fd) < 0 || rename(temporary, final) < 0)
        return -errno;
    return sync_name(folder, fd);
}

int dropfile_leave(const char *folder, struct span bytes)
{
    char name[sizeof "new." + RANDOM] = "new.";
    struct random_name random;
    int rc = make_name(&random);

    if (rc < 0)
        return rc;
    memcpy(name + sizeof "new." - 1, random.at, sizeof random.at);
    return dropfile_leave_as(folder, name, bytes);
}

int dropfile_leave_as(const char *folder, const char *name, struct span bytes)
{
    struct buffer temporary = { 0 }, final = { 0 };
    struct random_name random;
    int fd, rc = make_name(&random);

    if (rc < 0)
        return rc;
    buffer_printf(&temporary, "%s/tmp.%s", folder, random.at);
    buffer_printf(&final, "%s/%s", folder, name);
    fd = open(buffer_string(&temporary),
              O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (fd < 0) {
        rc = -errno;
    } else {
        rc = write_and_name(fd, folder, buffer_string(&temporary),
                            buffer_string(&final), bytes);
        if (rc < 0)
            (void)unlink(buffer_string(&temporary));
        (void)close(fd);
    }
    buffer_fini(&temporary);
    buffer_fini(&final);
    return rc;
}
