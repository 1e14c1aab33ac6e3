/*
 * office - a relay with mail for branch offices, on a clock that the test moves.
 *
 *   test_branch_office.c   a month, minute by minute: arrivals, outages, deaths
 *   office.c               the relay: queue, windows by the minute, restarts
 *   copying.c              what a death leaves on disk
 *   callers.c              senders and customers
 *   branches.c             the offices' hosts: what becomes of each message
 *   promises.c             what was promised of each recipient, and whether it is kept
 *
 * Queue, windows, releases, turns, settlements and reports are the product's own; sockets
 * are not there. What the product decides is held against what this folder reckons by
 * itself from the table of sites.
 */
#ifndef WAYPOST_TESTS_OFFICE_H
#define WAYPOST_TESTS_OFFICE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "policy/settings.h"
#include "queue/queue.h"
#include "relay/main/windows.h"
#include "relay/net/hand.h"
#include "relay/net/worker.h"

enum { MINUTE_MS = 60 * 1000, HOUR_MS = 60 * MINUTE_MS };
#define DAY_MS ((int64_t)24 * HOUR_MS)

enum { SENDERS = 6, PRIORITIES = 2, SESSIONS_MOST = 128, PROMISES_MOST = 8192 };

/* ---------------------------------------------------------------- sites ---- */

/* BACK is where reports go: an ordinary host. */
enum site_name { NIGHT, LUNCH, FETCH, TOLD, PROBED, BACK, SITES };

enum { LANES = 8 };
extern const char *const lane_domains[LANES];
extern const enum site_name lane_sites[LANES];

struct range {
    unsigned from, to; /* minutes of the day; both 0: none */
};

struct site {
    /* As the configuration has it, in our own words. */
    struct range windows[2];
    int64_t expire_ms, warn_ms, probe_ms;
    uint64_t quota_bytes;
    bool has_etrn, has_atrn;
    unsigned connections, outage_most_hours;
    const char *lane; /* one that leads there */

    struct buffer destination;
    bool is_there;
    int64_t turns_ms; /* its host comes or goes then */
    bool is_open;     /* a window is */
    bool
        is_released; /* by a client's wish or a probe, and not waiting again yet */
    bool has_failed; /* since it was opened or released */
    int64_t
        contact_ms; /* the last time that it was up or tried, or the queue opened */
    unsigned sessions, opened;
    uint64_t windows_opened, probes;
};

/* ------------------------------------------------------------- promises ---- */

enum promise_state { WAITING, DELIVERED, FAILED, EXPIRED };

/* What was promised of one recipient when its message was put. */
struct promise {
    uint64_t message;
    int lane, sender, priority;
    unsigned notify;
    int64_t received_ms, expire_ms, warn_ms;
    uint64_t size_bytes;
    enum promise_state state;
    bool is_put;             /* committed */
    bool was_tried, is_held; /* by a session, now */
    bool is_warned, is_seen; /* by the list, in an audit */
    unsigned copies, doubts, failures_told, delays_told;
};

struct office;

struct promise *promise_of(struct office *o, struct span address);
/* A session has it now: in order? */
void promise_tried(struct office *o, struct promise *p);
/* The host has all of it. */
void promise_arrived(struct office *o, struct promise *p);
void promise_ends(struct office *o, struct promise *p, enum queue_outcome how);
void promise_warned(struct office *o, struct promise *p);
/* A report arrived at its sender's. */
void promise_report(struct office *o, struct span content);
uint64_t promises_waiting(const struct office *o, enum site_name site,
                          uint64_t *out_bytes);
bool promises_wait_in_lane(const struct office *o, int lane);
/* Never tried, due, and not in a session; the oldest's arrival, INT64_MAX: none. */
int64_t promises_untried_since(const struct office *o, enum site_name site);
/* The next expiry or notice up to that time; INT64_MAX: none. */
int64_t promises_next_event(const struct office *o, int64_t until_ms);
/* All whose moment has come have had it. */
bool promises_are_on_time(const struct office *o);
/* The queue's own list says the same. */
void promises_audit(struct office *o);
/* Nothing waits, and all is told that was to be. */
void promises_final(struct office *o);

