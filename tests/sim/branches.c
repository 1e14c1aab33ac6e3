/*
 * branches - the offices' hosts, as the relay meets them.
 *
 * A host is there or not. When it is, it takes what it is given, at once or in some
 * minutes, refuses for now or for good, and breaks off: between messages, before the final
 * dot, or after it, which leaves a recipient in doubt.
 */
#include "office.h"

#include "policy/retry.h"
#include "policy/route.h"
#include "relay/outbound/settlement.h"

#include <stdlib.h>

enum {
    AT_ONCE = 20, /* messages of one session in a minute */
    FOREVER = 1000000,
};

enum fate { TAKEN, TAKEN_SLOWLY, LATER, REFUSED, LOST_BEFORE, LOST_AFTER };

/* ------------------------------------------------------------ sessions ---- */

static enum site_name site_of(struct office *o, const struct queue_slot *slot)
{
    struct span name = queue_slot_destination(slot);

    for (int i = 0; i < SITES; i++)
        if (span_is(buffer_span(&o->sites[i].destination), name))
            return (enum site_name)i;
    office_fail(o, "a known destination", __FILE__, __LINE__, "%.*s",
                SPAN_FMT(name));
}

static struct session *begin(struct office *o, struct queue_slot *slot)
{
    struct session *s = &o->sessions[o->session_count++];

    EXPECT(o, o->session_count < SESSIONS_MOST, "too many sessions");
    *s = (struct session){ .slot = slot, .site = site_of(o, slot) };
    s->left = o->is_calm || s->site == BACK || office_pick(o, 6)
                  ? FOREVER
                  : office_pick(o, 12);
    o->sites[s->site].sessions++;
    o->sites[s->site].opened++;
    return s;
}

static void forget(struct office *o, struct session *s)
{
    struct site *site = &o->sites[s->site];

    site->sessions--;
    queue_slot_close(s->slot);
    *s = o->sessions[--o->session_count];
}

static struct session *session_of(struct office *o,
                                  const struct queue_slot *slot)
{
    for (size_t i = 0; i < o->session_count; i++)
        if (o->sessions[i].slot == slot)
            return &o->sessions[i];
    office_fail(o, "a known slot", __FILE__, __LINE__, "it was closed");
}

/* ------------------------------------------------------------ settling ---- */

static struct client_outcome outcome_of(enum fate fate)
{
    switch (fate) {
    case TAKEN:
    case TAKEN_SLOWLY:
        break;
    case LATER:
        return (struct client_outcome){ DIAGNOSIS_LATER, STATUS(4, 2, 0),
                                        SPAN("450 4.2.0 not now") };
    case REFUSED:
        return (struct client_outcome){ DIAGNOSIS_FAILED, STATUS(5, 1, 1),
                                        SPAN("550 5.1.1 nobody") };
    case LOST_BEFORE:
        return (struct client_outcome){ DIAGNOSIS_LATER, STATUS(4, 4, 2),
                                        SPAN("lost connection") };
    case LOST_AFTER:
        return (struct client_outcome){ DIAGNOSIS_IN_DOUBT, STATUS(4, 4, 2),
                                        SPAN("lost connection") };
    }
    return (struct client_outcome){ DIAGNOSIS_DELIVERED, STATUS(2, 0, 0),
                                    SPAN("250 2.0.0 taken") };
}

static void end_settlement(struct office *o, struct settlement *t)
{
    bool is_report = settlement_is_report(t), is_known = false;

    for (size_t i = 0; i < t->work->count && !is_report; i++) {
        struct promise *p = promise_of(o, t->work->recipients[i].address);

        if (o->is_dead)
            continue;
        if (t->results[i].outcome == OUTCOME_WARNED) {
            /* others of the message are asked, too */
            if (t->work->recipients[i].warn_ms <= office_now_ms)
                promise_warned(o, p);
        } else {
            promise_ends(o, p, t->results[i].outcome);
        }
    }
    for (size_t i = 0; i < t->work->count && !is_known; i++)
        is_known = t->results[i].outcome != OUTCOME_FREED;
    o->settles += is_known; /* what is freed is not written down */
    settlement_end(t);
}

/* is_freed: nothing is noted, as where a turned connection broke off. */
static void settle(struct office *o, struct queue_work *take_work,
                   enum fate fate, bool is_freed)
{
    struct client_outcome outcome = outcome_of(fate);
    struct settlement t;

    settlement_begin(&t, o->worker, o->settings,
                     route_of_lane(o->settings, take_work->recipients[0].lane),
                     take_work);
    for (size_t i = 0; i < take_work->count && !is_freed; i++)
        settlement_note(&t, i, &outcome, SPAN("host.test[192.0.2.7]:25"), true);
    end_settlement(o, &t);
}

