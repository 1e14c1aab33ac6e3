/*
 * droparchive - mail of the drop folder, into a backup and out of it.
 *
 * What nobody has begun with gets its ids here, so that a backup that is restored twice into one
 * place is imported once. Where the old drop folder is still there, a message of it is known
 * again by its owner, its time to the nanosecond, and its bytes.
 */
#include "relay/main/droparchive.h"

#include "policy/vocabulary/memory.h"
#include "relay/main/configuration.h"
#include "relay/main/dropfile.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum {
    READ_BYTES = 128 * 1024,
    LOOKS = 60, /* until the relay has begun with all */
    LOOK_NS = 50 * 1000 * 1000,
};

#define FILE_MOST ((off_t)1 << 31) /* of one that may be in a backup */

void droparchive_init(struct droparchive *d, struct archive *a,
                      const char *folder)
{
    *d = (struct droparchive){ .archive = a, .folder = folder };
}

void droparchive_fini(struct droparchive *d)
{
    buffer_fini(&d->taken);
}

static int64_t time_ns(const struct stat *st)
{
    int64_t most = INT64_MAX / 1000000000 - 1, at = st->st_mtim.tv_sec;

    return (at < 0      ? 0
            : at > most ? most
                        : at) *
               1000000000 +
           st->st_mtim.tv_nsec;
}

/* ------------------------------------------------------------- folders ---- */

static DIR *open_folder(const char *path)
{
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    DIR *d = fd < 0 ? NULL : fdopendir(fd);

    if (!d && fd >= 0)
        (void)close(fd);
    return d;
}

/* A message that somebody has left; -1: it is gone, or was none. */
static int open_one(DIR *folder, const char *name, struct stat *out)
{
    int fd = openat(dirfd(folder), name,
                    O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);

    if (fd >= 0 && (fstat(fd, out) < 0 || !S_ISREG(out->st_mode) ||
                    out->st_nlink != 1 || out->st_size > FILE_MOST)) {
        (void)close(fd);
        fd = -1;
    }
    return fd;
}

static bool is_new(const char *name)
{
    return strncmp(name, "new.", 4) == 0;
}

static char *jobs_of(const char *folder)
{
    struct buffer path = { 0 };
    char *copy;

    buffer_printf(&path, "%s/jobs", folder);
    copy = span_dup(buffer_span(&path));
    buffer_fini(&path);
    return copy;
}

/* -------------------------------------------------------------- backup ---- */

static int put_bytes(struct archive *a, int fd, off_t size)
{
    char *bytes = memory_take(READ_BYTES);
    off_t at = 0;
    int rc = 0;

    while (rc == 0 && at < size) {
        size_t want = size - at < READ_BYTES ? (size_t)(size - at) : READ_BYTES;
        ssize_t n = pread(fd, bytes, want, at);

        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            rc = n < 0 ? -errno : ERROR_DAMAGED;
        else
            rc = archive_put(a, span_make(bytes, (size_t)n));
        at += n;
    }
    free(bytes);
    return rc;
}

static int put_file(struct droparchive *d, int fd, const struct stat *st,
                    struct span job)
{
    struct buffer name = { 0 };
    int rc;

    buffer_put_string(&name, DROPARCHIVE_FOLDER);
    buffer_put(&name, job);
    buffer_printf(&name, "@%lld", (long long)time_ns(st));
    rc = archive_begin(d->archive, buffer_span(&name), (uint64_t)st->st_size);
    if (rc == 0)
        rc = put_bytes(d->archive, fd, st->st_size);
    if (rc == 0)
        rc = archive_end(d->archive);
    buffer_fini(&name);
    buffer_put(&d->taken, job);
    buffer_put_byte(&d->taken, '\n');
    d->count++;
    return rc;
}

static bool is_taken(struct droparchive *d, struct span job)
{
    struct span all = buffer_span(&d->taken);

    while (all.len)
        if (span_is(span_split(all, '\n', &all), job))
            return true;
    return false;
}

static uint64_t new_id(struct droparchive *d)
{
    struct timespec t;

    (void)clock_gettime(CLOCK_REALTIME, &t);
    d->last_id =
        id_next(d->last_id, t.tv_sec * (int64_t)1000000 + t.tv_nsec / 1000);
    return d->last_id;
}

/* The name that the importer would give it. */
static struct dropfile_job_name name_new(struct droparchive *d, uid_t uid)
{
    struct dropfile_job job = { .uid = uid };

    job.mail = new_id(d);
    job.report = new_id(d);
    job.rest = new_id(d);
    return dropfile_job_print(&job);
}

static int put_each(struct droparchive *d, DIR *folder, bool are_jobs)
{
    const struct dirent *e;
    int rc = 0;

    while (rc == 0 && (e = readdir(folder))) {
        struct dropfile_job job;
        struct dropfile_job_name name = { "" };
        struct stat st;
        int fd;

        if (are_jobs ? !dropfile_job_parse(span_of(e->d_name), &job) ||
                           is_taken(d, span_of(e->d_name))
                     : !is_new(e->d_name))
            continue;
        if ((fd = open_one(folder, e->d_name, &st)) < 0)
            continue;
        if (!are_jobs)
            name = name_new(d, st.st_uid);
        rc = put_file(d, fd, &st, span_of(are_jobs ? e->d_name : name.at));
        (void)close(fd);
    }
    return rc;
}

static int put_folder(struct droparchive *d, const char *path, bool are_jobs)
{
    DIR *folder = open_folder(path);
    int rc = 0;

    if (folder)
        rc = put_each(d, folder, are_jobs);
    else if (errno != ENOENT)
        d->error = -errno;
    if (folder)
        (void)closedir(folder);
    return rc;
}

