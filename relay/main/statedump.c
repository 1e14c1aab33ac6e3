/*
 * statedump - SIGUSR2: what the relay is doing, into the log.
 */
#include "relay/main/statedump.h"

#include "policy/vocabulary/memory.h"
#include "relay/main/station_private.h"
#include "relay/net/gauge.h"
#include "relay/net/pacewords.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum {
    LISTENERS_SHOWN = 20,
    BUSIEST = 10,
    LOOKED_AT = 2000, /* destinations, for the busiest */
    ERROR_SHOWN = 200,
};

static void say(const struct buffer *b)
{
    log_text(LOG_NOTE, "state: %.*s", (int)b->len, b->at);
}

/* ------------------------------------------------------- the process ---- */

static unsigned count_descriptors(void)
{
    DIR *folder = opendir("/proc/self/fd");
    unsigned n = 0;

    while (folder && readdir(folder))
        n++;
    if (folder)
        (void)closedir(folder);
    return n > 3 ? n - 3 : 0; /* ".", "..", and the one that looks */
}

static unsigned long long resident_bytes(void)
{
    FILE *file = fopen("/proc/self/statm", "re");
    unsigned long long here = 0;
    char line[256], *second;

    if (file && fgets(line, sizeof line, file)) {
        (void)strtoull(line, &second, 10); /* all its pages */
        here = strtoull(second, NULL, 10);
    }
    if (file)
        (void)fclose(file);
    return here * (unsigned long long)sysconf(_SC_PAGESIZE);
}

static void say_process(const struct station *st)
{
    log_text(LOG_NOTE,
             "state: Waypost " WAYPOST_VERSION ", up for %lld s, user %u, "
             "settings %llu%s",
             (long long)((uv_hrtime() - st->started_ns) / 1000000000),
             (unsigned)geteuid(), (unsigned long long)st->settings->epoch,
             st->is_ending ? ", stopping" : "");
    log_text(LOG_NOTE, "state: sandbox: %s", st->sandbox.text);
    log_text(LOG_NOTE, "state: memory %llu bytes, %u descriptors",
             resident_bytes(), count_descriptors());
}

/* -------------------------------------------------------------- loops ---- */

static void say_loops(const struct station *st)
{
    log_text(LOG_NOTE, "state: main loop: longest turn %u us",
             pulse_most_us(&st->pulse));
    for (unsigned i = 0; i < st->crew.count; i++) {
        struct worker *w = st->crew.workers[i];

        log_text(LOG_NOTE, "state: worker %u: %u sessions, longest turn %u us",
                 i, atomic_load(&w->sessions), pulse_most_us(&w->pulse));
    }
}

static void say_listeners(const struct station *st)
{
    struct gauge_sum *sum = NEW(struct gauge_sum); /* large for a stack */

    gauge_read(st->gauge, sum);
    for (unsigned i = 0; i < st->crew.count; i++)
        gauge_read(st->crew.workers[i]->gauge, sum);
    for (unsigned i = 0; i < sum->listener_count && i < LISTENERS_SHOWN; i++) {
        const struct gauge_listener_sum *l = &sum->listeners[i];

        log_text(LOG_NOTE,
                 "state: listener %s: %llu sessions, %llu since the start, "
                 "%llu messages accepted",
                 l->name, (unsigned long long)(l->opened - l->closed),
                 (unsigned long long)l->opened,
                 (unsigned long long)l->accepted);
    }
    free(sum);
}

/* -------------------------------------------------------------- queue ---- */

static void say_queue(const struct station *st)
{
    struct queue_stats q;

    queue_stats(st->queue, &q);
    log_text(LOG_NOTE,
             "state: queue: %llu ready, %llu deferred, %llu held, %llu in "
             "memory, %llu slots, %llu bytes of content cached",
             (unsigned long long)q.messages_ready,
             (unsigned long long)q.messages_deferred,
             (unsigned long long)q.messages_held, (unsigned long long)q.active,
             (unsigned long long)q.slots, (unsigned long long)q.cached_bytes);
    log_text(LOG_NOTE,
             "state: disk: %llu bytes free, journal %llu bytes, last commit "
             "%llu us, longest %llu us, history behind by %llu",
             (unsigned long long)q.disk_free_bytes,
             (unsigned long long)q.wal_bytes,
             (unsigned long long)q.commit_us_last,
             (unsigned long long)q.commit_us_max,
             (unsigned long long)q.history_behind);
}

/* The busiest so far, most first. */
struct busiest {
    struct row {
        uint64_t waiting;
        struct buffer line;
    } rows[BUSIEST];
    size_t count;
};

static void describe(const struct queue_destination_row *r, struct buffer *out)
{
    static const char *const states[QUEUE_DESTINATION_STATES] = {
        [DESTINATION_UP] = "up",
        [DESTINATION_RESTING] = "resting",
        [DESTINATION_OFFLINE] = "offline",
        [DESTINATION_SUSPENDED] = "suspended",
    };

    buffer_put_string(out, "destination ");
    buffer_put_escaped(out, r->name);
    buffer_printf(out, ": %s, %llu waiting, %u of %u connections",
                  states[r->state], (unsigned long long)r->waiting, r->slots,
                  r->window);
    if (r->held_ms) {
        buffer_put_string(out, ", ");
        pacewords_put(out, r, 0);
    }
    if (r->error.len) {
        buffer_put_string(out, ": ");
        buffer_put_escaped(out, span_first(r->error, ERROR_SHOWN));
    }
}

static void consider(void *user, const struct queue_destination_row *r)
{
    struct busiest *b = user;
    size_t i = b->count;

    while (i > 0 && b->rows[i - 1].waiting < r->waiting)
        i--;
    if (i == BUSIEST)
        return;
    if (b->count == BUSIEST)
        buffer_fini(&b->rows[--b->count].line);
    memmove(&b->rows[i + 1], &b->rows[i], (b->count - i) * sizeof b->rows[0]);
    b->rows[i] = (struct row){ .waiting = r->waiting };
    b->count++;
    describe(r, &b->rows[i].line);
}

static void say_destinations(const struct station *st)
{
    struct busiest b = { 0 };
    size_t all = queue_destinations(st->queue, 0, LOOKED_AT, consider, &b);

    log_text(LOG_NOTE, "state: %zu destinations have mail or are not well%s",
             all, all > LOOKED_AT ? ", some of the first are" : "");
    for (size_t i = 0; i < b.count; i++) {
        say(&b.rows[i].line);
        buffer_fini(&b.rows[i].line);
    }
}

void statedump_log(struct station *st)
{
    say_process(st);
    say_loops(st);
    if (!st->queue || st->is_over)
        return;
    say_listeners(st);
    say_queue(st);
    say_destinations(st);
    log_text(LOG_NOTE, "state: end");
}
