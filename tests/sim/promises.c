/*
 * promises - what was promised of each recipient, and whether it is kept.
 */
#include "office.h"

#include "policy/vocabulary/id.h"

#include <stdlib.h>
#include <string.h>

struct promise *promise_of(struct office *o, struct span address)
{
    struct span digits =
        span_first(span_skip(address, 1), span_find(address, '@') - 1);
    uint64_t n;

    EXPECT(o,
           address.len && address.at[0] == 'r' && span_number(digits, &n) &&
               n < o->promise_count,
           "nobody sent to %.*s", SPAN_FMT(address));
    return &o->promises[n];
}

static int number_of(const struct office *o, const struct promise *p)
{
    return (int)(p - o->promises);
}

void promise_tried(struct office *o, struct promise *p)
{
    int *last = &o->last_tried[p->lane][p->sender][p->priority];

    EXPECT(o, p->state == WAITING && !p->is_held, "r%d is tried in state %d",
           number_of(o, p), (int)p->state);
    p->is_held = true;
    if (p->was_tried)
        return;
    EXPECT(o, *last < number_of(o, p),
           "r%d is first tried after r%d of the same sender", number_of(o, p),
           *last);
    *last = number_of(o, p);
    p->was_tried = true;
}

void promise_arrived(struct office *o, struct promise *p)
{
    p->copies++;
    EXPECT(o, p->copies <= 1 + p->doubts,
           "r%d arrives for the %u. time, in "
           "doubt %u times",
           number_of(o, p), p->copies, p->doubts);
}

void promise_ends(struct office *o, struct promise *p, enum queue_outcome how)
{
    p->is_held = false;
    switch (how) {
    case OUTCOME_FREED:
    case OUTCOME_DEFERRED:
    case OUTCOME_WARNED:
        return;
    case OUTCOME_DELIVERED:
        o->delivered++;
        p->state = DELIVERED;
        return;
    case OUTCOME_FAILED:
        o->failed++;
        p->state = FAILED;
        return;
    case OUTCOME_EXPIRED:
        EXPECT(o, office_now_ms >= p->expire_ms, "r%d expires %lld ms early",
               number_of(o, p), (long long)(p->expire_ms - office_now_ms));
        o->expired++;
        p->state = EXPIRED;
        return;
    case OUTCOME_DISCARDED:
    case OUTCOME_HELD:
    case OUTCOME_RETURNED:
        break;
    }
    EXPECT(o, false, "r%d ends as %d", number_of(o, p), (int)how);
}

void promise_warned(struct office *o, struct promise *p)
{
    EXPECT(o, office_now_ms >= p->warn_ms && !p->is_warned,
           "r%d's sender is told of a delay %lld ms early, or again",
           number_of(o, p), (long long)(p->warn_ms - office_now_ms));
    p->is_warned = true;
    o->warned++;
}

/* ------------------------------------------------------------- reports ---- */

static void told(struct office *o, struct promise *p, struct span action)
{
    unsigned notify = p->notify ? p->notify : NOTIFY_FAILURE | NOTIFY_DELAY;

    o->reports++;
    if (span_starts_nocase(action, SPAN("failed"))) {
        p->failures_told++;
        EXPECT(o,
               (p->state == FAILED || p->state == EXPIRED) &&
                   (notify & NOTIFY_FAILURE) && p->failures_told == 1,
               "r%d is said to have failed (%u. time)", number_of(o, p),
               p->failures_told);
        return;
    }
    p->delays_told++;
    EXPECT(o,
           span_starts_nocase(action, SPAN("delayed")) && p->is_warned &&
               (notify & NOTIFY_DELAY) && p->delays_told == 1,
           "r%d: a delay is told that nobody asked for", number_of(o, p));
}

void promise_report(struct office *o, struct span content)
{
    static const char who[] = "\r\nFinal-Recipient: rfc822; ";
    static const char what[] = "\r\nAction: ";
    const char *at = content.at, *end = content.at + content.len;
    size_t count = 0;

    while ((at = memmem(at, (size_t)(end - at), who, sizeof(who) - 1))) {
        struct span address = span_make(at + sizeof(who) - 1,
                                        (size_t)(end - at) - sizeof(who) + 1);
        const char *action;

        address = span_first(address, span_find(address, '\r'));
        action = memmem(at, (size_t)(end - at), what, sizeof(what) - 1);
        EXPECT(o, action, "a report without an action");
        action += sizeof(what) - 1;
        told(o, promise_of(o, address),
             span_make(action, (size_t)(end - action)));
        at = action;
        count++;
    }
    EXPECT(o, count > 0, "a report of nobody");
}

/* ----------------------------------------------------------- what waits ---- */