/* --------------------------------------------------------------- office ---- */

struct session {
    struct queue_slot *slot;
    enum site_name site;
    unsigned turn; /* number of the turned connection; 0: none */
    bool is_probe, is_greeted, is_ended, is_parked;
    struct queue_work *work; /* slow: it goes on in a later minute */
    bool has_arrived;
    int64_t busy_until_ms, parked_ms;
    unsigned left; /* messages until it breaks off */
};

struct office {
    uint32_t seed;
    uint64_t random;
    bool is_calm; /* nothing breaks any more */
    bool is_dead; /* what is under way counts no more */
    char root[64], folder[80], path[112];
    unsigned lives, deaths;

    struct settings *settings;
    struct windows *windows;
    struct queue *queue;
    struct queue_port *port;
    struct worker *worker;
    pthread_mutex_t lock;
    pthread_cond_t cond;
    bool is_woken;
    size_t puts, puts_done, settles, settles_before, recalls;

    struct site sites[SITES];
    struct session sessions[SESSIONS_MOST];
    size_t session_count;
    unsigned turns;

    struct promise *promises;
    size_t promise_count;
    int last_tried[LANES][SENDERS][PRIORITIES];
    bool is_listed;
    uint64_t listed_next; /* where a list goes on; 0: it does not */
    uint64_t listed_reports;
    struct queue_count waiting;

    /* what happened, for the sum at the end */
    uint64_t refused, delivered, failed, expired, warned, reports, doubted,
        fetched, released, restarts;
};

extern int64_t office_now_ms;

/* A failure that says when and with which seed. */
#define EXPECT(o, what, ...)                                                   \
    do {                                                                       \
        if (!(what))                                                           \
            office_fail((o), #what, __FILE__, __LINE__, __VA_ARGS__);          \
    } while (0)
_Noreturn void office_fail(const struct office *o, const char *what,
                           const char *file, int line, const char *format, ...)
    __attribute__((format(printf, 5, 6)));

uint32_t office_pick(struct office *o, uint32_t n);

struct office *office_new(uint32_t seed);
void office_free(struct office *o);
/* The clock stands there from now on; station_minute where one begins. */
void office_clock(struct office *o, int64_t now_ms);
void office_minute(struct office *o);
/* Until threads, port and sessions have nothing more to say. */
void office_sync(struct office *o);
/* Alarms too, at once. */
void office_sync_alarms(struct office *o);
/* Mail comes in, unless a quota is reached. */
void office_put(struct office *o);
void office_etrn(struct office *o, int lane);
void office_atrn(struct office *o, int lane); /* -1: all */
/* Going down in order; or dying: what is on disk now is all there is. */
void office_restart(struct office *o, bool is_death);
void office_copy_queue(struct office *o, const char *folder);
/* May this site's mail go out now? */
bool office_is_allowed(const struct office *o, enum site_name site);
/* What may go out does, what may not waits. */
void office_look(struct office *o);
struct queue_destination_row office_row(struct office *o, enum site_name site);

/* ---------------------------------------------------------------- hosts ---- */

/* Of the port's user, which is the worker: what delivers knows it as that. */
static inline struct office *office_of(void *worker)
{
    return ((struct worker *)worker)->owner;
}

void branches_opened(void *worker, struct queue_slot *slot);
void branches_ready(void *worker, struct queue_slot *slot);
void branches_ended(void *worker, struct queue_slot *slot);
void branches_alarm(void *worker, struct queue_work *work);
void branches_turned(struct office *o, struct turn *take_t);
/* Sessions go on; false: they had nothing to do. */
bool branches_step(struct office *o);
/* All sessions end; what is under way is freed, or settled where it has arrived. */
void branches_leave(struct office *o);
void branches_come_and_go(struct office *o);

#endif
