/*
 * office - the relay: queue, windows by the minute, restarts.
 */
#include "office.h"

#include "policy/retry.h"
#include "policy/route.h"
#include "policy/vocabulary/memory.h"
#include "queue/core.h"
#include "relay/inbound/pickup.h"
#include "relay/net/log.h"

#include "../unit/settings_text.h"

#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

enum { PATIENCE = 20000, QUIET_ROUNDS = 3 };

const char *const lane_domains[LANES] = {
    "night.test",   "lunch.test", "fetch.test",  "a.fetch.test",
    "b.fetch.test", "told.test",  "probed.test", "back.test",
};
const enum site_name lane_sites[LANES] = { NIGHT, LUNCH, FETCH,  FETCH,
                                           FETCH, TOLD,  PROBED, BACK };

/* clang-format off */
static const char config[] =
    "hostname = relay.test\nqueue { path = \"/x/queue.db\" }\n"
    "listener \"a\" { address = \"127.0.0.1:1\" }\n"
    "rule \"r\" { client = {\"127.0.0.0/8\"} action = relay }\n"
    "retry { first = \"5min\"  most = \"1h\"  expire = \"5d\"  warn = \"4h\" }\n"
    "route \"night.test\" { via = {\"smtp://night.test\"}  expire = \"4d\"  warn = \"1d\"\n"
    "    connections = 1\n"
    "    offline { client = {\"192.0.2.1\"}  window = \"22:00-06:00\" } }\n"
    "route \"lunch.test\" { via = {\"smtp://lunch.test\"}  expire = \"3d\"  warn = \"12h\"\n"
    "    offline { login = {\"nobody\"}  window = {\"02:15-03:45\", \"12:00-13:00\"} } }\n"
    "route \"fetch.test\" { to = {\"fetch.test\", \"*.fetch.test\"}  via = {\"pickup:fetch\"}\n"
    "    expire = \"3d\"  quota = \"150KB\"  offline { login = {\"branch\"} } }\n"
    "route \"told.test\" { via = {\"pickup:told\"}  expire = \"5d\"  warn = \"6h\"  quota = \"100KB\"\n"
    "    offline { client = {\"192.0.2.1\"}  login = {\"branch\"}\n"
    "              deliver-to = \"smtp://told.test\" } }\n"
    "route \"probed.test\" { via = {\"pickup:probed\"}  expire = \"36h\"\n"
    "    offline { client = {\"192.0.2.1\"}  deliver-to = \"smtp://probed.test\"  probe = \"3h\" } }\n"
    "route \"*\" { via = {\"smtp://127.0.0.1:2\"} }\n";

/* The same, reckoned by hand. */
static const struct site sites[SITES] = {
    [NIGHT] = { .windows = { { 22 * 60, 6 * 60 } }, .has_etrn = true,
                .expire_ms = 4 * DAY_MS, .warn_ms = DAY_MS,
                .outage_most_hours = 130, .lane = "night.test", .connections = 1 },
    [LUNCH] = { .windows = { { 135, 225 }, { 720, 780 } },
                .expire_ms = 3 * DAY_MS, .warn_ms = DAY_MS / 2,
                .outage_most_hours = 100, .lane = "lunch.test" },
    [FETCH] = { .expire_ms = 3 * DAY_MS, .quota_bytes = 150 * 1024, .has_atrn = true,
                .outage_most_hours = 110, .lane = "fetch.test" },
    [TOLD] = { .expire_ms = 5 * DAY_MS, .warn_ms = DAY_MS / 4, .has_etrn = true,
               .quota_bytes = 100 * 1024, .has_atrn = true, .outage_most_hours = 150,
               .lane = "told.test" },
    [PROBED] = { .expire_ms = DAY_MS * 3 / 2, .probe_ms = 3 * HOUR_MS, .has_etrn = true,
                 .outage_most_hours = 60, .lane = "probed.test" },
    [BACK] = { .outage_most_hours = 12, .lane = "back.test" },
};
/* clang-format on */

int64_t office_now_ms;
static _Atomic int64_t clock_ms; /* for the queue's threads */
static struct office *the_office;