static int put_jobs(struct droparchive *d)
{
    char *path = jobs_of(d->folder);
    int rc = put_folder(d, path, true);

    free(path);
    return rc;
}

static bool has_new(const char *path)
{
    DIR *folder = open_folder(path);
    const struct dirent *e;
    bool yes = false;

    while (folder && !yes && (e = readdir(folder)))
        yes = is_new(e->d_name);
    if (folder)
        (void)closedir(folder);
    return yes;
}

int droparchive_before(struct droparchive *d, bool is_running)
{
    for (int i = 0; is_running && i < LOOKS && has_new(d->folder); i++)
        (void)nanosleep(&(struct timespec){ 0, LOOK_NS }, NULL);
    return put_jobs(d);
}

int droparchive_after(struct droparchive *d)
{
    int rc = put_folder(d, d->folder, false);

    return rc < 0 ? rc : put_jobs(d);
}

/* ------------------------------------------------------------- restore ---- */

static bool read_name(struct span name, struct dropfile_job *out,
                      int64_t *out_ns)
{
    struct span digits, job = span_split(name, '@', &digits);
    uint64_t ns;

    if (!dropfile_job_parse(job, out) || !span_number(digits, &ns) ||
        ns > INT64_MAX)
        return false;
    *out_ns = (int64_t)ns;
    return true;
}

bool droparchive_is_name(struct span name)
{
    static const struct span folder = SPAN_INIT(DROPARCHIVE_FOLDER);
    struct dropfile_job job;
    int64_t ns;

    return span_is(span_first(name, folder.len), folder) &&
           read_name(span_skip(name, folder.len), &job, &ns);
}

static int read_whole(int fd, off_t size, struct buffer *out)
{
    while ((off_t)out->len < size) {
        char *room = buffer_room(out, READ_BYTES);
        ssize_t n = room ? read(fd, room, READ_BYTES) : 0;

        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return n < 0 ? -errno : ERROR_DAMAGED;
        buffer_grew(out, (size_t)n);
    }
    return 0;
}

/* A message that was unpacked. */
struct one {
    struct dropfile_job job;
    int64_t ns;
    struct span text;
};

static bool is_same_file(DIR *folder, const char *name, const struct one *o)
{
    struct buffer bytes = { 0 };
    struct stat st;
    bool yes = false;
    int fd = open_one(folder, name, &st);

    if (fd >= 0 && st.st_uid == o->job.uid && time_ns(&st) == o->ns &&
        st.st_size == (off_t)o->text.len &&
        read_whole(fd, st.st_size, &bytes) == 0)
        yes = span_is(buffer_span(&bytes), o->text);
    if (fd >= 0)
        (void)close(fd);
    buffer_fini(&bytes);
    return yes;
}

/* Is it there, because this is the folder that it was taken from? */
static bool is_still_there(const char *path, const struct one *o)
{
    DIR *folder = open_folder(path);
    const struct dirent *e;
    bool yes = false;

    while (folder && !yes && (e = readdir(folder)))
        yes = e->d_name[0] != '.' && is_same_file(folder, e->d_name, o);
    if (folder)
        (void)closedir(folder);
    return yes;
}

static int leave(const struct one *o, const char *folder, const char *jobs)
{
    struct dropfile_job_name name = dropfile_job_print(&o->job);
    struct timespec at = { o->ns / 1000000000, o->ns % 1000000000 };
    struct buffer path = { 0 };
    int rc;

    if (is_still_there(folder, o) || is_still_there(jobs, o))
        return 0;
    rc = dropfile_leave_as(jobs, name.at, o->text);
    buffer_printf(&path, "%s/%s", jobs, name.at);
    if (rc == 0 && utimensat(AT_FDCWD, buffer_string(&path),
                             (struct timespec[]){ at, at }, 0) < 0)
        rc = -errno;
    buffer_fini(&path);
    return rc;
}

static int restore_one(DIR *from, const char *name, const char *folder,
                       const char *jobs)
{
    struct one o = { .ns = 0 };
    struct buffer bytes = { 0 };
    struct stat st;
    int fd, rc;

    if (!read_name(span_of(name), &o.job, &o.ns))
        return 0;
    if ((fd = open_one(from, name, &st)) < 0)
        return ERROR_DAMAGED;
    rc = read_whole(fd, st.st_size, &bytes);
    (void)close(fd);
    o.text = buffer_span(&bytes);
    if (rc == 0)
        rc = leave(&o, folder, jobs);
    buffer_fini(&bytes);
    return rc;
}

/* As the importer would make it. */
static int make_folder(const char *jobs)
{
    int rc = configuration_make_folder(span_of(jobs));

    if (rc == 0 && mkdir(jobs, 0700) < 0 && errno != EEXIST)
        rc = -errno;
    return rc;
}

int droparchive_restore(const char *from, const char *folder,
                        struct buffer *out_why)
{
    DIR *d = open_folder(from);
    char *jobs = jobs_of(folder);
    const struct dirent *e;
    bool is_made = false;
    int rc = 0;

    while (d && rc >= 0 && (e = readdir(d))) {
        if (e->d_name[0] == '.')
            continue;
        if (!is_made)
            rc = make_folder(jobs);
        is_made = true;
        if (rc >= 0)
            rc = restore_one(d, e->d_name, folder, jobs);
    }
    if (d)
        (void)closedir(d);
    if (rc < 0)
        buffer_printf(out_why, "%s: %s", jobs, error_text(rc));
    free(jobs);
    return rc;
}
