/*
 * backup_verb - all mail of the queue into one file.
 *
 *   FILE.part made -> the drop folder (droparchive.h), and between its two parts the stream of
 *                     the relay, or of the queue when none runs -> sums
 *                  -> fsync -> FILE
 *
 * The relay only sends; this program writes, as whoever called it, so FILE may lie where the
 * relay may not go. Until all is in it and on the disk it has another name: what is there
 * under its own name is whole.
 */
#include "relay/admin/listing.h"
#include "relay/main/ask.h"
#include "relay/main/backup_local.h"
#include "relay/main/configuration.h"
#include "relay/main/droparchive.h"
#include "relay/main/paper.h"

#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sysexits.h>
#include <time.h>
#include <unistd.h>

enum { TELL_MS = 200, MB = 1000 * 1000 };

struct making {
    const char *file; /* its name */
    struct buffer part;
    int fd;
    bool has_history, is_json, shows_progress;
    int64_t told_ms;
    struct backup_stream stream;
    struct droparchive drop;
};

/* ------------------------------------------------------------ progress --- */

static void tell(void *user, bool is_copying, uint64_t done, uint64_t total)
{
    struct making *m = user;
    struct timespec t;
    int64_t now_ms;

    (void)clock_gettime(CLOCK_MONOTONIC, &t);
    now_ms = t.tv_sec * (int64_t)1000 + t.tv_nsec / 1000000;
    if (now_ms < m->told_ms + TELL_MS)
        return;
    m->told_ms = now_ms;
    if (is_copying)
        (void)fprintf(stderr, "\r\033[Kcopying the queue: %llu of %llu MB",
                      (unsigned long long)(done / MB),
                      (unsigned long long)(total / MB));
    else
        (void)fprintf(stderr, "\r\033[Kwriting: %llu MB",
                      (unsigned long long)(done / MB));
}

static void untell(const struct making *m)
{
    if (m->told_ms)
        (void)fputs("\r\033[K", stderr);
}

/* ------------------------------------------------------------ the file --- */

static int complain(const char *path, int error)
{
    (void)fprintf(stderr, "waypost: %s: %s\n", path, error_text(error));
    return error == -ENOSPC || error == -EDQUOT || error == -EIO ? EX_IOERR
                                                                 : EX_CANTCREAT;
}

/* Who had made it could read along, or it is a second name of something else. */
static bool is_own_file(int fd)
{
    struct stat st;

    return fstat(fd, &st) == 0 && S_ISREG(st.st_mode) &&
           st.st_uid == geteuid() && st.st_nlink == 1;
}

static bool is_named(int fd, const char *path)
{
    struct stat st, there;

    return fstat(fd, &st) == 0 && lstat(path, &there) == 0 &&
           st.st_dev == there.st_dev && st.st_ino == there.st_ino;
}

/* Not EX_OK: it is none of ours, and stays. */
static int take_part(struct making *m, const char *path)
{
    m->fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK,
                 0600);
    if (m->fd < 0)
        return complain(path, -errno);
    if (!is_own_file(m->fd)) {
        (void)fprintf(stderr, "waypost: %s is there, and is not ours\n", path);
        return EX_CANTCREAT;
    }
    /* one that has just ended has given it its name */
    if (flock(m->fd, LOCK_EX | LOCK_NB) < 0 || !is_named(m->fd, path)) {
        (void)fprintf(stderr, "waypost: another backup writes %s\n", path);
        return EX_TEMPFAIL;
    }
    return EX_OK;
}

static int open_part(struct making *m)
{
    const char *path;
    int rc;

    buffer_printf(&m->part, "%s.part", m->file);
    path = buffer_string(&m->part);
    if ((rc = take_part(m, path)) != EX_OK) {
        m->part.len = 0;
        return rc;
    }
    if (fchmod(m->fd, 0600) < 0 || ftruncate(m->fd, 0) < 0)
        return complain(path, -errno);
    return EX_OK;
}