/* --------------------------------------------- in place of the product's ---- */

int64_t __wrap_wall_ms(void);
int64_t __wrap_wall_us(void);
int __wrap_RAND_bytes(unsigned char *out, int count);
void __wrap_log_put(const struct log_line *line);
void __wrap_log_text(enum log_event event, const char *format, ...);

int64_t __wrap_wall_ms(void)
{
    return office_now_ms;
}

int64_t __wrap_wall_us(void)
{
    return office_now_ms * 1000;
}

int __wrap_RAND_bytes(unsigned char *out, int count)
{
    for (int i = 0; i < count; i++)
        out[i] = (unsigned char)office_pick(the_office, 256);
    return 1;
}

void __wrap_log_put(const struct log_line *line)
{
    (void)line;
}

void __wrap_log_text(enum log_event event, const char *format, ...)
{
    (void)event;
    (void)format;
}

uint32_t office_pick(struct office *o, uint32_t n)
{
    o->random = o->random * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)((o->random >> 33) % n);
}

_Noreturn void office_fail(const struct office *o, const char *what,
                           const char *file, int line, const char *format, ...)
{
    time_t now = office_now_ms / 1000;
    char text[300], when[64];
    struct tm tm;
    va_list args;

    va_start(args, format);
    (void)vsnprintf(text, sizeof(text), format, args);
    va_end(args);
    (void)strftime(when, sizeof(when), "%d %b %Y %H:%M:%S %Z",
                   localtime_r(&now, &tm));
    print_error("seed %u, %s: %s (%s)\n", o->seed, when, text, what);
    _fail(file, line);
    abort();
}

/* ---------------------------------------------------------------- clock ---- */

static int64_t queue_clock(void)
{
    return atomic_load(&clock_ms);
}

void office_clock(struct office *o, int64_t now_ms)
{
    EXPECT(o, now_ms >= office_now_ms, "time goes back");
    office_now_ms = now_ms;
    atomic_store(&clock_ms, now_ms);
}

static bool is_open_at(const struct site *s, unsigned minute)
{
    for (int i = 0; i < 2; i++) {
        unsigned from = s->windows[i].from, to = s->windows[i].to;

        if (from < to ? minute >= from && minute < to
                      : from > to && (minute >= from || minute < to))
            return true;
    }
    return false;
}

/* What the station does when a minute begins, and what we make of the hour. */
void office_minute(struct office *o)
{
    time_t now = office_now_ms / 1000;
    struct windows *w = windows_new(o->settings, now);
    struct tm tm;

    if (windows_tell(o->windows, w)) {
        queue_reroute(o->queue, windows_route, w);
        windows_free(o->windows);
        o->windows = w;
    } else {
        windows_free(w);
    }
    (void)localtime_r(&now, &tm);
    for (int i = 0; i < SITES; i++) {
        struct site *s = &o->sites[i];
        bool was_open = s->is_open;

        s->is_open = is_open_at(s, (unsigned)(tm.tm_hour * 60 + tm.tm_min));
        if (s->is_open == was_open)
            continue;
        s->is_released = s->has_failed = false;
        s->windows_opened += s->is_open;
        s->contact_ms = office_now_ms;
    }
}

bool office_is_allowed(const struct office *o, enum site_name site)
{
    return site == BACK || o->sites[site].is_open || o->sites[site].is_released;
}

/* ------------------------------------------------------------- the queue ---- */

static void notice(void *user, enum queue_notice kind, const char *text)
{
    (void)user;
    if (kind == QUEUE_FATAL)
        print_error("%s\n", text);
}

static void wake(void *user)
{
    struct office *o = office_of(user);

    pthread_mutex_lock(&o->lock);
    o->is_woken = true;
    pthread_cond_signal(&o->cond);
    pthread_mutex_unlock(&o->lock);
}

static void on_recalled(void *user, uint64_t token, int rc, struct span value)
{
    struct office *o = office_of(user);

    (void)token;
    (void)value;
    EXPECT(o, rc == 0, "the queue cannot be read: %d", rc);
    o->recalls++;
}

