/*
 * queue - opening and closing, and what needs no thread.
 *
 * Opened in this order: the store (locked, checked, recovered), destination memory,
 * threads. The reader then walks the lanes while mail is taken already. Closed in the
 * order in which work flows: backup, history, reader, content, writer, content again (files to
 * be removed).
 */
#include "queue/core.h"

#include "policy/vocabulary/id.h"
#include "policy/vocabulary/memory.h"
#include "queue/active.h"
#include "queue/pace.h"
#include "queue/quota.h"
#include "queue/slot.h"
#include "queue/standing.h"

#include <stdio.h>
#include <signal.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

int64_t queue_now_ms(const struct queue *q)
{
    struct timespec t;

    if (q->clock)
        return q->clock();
    clock_gettime(CLOCK_REALTIME, &t);
    return t.tv_sec * (int64_t)1000 + t.tv_nsec / 1000000;
}

int64_t queue_monotonic_ms(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * (int64_t)1000 + t.tv_nsec / 1000000;
}

int64_t queue_steady_ms(const struct queue *q)
{
    if (q->steady)
        return q->steady();
    return q->clock ? q->clock() : queue_monotonic_ms();
}

bool queue_thread_start(pthread_t *out_thread, const char *name,
                        void *(*run)(void *user), void *user)
{
    sigset_t all, before;
    char own[16] = "";
    bool is_started;

    /* Signals are for whoever runs the loops. */
    (void)sigfillset(&all);
    (void)pthread_sigmask(SIG_SETMASK, &all, &before);
    /* It inherits the name; another's can be set only through /proc. */
    (void)pthread_getname_np(pthread_self(), own, sizeof own);
    (void)pthread_setname_np(pthread_self(), name);
    is_started = pthread_create(out_thread, NULL, run, user) == 0;
    (void)pthread_setname_np(pthread_self(), own);
    (void)pthread_sigmask(SIG_SETMASK, &before, NULL);
    return is_started;
}

void queue_condition_init(pthread_cond_t *c)
{
    pthread_condattr_t how;

    pthread_condattr_init(&how);
    pthread_condattr_setclock(&how, CLOCK_MONOTONIC);
    pthread_cond_init(c, &how);
    pthread_condattr_destroy(&how);
}

void queue_condition_wait(pthread_cond_t *c, pthread_mutex_t *m,
                          int64_t wait_ms)
{
    int64_t until = queue_monotonic_ms() + wait_ms;
    struct timespec t = { .tv_sec = until / 1000,
                          .tv_nsec = until % 1000 * 1000000 };

    if (wait_ms < 0)
        pthread_cond_wait(c, m);
    else
        pthread_cond_timedwait(c, m, &t);
}

void queue_say(const struct queue *q, enum queue_notice kind,
               const char *format, ...)
{
    struct buffer text = { .cap = 2000 };
    va_list args;

    va_start(args, format);
    buffer_vprintf(&text, format, args);
    va_end(args);
    if (q->notice)
        q->notice(q->notice_user, kind, buffer_string(&text));
    buffer_fini(&text);
}

void queue_die(const struct queue *q, const char *what, const char *why)
{
    queue_say(q, QUEUE_FATAL, "%s: %s", what, why);
    _exit(75);
}

uint64_t queue_new_id(struct queue *q)
{
    uint64_t last = atomic_load(&q->last_id), id;
    int64_t now_us;
    struct timespec t;

    clock_gettime(CLOCK_REALTIME, &t);
    now_us = q->clock ? q->clock() * 1000
                      : t.tv_sec * (int64_t)1000000 + t.tv_nsec / 1000;
    do {
        id = id_next(last, now_us);
    } while (!atomic_compare_exchange_weak(&q->last_id, &last, id));
    return id;
}

bool queue_has_room(struct queue *q, uint64_t bytes)
{
    return disk_has_room(&q->disk, bytes);
}

static struct queue *queue_new(const struct queue_options *o)
{
    struct queue *q = NEW(struct queue);

    q->path = span_dup(span_of(o->path));
    q->read_only = o->read_only;
    q->active_most = o->active_most ? o->active_most : ACTIVE_MOST;
    q->cache_most = o->cache_bytes ? o->cache_bytes : CACHE_BYTES;
    q->history_ms = o->history_ms ? o->history_ms : HISTORY_MS;
    q->history_bytes = o->history_bytes;
    q->clock = o->now_ms;
    q->steady = o->steady_ms;
    q->notice = o->notice;
    q->notice_user = o->notice_user;
    q->route = o->route;
    q->route_user = o->route_user;
    pthread_mutex_init(&q->lock, NULL);
    TAILQ_INIT(&q->all_destinations);
    TAILQ_INIT(&q->hungry);
    TAILQ_INIT(&q->loading);
    TAILQ_INIT(&q->slotless);
    TAILQ_INIT(&q->ports);
    disk_init(&q->disk, q->path, o->reserve_bytes);
    notes_init(&q->notes);
    heat_init(&q->heat);
    budgets_init(&q->budgets);
    snapshot_init(&q->snapshot);
    backup_init(&q->backup, q);
    recounting_init(&q->recounting, q, "queue-recount", RECOUNTING_NICE);
    recounting_init(&q->streaming, q, "queue-stream", STREAMING_NICE);
    roll_init(&q->roll, !q->read_only);
    return q;
}

static void queue_free(struct queue *q)
{
    struct queue_port *p;

    q->is_over = true;
    active_fini(q);
    destination_fini(q);
    while ((p = TAILQ_FIRST(&q->ports))) {
        TAILQ_REMOVE(&q->ports, p, all);
        port_free(p);
    }
    budgets_fini(&q->budgets);
    notes_fini(&q->notes);
    disk_fini(&q->disk);
    heat_fini(&q->heat);
    roll_fini(&q->roll);
    backup_fini(&q->backup);
    snapshot_fini(&q->snapshot);
    pthread_mutex_destroy(&q->lock);
    free(q->path);
    free(q);
}