static int sync_folder(const char *file)
{
    char *copy = span_dup(span_of(file));
    int fd = open(dirname(copy), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    int rc = fd < 0 || fsync(fd) < 0 ? -errno : 0;

    free(copy);
    if (fd >= 0)
        (void)close(fd);
    return rc;
}

static int keep_file(struct making *m)
{
    const char *part = buffer_string(&m->part);

    if (fsync(m->fd) < 0)
        return complain(part, -errno);
    if (rename(part, m->file) < 0)
        return complain(m->file, -errno);
    m->part.len = 0; /* it is no more */
    (void)sync_folder(m->file);
    return EX_OK;
}

/* --------------------------------------------------------------- making -- */

static bool take(void *user, struct span bytes)
{
    struct making *m = user;

    return backup_stream_take(&m->stream, bytes) == 0;
}

/* What a person wants to know of it later, and restore says again. */
static int put_card(struct making *m, const struct settings *s, time_t now)
{
    struct archive *a = m->stream.archive;
    json_t *o = json_pack(
        "{s:s, s:I, s:s%, s:I, s:I, s:b}", "version", WAYPOST_VERSION, "at",
        (json_int_t)now, "hostname", s->hostname.at, s->hostname.len,
        "messages", (json_int_t)m->stream.messages, "recipients",
        (json_int_t)m->stream.recipients, "history", m->has_history);
    char *text = json_dumps(o, JSON_INDENT(2));
    int rc;

    ASSERT(text);
    rc = archive_begin(a, SPAN("backup.json"), strlen(text));
    if (rc == 0)
        rc = archive_put(a, span_of(text));
    if (rc == 0)
        rc = archive_end(a);
    if (rc == 0)
        rc = archive_finish(a);
    free(text);
    json_decref(o);
    return rc;
}

static int ask_for_it(struct making *m, const struct settings *s)
{
    struct ask *a = ask_new(s->admin.socket);
    json_t *body = json_pack("{s:b}", "history", m->has_history);
    bool is_running = ask_is_there(a);
    int rc;

    if (s->sendmail.drops &&
        (rc = droparchive_before(&m->drop, is_running)) < 0)
        rc = complain(buffer_string(&m->part), rc);
    else if (is_running)
        rc = ask_bytes(a, "/backup", body, take, m);
    else
        rc = backup_local_run(s, m->has_history, &m->stream);
    json_decref(body);
    ask_free(a);
    untell(m);
    if (m->stream.why.len) {
        (void)fprintf(stderr, "waypost: %s\n", buffer_string(&m->stream.why));
        return EX_TEMPFAIL;
    }
    if (rc == EX_OK && !m->stream.is_over) {
        (void)fputs("waypost: the relay's answer broke off\n", stderr);
        return EX_TEMPFAIL;
    }
    return rc;
}

static void print_json(const struct making *m)
{
    const struct backup_stream *s = &m->stream;
    json_t *o = json_pack(
        "{s:o, s:b, s:I, s:I, s:I, s:I, s:I}", "file",
        listing_text(span_of(m->file)), "done", true, "bytes",
        (json_int_t)archive_bytes(s->archive), "messages",
        (json_int_t)s->messages, "recipients", (json_int_t)s->recipients,
        "lost", (json_int_t)s->lost, "dropped", (json_int_t)m->drop.count);

    paper_print_json(o);
    json_decref(o);
}

static void print_end(const struct making *m)
{
    const struct backup_stream *s = &m->stream;
    uint64_t bytes = archive_bytes(s->archive);

    if (m->is_json) {
        print_json(m);
        return;
    }
    (void)printf("%s: %llu message%s for %llu recipient%s, %.1f MB%s\n",
                 m->file, (unsigned long long)s->messages,
                 s->messages == 1 ? "" : "s", (unsigned long long)s->recipients,
                 s->recipients == 1 ? "" : "s", (double)bytes / MB,
                 m->has_history ? "" : ", without the history");
    if (s->lost)
        (void)printf("Of %llu large messages the content was not there "
                     "any more.\n",
                     (unsigned long long)s->lost);
    if (m->drop.count)
        (void)printf("%llu message%s of the drop folder %s in it, too.\n",
                     (unsigned long long)m->drop.count,
                     m->drop.count == 1 ? "" : "s",
                     m->drop.count == 1 ? "is" : "are");
}

/* All but root and the relay's user may leave mail there, and not look. */
static void doubt_drop(const struct making *m)
{
    if (m->drop.error < 0)
        (void)fprintf(stderr,
                      "waypost: what is in the drop folder %s is not in the "
                      "backup: %s\n",
                      m->drop.folder, error_text(m->drop.error));
}

static int make(struct making *m, const struct settings *s)
{
    time_t now = time(NULL);
    struct archive *a;
    char *drop;
    int rc = open_part(m), error;

    if (rc != EX_OK)
        return rc;
    a = archive_new(m->fd, now);
    drop = span_dup(s->sendmail.drop);
    droparchive_init(&m->drop, a, drop);
    backup_stream_init(&m->stream, a);
    if (m->shows_progress) {
        m->stream.tell = tell;
        m->stream.user = m;
    }
    rc = ask_for_it(m, s);
    if (rc == EX_OK && s->sendmail.drops &&
        (error = droparchive_after(&m->drop)) < 0)
        rc = complain(buffer_string(&m->part), error);
    if (rc == EX_OK && (error = put_card(m, s, now)) < 0)
        rc = complain(buffer_string(&m->part), error);
    if (rc == EX_OK)
        rc = keep_file(m);
    if (rc == EX_OK) {
        print_end(m);
        doubt_drop(m);
    }
    backup_stream_fini(&m->stream);
    droparchive_fini(&m->drop);
    archive_free(a);
    free(drop);
    return rc;
}

static int run_backup(const struct verb_call *call)
{
    struct making m = { .fd = -1, .has_history = true };
    struct settings *s;
    int rc;

    for (int i = 0; i < call->argc; i++) {
        if (strcmp(call->argv[i], "--no-history") == 0)
            m.has_history = false;
        else if (strcmp(call->argv[i], "--json") == 0)
            m.is_json = true;
        else if (call->argv[i][0] == '-' || m.file)
            return verbs_usage(call, "backup does not take \"%s\"",
                               call->argv[i]);
        else
            m.file = call->argv[i];
    }
    if (!m.file || !*m.file)
        return verbs_usage(call, "backup needs the name of a file");
    s = configuration_load_brief(call->config);
    if (!s)
        return EX_CONFIG;
    m.shows_progress = isatty(STDERR_FILENO) && !m.is_json;
    rc = make(&m, s);
    if (m.fd >= 0 && m.part.len)
        (void)unlink(buffer_string(&m.part));
    if (m.fd >= 0)
        (void)close(m.fd);
    buffer_fini(&m.part);
    settings_release(s);
    return rc;
}

/* clang-format off */
static const struct verb_option options[] = {
    { "--no-history", NULL, "without what happened to mail that has left", VALUE_WORD },
    { "--json",       NULL, "the end as a JSON object", VALUE_WORD },
    { NULL, NULL, NULL, VALUE_WORD },
};

const struct verb backup_verb = {
    .name = "backup", .group = GROUP_SERVICE, .value = VALUE_FILE, .arguments = "[--no-history] [--json] FILE", .run = run_backup,
    .help = "write all mail of the queue to one file, while the relay runs", .options = options,
    .more =
        "What the queue holds at one moment: every message with its content, what waits, is\n"
        "held or deleted, what is known of next hops, greylisting, budgets; the history; and\n"
        "what lies in the drop folder.\n"
        "Mail flows on meanwhile; with no relay running it is read from the disk. FILE is a\n"
        "tar archive with a list of sums, readable by its owner alone, and there only when it\n"
        "is whole; an older one of that name is replaced. On the disk of the queue it needs\n"
        "room for a copy of queue.db, then of history.db, while it is made.\n"
        "Not in it: the configuration, users, tokens, certificates and other files that the\n"
        "configuration names. Copy /etc/waypost beside it.\n"
        "\n"
        "Exit codes: 0 done; 64 a wrong call; 66 there is no queue; 73, 74 FILE cannot be made\n"
        "or written; 75 the relay or the queue could not give it now; 78 configuration.\n",
    .examples = {
        { "waypost backup /var/backups/waypost.tar",
          "all mail of the queue in one file, while mail flows" },
        { "waypost backup --no-history /var/backups/waypost.tar",
          "smaller, without what became of older mail" },
    },
};
/* clang-format on */
