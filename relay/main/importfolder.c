/*
 * importfolder - the drop folder, seen from the relay.
 *
 * Everybody can put anything there under any name, so nothing of it is believed: names that are
 * not ours, files that are none, have two links or are too large go to `refused`. Only what has
 * been moved into `jobs`, which is ours alone, has a name that says something. Whose it is says
 * the file's owner, and once more when it is read.
 */
#include "relay/main/importer_private.h"

#include "policy/vocabulary/id.h"
#include "policy/vocabulary/memory.h"
#include "queue/queue.h"
#include "relay/main/configuration.h"
#include "relay/main/dropfile.h"
#include "relay/net/log.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
    ENVELOPE_MOST = 16 * 1024 * 1024, /* beside the message */
    TEMPORARY_MS = 24 * 3600 * 1000,  /* then nobody writes it any more */
    CLAIMS_AT_ONCE = 1000,
    COMPLAINT_MS = 60 * 1000, /* of what stays where it is, one in so long */
};

/* ------------------------------------------------------------- folders ---- */

static int set_mode(int fd, mode_t mode)
{
    struct stat st;

    if (fstat(fd, &st) < 0 ||
        ((st.st_mode & 07777) != mode && fchmod(fd, mode) < 0))
        return -errno;
    return 0;
}

static int open_folder(int at, const char *path)
{
    int fd;

    if (mkdirat(at, path, 0700) < 0 && errno != EEXIST)
        return -errno;
    fd = openat(at, path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    return fd < 0 ? -errno : fd;
}

/* One in the drop folder. Names in it are believed, so it is not anybody's. */
static int open_own(const struct importer *i, const char *path)
{
    struct stat own, drop;
    int fd = open_folder(i->drop, path), rc;

    if (fd < 0)
        return fd;
    if (fstat(fd, &own) < 0 || fstat(i->drop, &drop) < 0)
        rc = -errno;
    else if (own.st_uid != drop.st_uid)
        rc = -EPERM;
    else
        rc = set_mode(fd, 0700);
    if (rc < 0)
        (void)close(fd);
    return rc < 0 ? rc : fd;
}

static void complain(const struct importer *i, int rc)
{
    log_text(LOG_WARNING, "the drop folder %s cannot be used: %s", i->folder,
             error_text(rc));
}

/* Who cannot get to it cannot leave anything. */
static void doubt_way(const struct importer *i)
{
    struct buffer up = { 0 };
    struct stat st;

    buffer_put(&up, span_first(span_of(i->folder),
                               span_find_last(span_of(i->folder), '/')));
    if (stat(buffer_string(&up), &st) == 0 && !(st.st_mode & S_IXOTH))
        log_text(
            LOG_NOTE,
            "only some users can reach the drop folder: to let all of them, "
            "chmod o+x %s",
            buffer_string(&up));
    buffer_fini(&up);
}

bool importfolder_open(struct importer *i)
{
    int rc;

    if (i->drop >= 0)
        return true;
    i->folder = span_dup(i->settings->sendmail.drop);
    rc = configuration_make_folder(span_of(i->folder));
    if (rc == 0)
        rc = i->drop = open_folder(AT_FDCWD, i->folder);
    if (rc >= 0)
        rc = i->jobs = open_own(i, "jobs");
    if (rc >= 0)
        rc = i->refused = open_own(i, "refused");
    if (rc >= 0)
        rc = set_mode(i->drop, 01733); /* last: all is ours by then */
    if (rc >= 0) {
        doubt_way(i);
        return true;
    }
    complain(i, rc);
    importfolder_close(i);
    return false;
}

static void close_one(int *fd)
{
    if (*fd >= 0)
        (void)close(*fd);
    *fd = -1;
}

void importfolder_close(struct importer *i)
{
    close_one(&i->drop);
    close_one(&i->jobs);
    close_one(&i->refused);
    free(i->folder);
    i->folder = NULL;
}

/* A folder of another user stays, and would be told of at every look. */
static bool may_complain(struct importer *i)
{
    int64_t now_ms = wall_ms();

    if (i->complained_ms && now_ms - i->complained_ms < COMPLAINT_MS)
        return false;
    i->complained_ms = now_ms;
    return true;
}

void importfolder_set_aside(struct importer *i, int folder, const char *name,
                            const char *why)
{
    struct buffer to = { 0 }, shown = { 0 };
    struct id_text id = id_print(queue_new_id(i->queue));
    int rc;

    buffer_put_string(&to, id.at); /* nothing there is overwritten */
    buffer_put_escaped(&shown, span_first(span_of(name), 100));
    rc =
        renameat(folder, name, i->refused, buffer_string(&to)) < 0 ? -errno : 0;
    if (rc < 0 && may_complain(i))
        log_text(LOG_WARNING, "drop folder: \"%s\" %s, and cannot be moved: %s",
                 buffer_string(&shown), why, error_text(rc));
    else if (rc == 0)
        log_text(LOG_WARNING, "drop folder: \"%s\" %s; it is now %s/refused/%s",
                 buffer_string(&shown), why, i->folder, buffer_string(&to));
    buffer_fini(&to);
    buffer_fini(&shown);
}

/* ------------------------------------------------------------ claiming ---- */

/* When it was last written, as far as that can be believed: its owner sets it. */
static int64_t written_ms(const struct stat *st)
{
    int64_t most = INT64_MAX / 2000, at = st->st_mtim.tv_sec;

    return (at < 0 ? 0 : at > most ? most : at) * 1000;
}

static bool claim(struct importer *i, const char *name, const struct stat *st)
{
    struct dropfile_job job = { .uid = st->st_uid };
    struct dropfile_job_name to;

    job.mail = queue_new_id(i->queue);
    job.report = queue_new_id(i->queue);
    job.rest = queue_new_id(i->queue);
    to = dropfile_job_print(&job);
    if (renameat(i->drop, name, i->jobs, to.at) == 0)
        return true;
    if (may_complain(i))
        log_text(LOG_WARNING, "drop folder: cannot take a file of uid %u: %s",
                 (unsigned)st->st_uid, error_text(-errno));
    return false;
}

static bool is_being_written(const struct stat *st)
{
    int64_t age_ms = wall_ms() - written_ms(st);

    return age_ms < TEMPORARY_MS && age_ms > -TEMPORARY_MS;
}

/* True: it is one of ours now. */
static bool consider(struct importer *i, const char *name)
{
    bool is_new = strncmp(name, "new.", 4) == 0;
    bool is_temporary = strncmp(name, "tmp.", 4) == 0;
    struct stat st;

    if (strcmp(name, ".") == 0 || strcmp(name, "..") == 0 ||
        strcmp(name, "jobs") == 0 || strcmp(name, "refused") == 0 ||
        fstatat(i->drop, name, &st, AT_SYMLINK_NOFOLLOW) < 0 ||
        (is_temporary && is_being_written(&st)))
        return false;
    if (is_temporary && S_ISREG(st.st_mode))
        importfolder_set_aside(i, i->drop, name, "was never finished");
    else if (!is_new || !S_ISREG(st.st_mode))
        importfolder_set_aside(i, i->drop, name, "is no message");
    else
        return claim(i, name, &st);
    return false;
}

static DIR *list(int folder)
{
    int fd = openat(folder, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *d = fd < 0 ? NULL : fdopendir(fd);

    if (!d && fd >= 0)
        (void)close(fd);
    return d;
}

void importfolder_claim(struct importer *i)
{
    DIR *d = list(i->drop);
    const struct dirent *e;
    int claimed = 0;

    /* to the end: what is left lying there must not hide what lies behind it */
    while (d && claimed < CLAIMS_AT_ONCE && (e = readdir(d)))
        claimed += consider(i, e->d_name);
    if (d)
        (void)closedir(d);
    /* the names are on disk before anything is done in their name */
    if (claimed && (fsync(i->jobs) < 0 || fsync(i->drop) < 0))
        complain(i, -errno);
}

static bool parse(const char *name, struct job *out)
{
    if (!dropfile_job_parse(span_of(name), &out->is))
        return false;
    (void)snprintf(out->name, sizeof out->name, "%s", name);
    return true;
}

void importfolder_each(struct importer *i, importfolder_fn *each)
{
    DIR *d = list(i->jobs);
    const struct dirent *e;
    struct job j;

    while (d && !atomic_load(&i->is_stopping) && (e = readdir(d))) {
        if (e->d_name[0] == '.' || strncmp(e->d_name, "tmp.", 4) == 0)
            continue;
        if (parse(e->d_name, &j))
            each(i, &j);
        else
            importfolder_set_aside(i, i->jobs, e->d_name, "is no message");
    }
    if (d)
        (void)closedir(d);
}

/* ------------------------------------------------------------- reading ---- */

static const char *doubt(const struct importer *i, const struct job *j,
                         const struct stat *st)
{
    if (!S_ISREG(st->st_mode) || st->st_nlink != 1)
        return "is no message";
    if (st->st_uid != j->is.uid && st->st_uid != geteuid())
        return "is not the file of who left it";
    if ((uint64_t)st->st_size >
        i->settings->limits.message_bytes + ENVELOPE_MOST)
        return "is too large";
    return NULL;
}

static int read_all(int fd, size_t size, struct buffer *out)
{
    ssize_t n = 1;

    out->cap = size + 2;
    while (n > 0) {
        char *room = buffer_room(out, size + 1 - out->len);

        n = room ? read(fd, room, size + 1 - out->len) : 0;
        if (n < 0)
            return -errno;
        buffer_grew(out, (size_t)n);
    }
    return out->len > size ? ERROR_TOO_BIG : 0; /* it is growing */
}

bool importfolder_read(struct importer *i, const struct job *j,
                       struct buffer *out, int64_t *out_since_ms)
{
    int fd = openat(i->jobs, j->name,
                    O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
    const char *why = "cannot be read";
    struct stat st;

    if (fd < 0 && errno == ENOENT)
        return false;
    if (fd >= 0 && fstat(fd, &st) == 0 && !(why = doubt(i, j, &st)) &&
        read_all(fd, (size_t)st.st_size, out) < 0)
        why = "cannot be read";
    if (fd >= 0)
        (void)close(fd);
    if (why) {
        importfolder_set_aside(i, i->jobs, j->name, why);
        return false;
    }
    *out_since_ms = written_ms(&st);
    return true;
}

void importfolder_remove(struct importer *i, const struct job *j)
{
    if (unlinkat(i->jobs, j->name, 0) < 0 || fsync(i->jobs) < 0)
        complain(i, -errno);
}

bool importfolder_split(struct importer *i, const struct job *of,
                        const struct missive *m)
{
    struct buffer bytes = { 0 }, folder = { 0 };
    struct dropfile_job job = { .mail = of->is.rest, .uid = of->is.uid };
    struct dropfile_job_name name;
    int rc;

    job.report = queue_new_id(i->queue);
    job.rest = queue_new_id(i->queue);
    name = dropfile_job_print(&job);
    missive_put_file(m, &bytes);
    buffer_printf(&folder, "%s/jobs", i->folder);
    rc =
        dropfile_leave_as(buffer_string(&folder), name.at, buffer_span(&bytes));
    if (rc < 0)
        complain(i, rc);
    buffer_fini(&bytes);
    buffer_fini(&folder);
    return rc == 0;
}