static void say_lines(struct queue *q, const struct buffer *lines)
{
    struct span rest = buffer_span(lines), line;

    while (rest.len) {
        line = span_split(rest, '\n', &rest);
        if (line.len)
            queue_say(q, QUEUE_WARNING, "%.*s", SPAN_FMT(line));
    }
}

static void remember(void *user, const struct store_destination *d)
{
    standing_remember(user, d, queue_now_ms(user));
}

static void remember_pace(void *user, struct span key, struct span value)
{
    pace_remember(user, key, value);
}

static int start_threads(struct queue *q, struct store *take_store)
{
    int rc;

    backup_sweep(q);
    writer_start(&q->writer, q, take_store);
    if ((rc = bodies_start(&q->bodies, q, false)) < 0 ||
        (rc = reader_start(&q->reader, q)) < 0)
        return rc;
    quota_start(q); /* its first slice may wake the reader */
    if ((rc = historian_start(&q->historian, q)) < 0) {
        queue_say(q, QUEUE_WARNING, "no history is written: %s",
                  error_text(rc));
        historian_stop(&q->historian);
    }
    return 0;
}

static void stop_threads(struct queue *q)
{
    backup_stop(&q->backup);
    recounting_fini(&q->streaming);
    recounting_fini(&q->recounting);
    historian_stop(&q->historian);
    reader_stop(&q->reader);
    bodies_drain(&q->bodies);
    if (q->writer.is_running) {
        budgets_flush(q);
        pace_flush(q);
    }
    writer_stop(&q->writer);
    bodies_stop(&q->bodies);
    if (q->reader.db)
        store_reader_close(q->reader.db);
}

static int open_for_writing(struct queue *q, struct buffer *out_why)
{
    struct buffer notices = { 0 };
    struct store_reader *r = NULL;
    struct store *s = NULL;
    int rc = store_open(&s, q->path, out_why, &notices);

    /* What is queued must be able to leave, even when others filled the disk. */
    if (rc == ERROR_FULL && disk_drop_ballast(&q->disk)) {
        buffer_clear(out_why);
        rc = store_open(&s, q->path, out_why, &notices);
    }
    say_lines(q, &notices);
    buffer_fini(&notices);
    if (rc < 0)
        return rc;
    atomic_store(&q->last_id, store_last_id(s));
    q->begun_event = store_last_event(s);
    q->first_id = queue_new_id(q);
    if ((rc = store_reader_open(&r, q->path)) >= 0) {
        rc = store_read_destinations(r, remember, q);
        if (rc >= 0)
            rc = store_read_notes(r, pace_notes, queue_now_ms(q),
                                  remember_pace, q);
        store_reader_close(r);
    }
    if (rc < 0)
        store_close(s);
    else
        rc = start_threads(q, s);
    if (rc < 0)
        buffer_printf(out_why, "%s: %s", q->path, error_text(rc));
    return rc;
}

static int open_for_reading(struct queue *q, struct buffer *out_why)
{
    int rc = reader_start(&q->reader, q);

    if (rc < 0)
        buffer_printf(out_why, "%s: %s", q->path, error_text(rc));
    return rc;
}

int queue_open(struct queue **out_q, const struct queue_options *o,
               struct buffer *out_why)
{
    struct queue *q = queue_new(o);
    int rc = o->read_only ? open_for_reading(q, out_why)
                          : open_for_writing(q, out_why);

    if (rc < 0) {
        stop_threads(q);
        queue_free(q);
        return rc;
    }
    *out_q = q;
    return 0;
}

void queue_close(struct queue *q)
{
    ASSERT(q->ports_open == 0);
    stop_threads(q);
    queue_free(q);
}

void queue_reroute(struct queue *q, queue_route_fn *route, void *route_user)
{
    struct destination *d;

    queue_lock(q);
    q->route = route;
    q->route_user = route_user;
    destination_reroute(q);
    active_drop_rerouted(q);
    TAILQ_FOREACH(d, &q->all_destinations, all)
    {
        standing_rerouted(q, d);
    }
    destination_sweep(q, queue_now_ms(q));
    queue_unlock(q);
}

void queue_stats(struct queue *q, struct queue_stats *out)
{
    *out = (struct queue_stats){
        .messages_ready = atomic_load(&q->ready),
        .messages_deferred = atomic_load(&q->deferred),
        .messages_held = atomic_load(&q->held),
        .puts = atomic_load(&q->puts),
        .settles = atomic_load(&q->settles),
        .commits = atomic_load(&q->commits),
        .commit_us_last = atomic_load(&q->commit_us_last),
        .commit_us_max = atomic_load(&q->commit_us_max),
        .wal_bytes = atomic_load(&q->wal_bytes),
        .disk_free_bytes = disk_free_bytes(&q->disk),
        .history_behind =
            atomic_load(&q->events) - atomic_load(&q->historian.copied_until),
        .refusals_dropped = atomic_load(&q->historian.dropped),
    };
    queue_lock(q);
    out->active = q->active;
    out->cached_bytes = q->cached_bytes;
    out->slots = q->slots;
    out->slots_parked = q->parked;
    out->destinations_down = q->in_state[DESTINATION_RESTING];
    queue_unlock(q);
}

int queue_notes(struct queue *q, struct span kind, queue_note_fn *each,
                void *user)
{
    struct store_reader *r;
    int rc = store_reader_open(&r, q->path);

    if (rc < 0)
        return rc;
    rc = store_read_notes(r, kind, queue_now_ms(q), each, user);
    store_reader_close(r);
    return rc;
}
