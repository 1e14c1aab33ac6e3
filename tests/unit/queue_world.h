/*
 * queue_world - a queue in a folder of its own, with one port, for the queue's tests.
 *
 * The port is drained on the test's thread when it was woken; world_until runs it until
 * something holds. What the port is told is written down; a test that sets `peer`
 * answers slots itself.
 */
#ifndef WAYPOST_QUEUE_WORLD_H
#define WAYPOST_QUEUE_WORLD_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "policy/vocabulary/memory.h"
#include "queue/core.h"
#include "queue/queue.h"

#include <ftw.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

enum { WORLD_SLOTS = 64, WORLD_PATIENCE_S = 60, DAY_MS = 24 * 3600 * 1000 };

struct world;
typedef void world_slot_fn(struct world *w, struct queue_slot *slot);

struct world {
    int priority; /* of what is put */
    char folder[64], path[96];
    struct queue *q;
    struct queue_port *p;
    struct queue_options options;
    uint32_t connections;
    bool is_on_demand; /* what lanes under "away" lead to */
    int64_t probe_ms;
    const struct rate *rates; /* of lanes under "paced", each a destination */
    size_t rate_count;

    pthread_mutex_t lock;
    pthread_cond_t cond;
    bool is_woken;

    world_slot_fn *opened, *ready, *ended; /* NULL: only written down */
    struct queue_slot *slots[WORLD_SLOTS]; /* open and not told to end */
    size_t slot_count;
    size_t told_ended;
    struct queue_work *alarms[WORLD_SLOTS];
    size_t alarm_count;

    size_t puts, puts_ok, settles, removed, answers;
    size_t rounds;                    /* of the reader, that were asked for */
    size_t puts_asked, settles_asked; /* of what is to be answered */
    size_t readies;                   /* parked slots that were told of work */
    int last_rc;
    uint64_t last_id; /* of the latest put */
    struct queue_count count;
    size_t eased;

    char notices[4096];
    void *user;
    uint32_t got[100000]; /* a test's own */
};

/* 2030-01-01; the tests move it. */
static _Atomic int64_t world_now_ms = 1893456000000;

static inline int64_t world_clock(void)
{
    return atomic_load(&world_now_ms);
}

static inline void world_notice(void *user, enum queue_notice kind,
                                const char *text)
{
    struct world *w = user;

    pthread_mutex_lock(&w->lock);
    if (strlen(w->notices) + strlen(text) + 8 < sizeof(w->notices))
        (void)snprintf(w->notices + strlen(w->notices), 512, "%d %s\n",
                       (int)kind, text);
    pthread_mutex_unlock(&w->lock);
}

/* Lanes of a domain lead to a destination of its name; "x.group" all to "group", and
 * "x.away" to "away", which may be on demand. */
static inline void world_route(void *user, struct span lane,
                               struct queue_destination *out)
{
    struct world *w = user;

    if (span_ends_nocase(lane, SPAN(".group")))
        buffer_put_string(&out->name, "group");
    else if (span_ends_nocase(lane, SPAN(".away")))
        buffer_put_string(&out->name, "away");
    else
        buffer_put(&out->name, lane);
    out->connections = w->connections;
    out->is_on_demand =
        w->is_on_demand && span_is(buffer_span(&out->name), SPAN("away"));
    out->probe_ms = out->is_on_demand ? w->probe_ms : 0;
    if (span_ends_nocase(lane, SPAN(".paced"))) {
        out->rates = w->rates;
        out->rate_count = w->rate_count;
    }
}

static inline void world_wake(void *user)
{
    struct world *w = user;

    pthread_mutex_lock(&w->lock);
    w->is_woken = true;
    pthread_cond_signal(&w->cond);
    pthread_mutex_unlock(&w->lock);
}

static inline void world_forget(struct world *w, struct queue_slot *slot)
{
    for (size_t i = 0; i < w->slot_count; i++)
        if (w->slots[i] == slot)
            w->slots[i--] = w->slots[--w->slot_count];
}

static inline void world_opened(void *user, struct queue_slot *slot)
{
    struct world *w = user;

    assert_true(w->slot_count < WORLD_SLOTS);
    w->slots[w->slot_count++] = slot;
    if (w->opened)
        w->opened(w, slot);
}

static inline void world_ready(void *user, struct queue_slot *slot)
{
    struct world *w = user;

    w->readies++;
    if (w->ready)
        w->ready(w, slot);
}

static inline void world_close_slot(struct world *w, struct queue_slot *slot)
{
    world_forget(w, slot);
    queue_slot_close(slot);
}

static inline void world_ended(void *user, struct queue_slot *slot)
{
    struct world *w = user;

    w->told_ended++;
    if (w->ended)
        w->ended(w, slot);
    else
        world_close_slot(w, slot);
}