static void drain(struct office *o)
{
    struct timespec until;
    int rc = 0;

    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_sec += 30;
    pthread_mutex_lock(&o->lock);
    while (!o->is_woken && rc == 0)
        rc = pthread_cond_timedwait(&o->cond, &o->lock, &until);
    o->is_woken = false;
    pthread_mutex_unlock(&o->lock);
    EXPECT(o, rc == 0, "the queue says nothing");
    queue_port_drain(o->port);
}

static uint64_t settled(const struct office *o)
{
    struct queue_stats stats;

    queue_stats(o->queue, &stats);
    return stats.settles;
}

/* One round of the reader's. */
static void round_trip(struct office *o)
{
    size_t before = o->recalls;

    queue_recall(o->port, SPAN("sim"), SPAN("none"), on_recalled, 0);
    while (o->recalls == before)
        drain(o);
}

/* The reader has nothing to fetch, nor the writer anything to make due. */
static bool is_read(struct office *o)
{
    struct queue *q = o->queue;
    struct destination *d;
    bool is_it;

    queue_lock(q);
    is_it = q->are_lanes_read && TAILQ_EMPTY(&q->hungry) &&
            TAILQ_EMPTY(&q->loading);
    TAILQ_FOREACH(d, &q->all_destinations, all)
        is_it = is_it && d->hastening == 0;
    queue_unlock(q);
    return is_it;
}

void office_sync(struct office *o)
{
    for (int quiet = 0, i = 0; quiet < QUIET_ROUNDS; i++) {
        unsigned opened = 0, now_opened = 0;

        EXPECT(o, i < PATIENCE, "there is no end to it");
        for (int k = 0; k < SITES; k++)
            opened += o->sites[k].opened;
        round_trip(o);
        for (int k = 0; k < SITES; k++)
            now_opened += o->sites[k].opened;
        if (branches_step(o) || now_opened != opened ||
            o->puts_done < o->puts || settled(o) < o->settles || !is_read(o))
            quiet = 0;
        else
            quiet++;
    }
}

void office_sync_alarms(struct office *o)
{
    for (int i = 0; !promises_are_on_time(o); i++) {
        EXPECT(o, i < PATIENCE, "an expiry or a notice is late");
        reader_alarms(&o->queue->reader);
        office_sync(o);
    }
}

static const struct queue_port_events events = {
    .wake = wake,
    .slot_opened = branches_opened,
    .slot_ready = branches_ready,
    .slot_ended = branches_ended,
    .alarm = branches_alarm,
};

static bool has_counted(struct office *o)
{
    for (int i = 0; i < SITES; i++) {
        uint64_t bytes, count = promises_waiting(o, (enum site_name)i, &bytes);
        struct queue_destination_row row;

        if (i == BACK)
            continue;
        row = office_row(o, (enum site_name)i);
        if (row.waiting != count || row.waiting_bytes != bytes)
            return false;
    }
    return true;
}

static void open_queue(struct office *o)
{
    struct queue_options options = {
        .path = o->path,
        .reserve_bytes = 1,
        .route = windows_route,
        .notice = notice,
        .notice_user = o,
        .now_ms = queue_clock,
    };
    struct buffer why = { 0 };
    int rc;

    windows_free(o->windows);
    o->windows = windows_new(o->settings, office_now_ms / 1000);
    options.route_user = o->windows;
    rc = queue_open(&o->queue, &options, &why);
    EXPECT(o, rc == 0, "%s", buffer_string(&why));
    buffer_fini(&why);
    for (int i = 0; i < SITES; i++) {
        o->sites[i].is_released = false;
        o->sites[i].has_failed &= o->sites[i].is_open; /* the rest goes on */
        o->sites[i].contact_ms = office_now_ms;
    }
    o->settles = 0;
    o->port = queue_port_open(o->queue, &events, o->worker);
    o->worker->queue = o->queue;
    o->worker->port = o->port;
    for (int i = 0; !has_counted(o); i++) {
        EXPECT(o, i < PATIENCE, "mail was lost, or came back, at a start");
        office_sync(o);
    }
}