void branches_alarm(void *worker, struct queue_work *work)
{
    struct office *o = office_of(worker);
    struct settlement t;

    settlement_begin(&t, o->worker, o->settings,
                     route_of_lane(o->settings, work->recipients[0].lane),
                     work);
    settlement_alarms(&t);
    end_settlement(o, &t);
}

/* --------------------------------------------------------------- mail ---- */

/* The host has all of it. */
static void arrive(struct office *o, const struct queue_work *work)
{
    for (size_t i = 0; i < work->count && work->envelope.sender.len; i++)
        promise_arrived(o, promise_of(o, work->recipients[i].address));
    if (!work->envelope.sender.len)
        promise_report(o, work->content);
}

static void doubt(struct office *o, const struct queue_work *work)
{
    for (size_t i = 0; i < work->count && work->envelope.sender.len; i++) {
        promise_of(o, work->recipients[i].address)->doubts++;
        o->doubted++;
    }
}

/* Nobody gives out what may not go now. */
static struct queue_work *claim(struct office *o, struct session *s)
{
    struct queue_work *work = queue_slot_next(s->slot, 50);

    if (!work) {
        s->is_parked = true;
        s->is_probe = false;
        s->parked_ms = office_now_ms;
        return NULL;
    }
    EXPECT(o, s->turn || s->is_probe || office_is_allowed(o, s->site),
           "mail for %s goes out early", o->sites[s->site].lane);
    o->sites[s->site].contact_ms = office_now_ms;
    for (size_t i = 0; i < work->count && work->envelope.sender.len; i++)
        promise_tried(o, promise_of(o, work->recipients[i].address));
    return work;
}

static enum fate fate_of(struct office *o, const struct session *s)
{
    uint32_t n;

    if (o->is_calm || s->site == BACK)
        return TAKEN;
    n = office_pick(o, 1000);
    return n < 30    ? LATER
           : n < 40  ? REFUSED
           : n < 60  ? LOST_BEFORE
           : n < 80  ? LOST_AFTER
           : n < 120 ? TAKEN_SLOWLY
                     : TAKEN;
}

/* False: the connection is gone, and the session with it. */
static bool answer(struct office *o, struct session *s,
                   struct queue_work *take_work)
{
    enum fate fate = fate_of(o, s);

    switch (fate) {
    case TAKEN_SLOWLY:
        s->work = take_work;
        s->has_arrived = false;
        s->busy_until_ms = office_now_ms + MINUTE_MS * (2 + office_pick(o, 9));
        return true;
    case LOST_AFTER:
        arrive(o, take_work);
        doubt(o, take_work);
        break;
    case TAKEN:
        arrive(o, take_work);
        o->fetched += s->turn > 0;
        o->sites[s->site].is_released |= s->is_probe;
        break;
    case LATER:
    case REFUSED:
    case LOST_BEFORE:
        break;
    }
    settle(o, take_work, fate, fate == LOST_BEFORE && s->turn);
    if (fate != LOST_BEFORE && fate != LOST_AFTER)
        return true;
    forget(o, s);
    return false;
}

/* Slow work, in the minute that it is done: the host has it a minute before we know. */
static bool go_on(struct office *o, struct session *s)
{
    struct queue_work *work = s->work;

    if (!s->has_arrived && office_now_ms >= s->busy_until_ms - MINUTE_MS) {
        arrive(o, work);
        s->has_arrived = true;
    }
    if (office_now_ms < s->busy_until_ms)
        return false;
    s->work = NULL;
    o->fetched += s->turn > 0;
    o->sites[s->site].is_released |= s->is_probe;
    o->sites[s->site].contact_ms = office_now_ms;
    settle(o, work, TAKEN, false);
    return true;
}

/* True: something was done; the session may be gone. */
static bool work_on(struct office *o, struct session *s)
{
    bool did = false;

    if (s->work && !go_on(o, s))
        return false;
    if (s->is_ended || s->is_parked || !o->sites[s->site].is_there) {
        forget(o, s);
        return true;
    }
    for (int n = 0; n < AT_ONCE && !s->work; n++) {
        struct queue_work *work;

        if (s->left == 0) {
            forget(o, s);
            return true;
        }
        work = claim(o, s);
        if (!work)
            break;
        did = true;
        s->left--;
        if (!answer(o, s, work))
            return true;
    }
    return did;
}

/* ------------------------------------------------------------- the port ---- */

static int64_t backoff(void *user, unsigned n)
{
    struct office *o = user;

    return retry_backoff_ms(&o->settings->retry, n, office_pick(o, UINT32_MAX));
}