uint64_t promises_waiting(const struct office *o, enum site_name site,
                          uint64_t *out_bytes)
{
    uint64_t count = 0;

    *out_bytes = 0;
    for (size_t i = 0; i < o->promise_count; i++) {
        const struct promise *p = &o->promises[i];

        if (p->state != WAITING || lane_sites[p->lane] != site)
            continue;
        count++;
        *out_bytes += p->size_bytes;
    }
    return count;
}

bool promises_wait_in_lane(const struct office *o, int lane)
{
    for (size_t i = 0; i < o->promise_count; i++)
        if (o->promises[i].state == WAITING && o->promises[i].lane == lane)
            return true;
    return false;
}

int64_t promises_untried_since(const struct office *o, enum site_name site)
{
    for (size_t i = 0; i < o->promise_count; i++) {
        const struct promise *p = &o->promises[i];

        if (p->state == WAITING && !p->was_tried && p->is_put &&
            lane_sites[p->lane] == site)
            return p->received_ms;
    }
    return INT64_MAX;
}

/* ------------------------------------------------------------- moments ---- */

int64_t promises_next_event(const struct office *o, int64_t until_ms)
{
    int64_t next = INT64_MAX;

    for (size_t i = 0; i < o->promise_count; i++) {
        const struct promise *p = &o->promises[i];

        if (p->state != WAITING)
            continue;
        if (p->expire_ms > office_now_ms && p->expire_ms < next)
            next = p->expire_ms;
        if (p->warn_ms > office_now_ms && p->warn_ms < next)
            next = p->warn_ms;
    }
    return next <= until_ms ? next : INT64_MAX;
}

bool promises_are_on_time(const struct office *o)
{
    for (size_t i = 0; i < o->promise_count; i++) {
        const struct promise *p = &o->promises[i];

        if (p->state != WAITING || p->is_held)
            continue;
        if (p->expire_ms <= office_now_ms ||
            (p->warn_ms <= office_now_ms && !p->is_warned))
            return false;
    }
    return true;
}

/* --------------------------------------------------------------- audit ---- */

static void each_page(void *user, uint64_t token, int rc,
                      const struct queue_row *rows, size_t count,
                      uint64_t next_id)
{
    struct office *o = office_of(user);

    (void)token;
    EXPECT(o, rc == 0, "the queue cannot be listed: %d", rc);
    o->is_listed = true;
    o->listed_next = next_id;
    for (size_t i = 0; i < count; i++) {
        if (rows[i].sender.len == 0) {
            o->listed_reports++;
            continue;
        }
        for (size_t k = 0; k < rows[i].count; k++) {
            struct promise *p = promise_of(o, rows[i].recipients[k].address);

            EXPECT(o, p->state == WAITING && !p->is_seen,
                   "r%d, which has ended as %d, is still in the queue",
                   number_of(o, p), (int)p->state);
            p->is_seen = true;
        }
    }
}

void promises_audit(struct office *o)
{
    struct queue_filter all = { 0 };

    office_sync(o);
    for (size_t i = 0; i < o->promise_count; i++)
        o->promises[i].is_seen = false;
    o->listed_next = o->listed_reports = 0;
    do { /* a reader that was long at it answers with less than all */
        o->is_listed = false;
        queue_list(o->port, &all, o->listed_next, PROMISES_MOST, each_page, 0);
        while (!o->is_listed)
            office_sync(o);
    } while (o->listed_next);
    for (size_t i = 0; i < o->promise_count; i++) {
        const struct promise *p = &o->promises[i];

        EXPECT(o, p->state != WAITING || p->is_seen, "r%zu is lost", i);
        EXPECT(o, p->state != DELIVERED || p->copies > 0, "r%zu never arrived",
               i);
        EXPECT(o, p->state == DELIVERED || p->is_held || p->copies <= p->doubts,
               "r%zu arrived, and still ends as %d", i, (int)p->state);
    }
}

void promises_final(struct office *o)
{
    promises_audit(o);
    EXPECT(o, o->listed_reports == 0, "%llu reports are left",
           (unsigned long long)o->listed_reports);
    for (size_t i = 0; i < o->promise_count; i++) {
        const struct promise *p = &o->promises[i];
        unsigned notify = p->notify ? p->notify : NOTIFY_FAILURE | NOTIFY_DELAY;
        bool has_failed = p->state == FAILED || p->state == EXPIRED;

        EXPECT(o, p->state != WAITING, "r%zu still waits", i);
        EXPECT(o, p->failures_told == (has_failed && notify & NOTIFY_FAILURE),
               "r%zu is gone, and its sender does not know", i);
        EXPECT(o, p->delays_told == (p->is_warned && notify & NOTIFY_DELAY),
               "r%zu: a delay was not told", i);
    }
}