static void close_queue(struct office *o)
{
    queue_stop_claims(o->queue);
    queue_port_drain(o->port);
    branches_leave(o);
    while (settled(o) < o->settles)
        round_trip(o);
    queue_port_drain(o->port);
    branches_leave(o);
    queue_port_close(o->port);
    queue_close(o->queue);
}

/* ---------------------------------------------------------------- death ---- */

static int remove_one(const char *path, const struct stat *st, int type,
                      struct FTW *at)
{
    (void)st;
    (void)type;
    (void)at;
    return remove(path);
}

static void enter_folder(struct office *o, const char *folder)
{
    (void)snprintf(o->folder, sizeof(o->folder), "%s", folder);
    (void)snprintf(o->path, sizeof(o->path), "%s/queue.db", folder);
}

void office_restart(struct office *o, bool is_death)
{
    char folder[80], old[80];

    (void)snprintf(old, sizeof(old), "%s", o->folder);
    (void)snprintf(folder, sizeof(folder), "%s/%u", o->root, ++o->lives);
    office_sync(o);
    if (is_death) {
        EXPECT(o, mkdir(folder, 0700) == 0, "%s", folder);
        office_copy_queue(o, folder);
        o->is_dead = true;
        o->deaths++;
    }
    close_queue(o);
    o->is_dead = false;
    o->restarts++;
    if (is_death) {
        enter_folder(o, folder);
        (void)nftw(old, remove_one, 16, FTW_DEPTH | FTW_PHYS);
    }
    open_queue(o);
}

/* --------------------------------------------------------- new and free ---- */

static struct settings *read_config(void)
{
    struct buffer faults = { 0 }, warnings = { 0 };
    struct settings *s = settings_text(config, &faults, &warnings);

    if (!s)
        print_error("%s", buffer_string(&faults));
    assert_non_null(s);
    buffer_fini(&faults);
    buffer_fini(&warnings);
    return s;
}

static void name_destinations(struct office *o)
{
    for (int i = 0; i < SITES; i++) {
        struct span lane = span_of(o->sites[i].lane);

        destination_name(route_of_lane(o->settings, lane), lane,
                         &o->sites[i].destination);
    }
}

struct office *office_new(uint32_t seed)
{
    struct office *o = NEW(struct office);
    const char *shm = access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp";

    the_office = o;
    o->seed = seed;
    o->random = seed * 2654435761u + 1;
    memcpy(o->sites, sites, sizeof(sites));
    memset(o->last_tried, -1, sizeof(o->last_tried));
    o->promises = NEW_ARRAY(struct promise, PROMISES_MOST);
    o->worker = NEW(struct worker);
    o->worker->owner = o;
    o->settings = read_config();
    pthread_mutex_init(&o->lock, NULL);
    pthread_cond_init(&o->cond, NULL);
    name_destinations(o);
    for (int i = 0; i < SITES; i++) {
        o->sites[i].is_there = true;
        o->sites[i].turns_ms =
            office_now_ms + (int64_t)office_pick(o, 100) * HOUR_MS;
    }
    (void)snprintf(o->root, sizeof(o->root), "%s/waypost-office-XXXXXX", shm);
    assert_non_null(mkdtemp(o->root));
    (void)snprintf(o->folder, sizeof(o->folder), "%s/0", o->root);
    assert_int_equal(mkdir(o->folder, 0700), 0);
    (void)snprintf(o->path, sizeof(o->path), "%s/queue.db", o->folder);
    open_queue(o);
    office_minute(o);
    return o;
}

void office_free(struct office *o)
{
    close_queue(o);
    (void)nftw(o->root, remove_one, 16, FTW_DEPTH | FTW_PHYS);
    windows_free(o->windows);
    settings_release(o->settings);
    for (int i = 0; i < SITES; i++)
        buffer_fini(&o->sites[i].destination);
    pthread_mutex_destroy(&o->lock);
    pthread_cond_destroy(&o->cond);
    free(o->promises);
    free(o->worker);
    free(o);
}