static bool is_probe_due(const struct office *o, enum site_name name)
{
    const struct site *site = &o->sites[name];

    return site->probe_ms && office_now_ms - site->contact_ms >= site->probe_ms;
}

static void look_for_probe(struct office *o, struct session *s)
{
    struct site *site = &o->sites[s->site];

    /* who was called before it waited again comes for nothing */
    if (office_is_allowed(o, s->site) || !is_probe_due(o, s->site))
        return;
    s->is_probe = true;
    site->probes++;
}

void branches_opened(void *worker, struct queue_slot *slot)
{
    struct office *o = office_of(worker);
    struct session *s = begin(o, slot);
    struct site *site = &o->sites[s->site];

    if (o->is_dead)
        return;
    look_for_probe(o, s);
    if (!site->is_there) {
        queue_slot_failed(slot, SPAN("4.4.1 no answer"), backoff, o);
        site->contact_ms = office_now_ms;
        /* another of its cohort may still be under way */
        site->is_released &= office_row(o, s->site).state == DESTINATION_UP;
        site->has_failed = true;
        forget(o, s);
        return;
    }
    queue_slot_connected(slot);
    s->is_greeted = true;
    site->has_failed = false;
    site->is_released |= s->is_probe;
}

void branches_ready(void *worker, struct queue_slot *slot)
{
    struct office *o = office_of(worker);
    struct session *s = session_of(o, slot);

    s->is_parked = false;
    /* it may have been meant for what another has taken since; or as a probe */
    if (!s->turn)
        look_for_probe(o, s);
}

void branches_ended(void *worker, struct queue_slot *slot)
{
    session_of(office_of(worker), slot)->is_ended = true;
}

void branches_turned(struct office *o, struct turn *take_t)
{
    unsigned left =
        o->is_calm || office_pick(o, 3) ? FOREVER : office_pick(o, 30);

    o->turns++;
    for (size_t i = 0; i < take_t->count; i++) {
        struct session *s = begin(o, take_t->slots[i]);

        take_t->slots[i] = NULL;
        s->turn = o->turns;
        s->left = left;
        s->is_greeted = true;
        queue_slot_connected(s->slot);
    }
    turn_free(take_t);
}

static bool is_busy(const struct office *o, enum site_name site)
{
    for (size_t i = 0; i < o->session_count; i++)
        if (o->sessions[i].site == site && o->sessions[i].work)
            return true;
    return false;
}

/* A parked connection is closed after a minute; a customer's only when he has had all. */
static bool is_idle_over(struct office *o, const struct session *s)
{
    bool is_over = office_now_ms >= s->parked_ms + MINUTE_MS;
    /* others may still bring back what they have */
    bool is_late = office_now_ms >= o->sites[s->site].contact_ms + MINUTE_MS &&
                   !is_busy(o, s->site);

    EXPECT(o, !s->turn || s->is_ended || !is_over || !is_late,
           "who fetches from %s is never told that it is all",
           o->sites[s->site].lane);
    return s->is_ended || (is_over && !s->turn);
}

bool branches_step(struct office *o)
{
    bool did = false;

    for (size_t i = 0; i < o->session_count; i++) {
        struct session *s = &o->sessions[i];
        size_t before = o->session_count;

        if (s->is_parked && !is_idle_over(o, s))
            continue;
        if (s->work && office_now_ms < s->busy_until_ms - MINUTE_MS)
            continue;
        did |= work_on(o, s);
        i -= o->session_count < before;
    }
    return did;
}

void branches_leave(struct office *o)
{
    while (o->session_count > 0) {
        struct session *s = &o->sessions[o->session_count - 1];
        struct queue_work *work = s->work;

        s->work = NULL;
        if (work && o->is_dead && s->has_arrived)
            doubt(o, work);
        for (size_t i = 0; work && o->is_dead && i < work->count; i++)
            if (work->envelope.sender.len)
                promise_of(o, work->recipients[i].address)->is_held = false;
        if (work)
            settle(o, work, TAKEN, !s->has_arrived || o->is_dead);
        forget(o, s);
    }
}

/* -------------------------------------------------------------- outages ---- */

void branches_come_and_go(struct office *o)
{
    for (int i = 0; i < SITES; i++) {
        struct site *s = &o->sites[i];
        unsigned hours;

        if (o->is_calm) {
            s->is_there = true;
            continue;
        }
        if (office_now_ms < s->turns_ms)
            continue;
        s->is_there = !s->is_there;
        hours = s->is_there ? 60 : s->outage_most_hours;
        s->turns_ms = office_now_ms +
                      (int64_t)(30 + office_pick(o, hours * 60)) * MINUTE_MS;
    }
}
