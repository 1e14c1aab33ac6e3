/*
 * selftest_machine - the disk, the clock, and what the system gives.
 */
#include "relay/main/selftest.h"

#include "queue/queue.h"
#include "relay/main/guise.h"

#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/statvfs.h>
#include <sys/timex.h>
#include <time.h>
#include <unistd.h>

enum {
    MB = 1000 * 1000,
    USUAL_RESERVE_MB = 256,
    WRITES = 100,
    WRITE_BYTES = 4096,
    WRITE_BUDGET_MS = 5000, /* for all of them */
    SLOW_US = 20 * 1000,    /* the median: a plain disk has 5000 to 15000 */
    UNUSABLE_US = 200 * 1000,
    FILES_LEAST = 4096,
    MEMORY_LEAST_MB = 300, /* what a million waiting messages take */
};

static char *folder_of(const struct selftest *t)
{
    char *path = span_dup(t->settings->queue.path);
    char *folder = span_dup(span_of(dirname(path)));

    free(path);
    return folder;
}

/* ------------------------------------------------------------- disk ------ */

static void look_at_room(struct selftest *t, const char *folder,
                         const struct statvfs *fs)
{
    uint64_t free_bytes = (uint64_t)fs->f_bavail * fs->f_frsize;
    uint64_t reserve = t->settings->queue.reserve_bytes;
    uint64_t tenth = (uint64_t)fs->f_blocks * fs->f_frsize / 10;

    if (!reserve)
        reserve = tenth < (uint64_t)USUAL_RESERVE_MB * MB
                      ? tenth
                      : (uint64_t)USUAL_RESERVE_MB * MB;
    if (free_bytes < reserve)
        selftest_say(t, SELFTEST_BAD,
                     "make room there; until then mail is refused with 452",
                     "%s has %llu MB free, less than the reserve of %llu MB",
                     folder, (unsigned long long)(free_bytes / MB),
                     (unsigned long long)(reserve / MB));
    else if (free_bytes < reserve * 4)
        selftest_say(t, SELFTEST_WARNING, "make room there soon",
                     "%s has %llu MB free; at %llu MB mail is refused", folder,
                     (unsigned long long)(free_bytes / MB),
                     (unsigned long long)(reserve / MB));
    else
        selftest_say(t, SELFTEST_OK, "", "%s has %llu MB free", folder,
                     (unsigned long long)(free_bytes / MB));
}

void selftest_disk(struct selftest *t)
{
    char *path = span_dup(t->settings->queue.path), *folder = folder_of(t);
    struct buffer notices = { 0 };
    struct span rest, line;
    struct statvfs fs;

    if (statvfs(folder, &fs) < 0) {
        selftest_say(t, SELFTEST_BAD, "make the folder, or name another one",
                     "%s: %s", folder, error_text(-errno));
    } else {
        look_at_room(t, folder, &fs);
        queue_inspect_folder(path, &notices);
        rest = buffer_span(&notices);
        while (rest.len) {
            line = span_split(rest, '\n', &rest);
            if (line.len)
                selftest_say(t, SELFTEST_WARNING,
                             "put the queue on a local disk", "%.*s",
                             SPAN_FMT(line));
        }
    }
    buffer_fini(&notices);
    free(path);
    free(folder);
}

/* ------------------------------------------------------------- fsync ----- */

static int64_t now_us(void)
{
    struct timespec t;

    (void)clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * (int64_t)1000000 + t.tv_nsec / 1000;
}

static int by_size(const void *a, const void *b)
{
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;

    return x < y ? -1 : x > y;
}

/* Negative: the first failure; else how many were made. */
static int write_some(int fd, int64_t *took_us)
{
    static const char bytes[WRITE_BYTES] = { 1 };
    int64_t begun = now_us(), last = begun;
    int n = 0;

    while (n < WRITES && last - begun < (int64_t)WRITE_BUDGET_MS * 1000) {
        int64_t now;

        if (pwrite(fd, bytes, WRITE_BYTES, (off_t)n * WRITE_BYTES) !=
                WRITE_BYTES ||
            fsync(fd) < 0)
            return errno ? -errno : -EIO;
        now = now_us();
        took_us[n++] = now - last;
        last = now;
    }
    return n;
}

static void judge_writes(struct selftest *t, int64_t *took_us, int n)
{
    int64_t median, worst;

    qsort(took_us, (size_t)n, sizeof(*took_us), by_size);
    median = took_us[n / 2];
    worst = took_us[n - 1];
    selftest_say(t,
                 median > UNUSABLE_US ? SELFTEST_BAD
                 : median > SLOW_US   ? SELFTEST_WARNING
                                      : SELFTEST_OK,
                 median > SLOW_US
                     ? "each batch of mail waits for this: use a faster disk, "
                       "or see who else writes to this one"
                     : "",
                 "%d fsyncs: the median took %.1f ms, the worst %.1f ms", n,
                 (double)median / 1000, (double)worst / 1000);
}