static inline void world_alarm(void *user, struct queue_work *work)
{
    struct world *w = user;

    assert_true(w->alarm_count < WORLD_SLOTS);
    w->alarms[w->alarm_count++] = work;
}

static inline void world_eased(void *user)
{
    ((struct world *)user)->eased++;
}

static const struct queue_port_events world_events = {
    .wake = world_wake,
    .slot_opened = world_opened,
    .slot_ready = world_ready,
    .slot_ended = world_ended,
    .alarm = world_alarm,
    .eased = world_eased,
};

static inline void world_on_put(void *user, uint64_t token, int rc, uint64_t id)
{
    struct world *w = user;

    (void)token;
    w->last_id = id;
    w->puts++;
    w->puts_ok += rc == 0;
    w->last_rc = rc;
}

static inline void world_on_settled(void *user, uint64_t token, int rc,
                                    uint64_t message, bool is_removed)
{
    struct world *w = user;

    (void)token;
    (void)message;
    assert_int_equal(rc, 0);
    w->settles++;
    w->removed += is_removed;
}

static inline void world_on_count(void *user, uint64_t token, int rc,
                                  const struct queue_count *count)
{
    struct world *w = user;

    (void)token;
    w->last_rc = rc;
    w->count = *count;
    w->answers++;
}

/* A person's order: one more answer comes. */
static inline void world_order(struct world *w, const struct queue_filter *f,
                               enum queue_change change)
{
    const struct queue_order o = { .change = change,
                                   .filter = f,
                                   .who = SPAN("test") };

    queue_order(w->p, &o, world_on_count, 1);
}

static inline void world_on_story(void *user, uint64_t token, int rc,
                                  const struct queue_story *story)
{
    struct world *w = user;

    (void)token;
    (void)rc;
    (void)story;
    w->rounds++;
}

/* Drains the port until *what is at least this; fails after a long while. */
static inline void world_until(struct world *w, const size_t *what,
                               size_t at_least)
{
    struct timespec until;

    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_sec += WORLD_PATIENCE_S;
    while (*what < at_least) {
        int rc = 0;

        pthread_mutex_lock(&w->lock);
        while (!w->is_woken && rc == 0)
            rc = pthread_cond_timedwait(&w->cond, &w->lock, &until);
        w->is_woken = false;
        pthread_mutex_unlock(&w->lock);
        if (rc)
            print_message("notices: %s\n", w->notices);
        assert_int_equal(rc, 0);
        queue_port_drain(w->p);
    }
}

static inline void world_open_queue(struct world *w)
{
    struct buffer why = { 0 };
    int rc;

    w->options.path = w->path;
    w->options.route = world_route;
    w->options.route_user = w;
    w->options.notice = world_notice;
    w->options.notice_user = w;
    rc = queue_open(&w->q, &w->options, &why);
    if (rc < 0)
        print_message("%s\n", buffer_string(&why));
    assert_int_equal(rc, 0);
    buffer_fini(&why);
    w->p = queue_port_open(w->q, &world_events, w);
}

/* A fresh folder and an open queue. Options may be set with a first step of NULL. */
static inline struct world *world_new(uint32_t active_most, bool has_clock)
{
    struct world *w = NEW(struct world);

    w->connections = 20;
    w->options.active_most = active_most;
    w->options.reserve_bytes = 1;
    w->options.now_ms = has_clock ? world_clock : NULL;
    pthread_mutex_init(&w->lock, NULL);
    pthread_cond_init(&w->cond, NULL);
    (void)snprintf(w->folder, sizeof(w->folder), "/tmp/waypost-queue-XXXXXX");
    assert_non_null(mkdtemp(w->folder));
    (void)snprintf(w->path, sizeof(w->path), "%s/queue.db", w->folder);
    world_open_queue(w);
    return w;
}

static inline void world_close_queue(struct world *w)
{
    while (w->slot_count)
        world_close_slot(w, w->slots[0]);
    queue_port_close(w->p);
    queue_close(w->q);
    w->puts_asked = w->puts; /* no answer comes any more */
    w->settles_asked = w->settles;
    w->p = NULL;
    w->q = NULL;
}

static inline void world_reopen(struct world *w)
{
    world_close_queue(w);
    world_open_queue(w);
}

static inline int world_remove(const char *path, const struct stat *st,
                               int type, struct FTW *at)
{
    (void)st;
    (void)type;
    (void)at;
    return remove(path);
}

static inline void world_free(struct world *w)
{
    if (w->q)
        world_close_queue(w);
    (void)nftw(w->folder, world_remove, 16, FTW_DEPTH | FTW_PHYS);
    free(w);
}