void selftest_fsync(struct selftest *t)
{
    struct buffer path = { 0 };
    int64_t took_us[WRITES];
    char *folder = folder_of(t);
    struct guise guise;
    int fd, n;

    buffer_printf(&path, "%s/selftest.XXXXXX", folder);
    (void)buffer_string(&path);
    guise_put_on(&guise, path.at);
    fd = mkostemp(path.at, O_CLOEXEC);
    n = fd < 0 ? -errno : write_some(fd, took_us);
    if (fd >= 0) {
        (void)unlink(path.at);
        (void)close(fd);
    }
    guise_take_off(&guise);
    if (n <= 0)
        selftest_say(t, SELFTEST_BAD,
                     "the relay's account must be able to write there",
                     "%s cannot be written: %s", folder, error_text(n));
    else
        judge_writes(t, took_us, n);
    buffer_fini(&path);
    free(folder);
}

/* ------------------------------------------------------------- clock ----- */

void selftest_clock(struct selftest *t)
{
    struct timex clock = { 0 };
    int rc = adjtimex(&clock);

    if (rc < 0)
        selftest_say(t, SELFTEST_WARNING, "look at timedatectl",
                     "the clock's state cannot be read: %s",
                     error_text(-errno));
    else if (rc == TIME_ERROR || (clock.status & STA_UNSYNC))
        selftest_say(t, SELFTEST_WARNING,
                     "run chrony or systemd-timesyncd: dates, retries and "
                     "certificates go by it",
                     "nothing keeps the clock in time");
    else
        selftest_say(t, SELFTEST_OK, "", "kept in time, off by %.1f ms at most",
                     (double)clock.maxerror / 1000);
}

/* --------------------------------------------------------- the system ---- */

void selftest_files(struct selftest *t)
{
    struct rlimit most = { 0 };
    unsigned long long n;

    if (getrlimit(RLIMIT_NOFILE, &most) < 0)
        return;
    n = (unsigned long long)most.rlim_max;
    if (n < FILES_LEAST)
        selftest_say(t, SELFTEST_WARNING,
                     "raise it (LimitNOFILE= in the unit, ulimit -n): each "
                     "session takes one",
                     "%llu files may be open at once", n);
    else
        selftest_say(t, SELFTEST_OK, "", "%llu files may be open at once", n);
}

void selftest_memory(struct selftest *t)
{
    static const struct span name = SPAN_INIT("MemAvailable:");
    FILE *f = fopen("/proc/meminfo", "re");
    unsigned long long kb = 0;
    bool is_known = false;
    char line[200];

    while (f && !is_known && fgets(line, sizeof(line), f))
        is_known = span_starts_nocase(span_of(line), name);
    if (is_known)
        kb = strtoull(line + name.len, NULL, 10);
    if (f)
        (void)fclose(f);
    if (!is_known)
        selftest_say(t, SELFTEST_WARNING, "look at free -m",
                     "how much memory there is cannot be read");
    else
        selftest_say(
            t, kb / 1024 < MEMORY_LEAST_MB ? SELFTEST_WARNING : SELFTEST_OK,
            kb / 1024 < MEMORY_LEAST_MB
                ? "a full queue takes 300 MB: give the machine more"
                : "",
            "%llu MB are available", kb / 1024);
}

/* ------------------------------------------------------------- queue ----- */

static void look_at_history(struct selftest *t, const char *path)
{
    struct buffer why = { 0 };
    int64_t rows = 0;
    int rc = queue_inspect_history(path, &rows, &why);

    if (rc == 0)
        selftest_say(t, SELFTEST_OK, "", "the history is whole: %lld outcomes",
                     (long long)rows);
    else if (rc != ERROR_GONE)
        selftest_say(t, SELFTEST_BAD,
                     "stop the relay, move history.db with its -wal away, "
                     "start it: a new one is begun; or restore a backup",
                     "the history is not whole: %s", buffer_string(&why));
    buffer_fini(&why);
}

void selftest_queue(struct selftest *t)
{
    char *path = span_dup(t->settings->queue.path);
    struct buffer why = { 0 };
    int64_t messages = 0;
    struct guise guise;

    guise_put_on(&guise, path);
    if (access(path, F_OK) < 0 && errno == ENOENT) {
        selftest_say(t, SELFTEST_OK, "", "%s is made by the first start", path);
    } else if (queue_inspect(path, &messages, &why) < 0) {
        selftest_say(t, SELFTEST_BAD,
                     "stop the relay and restore a backup; sqlite3's .recover "
                     "saves what is left",
                     "%s is not whole: %s", path, buffer_string(&why));
    } else {
        selftest_say(t, SELFTEST_OK, "", "%s is whole: %lld messages", path,
                     (long long)messages);
        look_at_history(t, path);
    }
    guise_take_off(&guise);
    buffer_fini(&why);
    free(path);
}