/* A message from "a@SENDER" to n recipients "rN@LANE". */
static inline uint64_t world_put_many(struct world *w, const char *sender,
                                      const char *const *lanes, size_t n,
                                      const char *content, int64_t expire_ms)
{
    struct queue_recipient *r = NEW_ARRAY(struct queue_recipient, n);
    char(*address)[64] = memory_zero(n, 64);
    struct queue_message m = { .id = queue_new_id(w->q) };
    char from[64];
    uint64_t id = m.id;

    (void)snprintf(from, sizeof(from), "a@%s", sender);
    for (size_t i = 0; i < n; i++) {
        (void)snprintf(address[i], 64, "r%zu@%s", i, lanes[i]);
        r[i].number = (uint32_t)i;
        r[i].address = span_of(address[i]);
        r[i].lane = span_of(lanes[i]);
        r[i].expire_ms = expire_ms;
        r[i].warn_ms = INT64_MAX;
    }
    m.envelope.sender = span_of(from);
    m.envelope.client = span_of(sender);
    m.envelope.received_ms = w->options.now_ms ? world_clock() : 0;
    m.envelope.size_bytes = strlen(content);
    m.envelope.priority = w->priority;
    m.recipients = r;
    m.recipient_count = n;
    m.take_content = span_dup(span_of(content));
    queue_put(w->p, &m, world_on_put, 7);
    w->puts_asked++;
    free(r);
    free(address);
    return id;
}

static inline uint64_t world_put(struct world *w, const char *sender,
                                 const char *lane, const char *content)
{
    return world_put_many(w, sender, &lane, 1, content, INT64_MAX);
}

/* Every recipient of the work comes to the same end. */
static inline void world_settle(struct world *w, struct queue_work *work,
                                enum queue_outcome outcome, int64_t due_ms)
{
    struct queue_result *r = NEW_ARRAY(struct queue_result, work->count);

    for (size_t i = 0; i < work->count; i++) {
        r[i].outcome = outcome;
        r[i].due_ms = due_ms;
        r[i].expire_ms = work->recipients[i].expire_ms;
        r[i].warn_ms = work->recipients[i].warn_ms;
        r[i].status = STATUS(2, 0, 0);
        r[i].reply = SPAN("250 2.0.0 Ok");
        r[i].host = SPAN("mx.example.org[192.0.2.1]:25");
    }
    queue_settle(w->p, work, r, NULL, 0, world_on_settled, 8);
    w->settles_asked++;
    free(r);
}

/* A next hop that takes everything at once; counts by the number in the content. */
static inline void world_take_all(struct world *w, struct queue_slot *slot)
{
    struct queue_work *work;

    queue_slot_connected(slot);
    while ((work = queue_slot_next(slot, 50))) {
        uint64_t n;

        if (span_number(work->content, &n) && n < 100000)
            w->got[n] += (uint32_t)work->count;
        world_settle(w, work, OUTCOME_DELIVERED, 0);
    }
}

static inline struct queue_count world_count(struct world *w, unsigned states)
{
    struct queue_filter f = { .states = states };

    queue_count(w->p, &f, world_on_count, 1);
    world_until(w, &w->answers, w->answers + 1);
    assert_int_equal(w->last_rc, 0);
    return w->count;
}

/* The threads are given a moment, and heard. */
static inline void world_moment(struct world *w)
{
    struct timespec t = { .tv_nsec = 1000000 };

    nanosleep(&t, NULL);
    queue_port_drain(w->p);
}

/* Has the reader nothing in hand and nothing before it? */
static inline bool world_is_read(struct world *w)
{
    struct queue *q = w->q;
    const struct destination *d;
    bool is_it;

    queue_lock(q);
    is_it = q->are_lanes_read && q->is_counted && !q->is_reading &&
            TAILQ_EMPTY(&q->loading) &&
            timers_next(&q->timers) > queue_now_ms(q);
    TAILQ_FOREACH(d, &q->all_destinations, all)
    {
        is_it = is_it && d->hastening == 0;
    }
    queue_unlock(q);
    return is_it && !atomic_load(&q->reader.is_poked);
}

static inline bool world_is_quiet(struct world *w)
{
    bool is_written;

    pthread_mutex_lock(&w->q->writer.lock);
    is_written = w->q->writer.waiting == 0;
    pthread_mutex_unlock(&w->q->writer.lock);
    return is_written && w->puts >= w->puts_asked &&
           w->settles >= w->settles_asked && world_is_read(w);
}

/* The threads have said all they have to say, and go on to say nothing: what should not
 * be was to be by now. */
static inline void world_settle_down(struct world *w)
{
    enum { QUIET = 30 };

    for (int i = 0, quiet = 0; quiet < QUIET; i++) {
        assert_true(i < WORLD_PATIENCE_S * 1000);
        if (quiet % 10 == 0) {
            /* a round of the reader's at least */
            queue_story(w->p, 1, world_on_story, 1);
            world_until(w, &w->rounds, w->rounds + 1);
        }
        world_moment(w);
        quiet = world_is_quiet(w) ? quiet + 1 : 0;
    }
}

#endif
