/*
 * callout - is there such a mailbox? The route's host is asked, and the answer remembered.
 */
#include "relay/outbound/callout.h"

#include "policy/route.h"
#include "policy/vocabulary/memory.h"
#include "relay/net/log.h"
#include "relay/outbound/callout_private.h"

#include <stdlib.h>

enum {
    ASKED_MOST = 100,        /* at once; more is unknown */
    CALLERS_FOR_A_PLACE = 4, /* connections to one destination */
    DEADLINE_MS = 20000,     /* of a question */
    REST_MS = 10000,         /* so long a destination is not asked again */
};

#define NOTES SPAN("mailbox")

struct callout_waiter {
    struct callout_waiter *next;
    callout_done_fn *done;
    void *user;
    uint64_t token;
};

/* -------------------------------------------------------------- resting ---- */

static uint32_t hash_of(struct span place)
{
    uint32_t h = 2166136261u;

    for (size_t i = 0; i < place.len; i++)
        h = (h ^ (unsigned char)place.at[i]) * 16777619u;
    return h;
}

static void rest(struct callouts *all, struct span place)
{
    size_t i = all->rested++ % CALLOUT_RESTING;

    all->resting[i].hash = hash_of(place);
    all->resting[i].until_ms = wall_ms() + REST_MS;
}

/* Lately by us, or by those who deliver. */
static bool is_resting(const struct callouts *all,
                       const struct callout_question *q)
{
    struct buffer error = { 0 };
    uint32_t hash = hash_of(q->place);
    int64_t now = wall_ms();
    bool is_it;

    for (size_t i = 0; i < CALLOUT_RESTING; i++)
        if (all->resting[i].hash == hash && now < all->resting[i].until_ms)
            return true;
    queue_lane_error(all->delivery->worker->queue, q->lane, &error);
    is_it = error.len > 0;
    buffer_fini(&error);
    return is_it;
}

/* ------------------------------------------------------------ questions ---- */

/* With all who wait for it: nobody is told. */
static void question_free(struct callout_question *q)
{
    for (struct callout_waiter *w = q->waiters, *next; w; w = next) {
        next = w->next;
        free(w);
    }
    arena_reset(&q->arena);
    settings_release(q->settings);
    free(q);
}

/* The question is gone after it. */
void callout_answer(struct callouts *all, struct callout_question *q,
                    enum callout_answer answer, struct span reply)
{
    struct callout_waiter *waiters = q->waiters, *next;

    if (q->token)
        registry_drop(&all->delivery->registry, q->token);
    else
        all->asked--;
    *q->here = q->next;
    *(q->next ? &q->next->here : &all->end) = q->here;
    q->waiters = NULL;
    for (; waiters; waiters = next) { /* who hears it may ask again */
        next = waiters->next;
        waiters->done(waiters->user, waiters->token, answer, reply);
        free(waiters);
    }
    question_free(q);
}

struct callout_question *callout_next(struct callouts *all, struct span place,
                                      const struct settings *settings)
{
    for (struct callout_question *q = all->first; q; q = q->next)
        if (!q->token && !q->caller && q->settings == settings &&
            span_is(q->place, place))
            return q;
    return NULL;
}

static struct callout_question *find_waiting(struct callouts *all,
                                             struct span place)
{
    struct callout_question *q = all->first;

    while (q && (q->token || q->caller || !span_is(q->place, place)))
        q = q->next;
    return q;
}

void callout_fail_place(struct callouts *all, struct span place,
                        struct span why)
{
    struct span kept = span_make(span_dup(place), place.len);
    struct callout_question *q;

    if (!all->is_down) {
        rest(all, kept);
        log_text(LOG_NOTE, "recipients of %.*s cannot be verified: %.*s",
                 SPAN_FMT(kept), SPAN_FMT(why));
    }
    while ((q = find_waiting(all, kept)))
        callout_answer(all, q, CALLOUT_UNKNOWN, SPAN(""));
    free((char *)kept.at);
}

/* Finds somebody to ask. True: the question, and others, may be gone after it. */
static bool dispatch_one(struct callouts *all, struct callout_question *q)
{
    size_t n = 0;

    for (struct caller *c = all->callers; c; c = caller_next(c)) {
        if (!caller_suits(c, q))
            continue;
        n++;
        if (caller_is_free(c))
            return caller_ready(c);
    }
    if (n >= CALLERS_FOR_A_PLACE || all->caller_count >= ASKED_MOST)
        return false;
    caller_open(all, q);
    return true;
}

void callout_dispatch(struct callouts *all)
{
    struct callout_question *q = all->first;

    while (q && !all->is_down) {
        bool is_due = !q->token && !q->caller;

        /* the list may be another one now */
        q = is_due && dispatch_one(all, q) ? all->first : q->next;
    }
}

/* ------------------------------------------------------------- recalling ---- */

/* Value of a note: "yes", or "no REPLY". */
static bool read_note(struct span value, enum callout_answer *out_answer,
                      struct span *out_reply)
{
    struct span word = span_split(value, ' ', out_reply);

    *out_answer = span_is(word, SPAN("yes")) ? CALLOUT_YES : CALLOUT_NO;
    return *out_answer == CALLOUT_YES || span_is(word, SPAN("no"));
}

static void on_recalled(void *user, uint64_t token, int rc, struct span value)
{
    struct delivery *d = ((struct worker *)user)->delivery;
    struct callout_question *q = registry_find(&d->registry, token);
    struct callouts *all = d->callouts;
    enum callout_answer answer;
    struct span reply;

    if (!q)
        return;
    if (rc >= 0 && read_note(value, &answer, &reply)) {
        callout_answer(all, q, answer, reply);
        return;
    }
    if (all->is_down || all->asked >= ASKED_MOST || is_resting(all, q)) {
        callout_answer(all, q, CALLOUT_UNKNOWN, SPAN(""));
        return;
    }
    registry_drop(&d->registry, token);
    q->token = 0;
    all->asked++;
    (void)dispatch_one(all, q);
}

/* --------------------------------------------------------------- asking ---- */

static const struct route *same_route(const struct settings *s,
                                      const struct route *r)
{
    for (size_t i = 0; i < s->route_count; i++)
        if (span_is(s->routes[i].title, r->title) &&
            s->routes[i].verify.how == VERIFY_CALLOUT)
            return &s->routes[i];
    return NULL;
}

static struct callout_question *find_question(struct callouts *all,
                                              struct span key)
{
    struct callout_question *q = all->first;

    while (q && !span_is(q->key, key))
        q = q->next;
    return q;
}

static struct span keep(struct callout_question *q, struct buffer *take_text)
{
    struct span kept = arena_copy(&q->arena, buffer_span(take_text));

    buffer_fini(take_text);
    return kept;
}

/* Asked by today's configuration, where the route is still in it. */
static struct callout_question *question_new(struct callouts *all,
                                             const struct callout *c,
                                             struct span key)
{
    struct worker *w = all->delivery->worker;
    const struct route *now = same_route(w->settings, c->route);
    struct callout_question *q = NEW(struct callout_question);
    struct buffer text = { 0 };
    struct address a;

    q->settings = settings_hold(now ? w->settings : c->settings);
    q->route = now ? now : c->route;
    q->key = arena_copy(&q->arena, key);
    q->recipient = arena_copy(&q->arena, c->recipient);
    q->domain = span_skip(q->recipient, span_find_last(q->recipient, '@') + 1);
    if (address_parse(q->recipient, &a) == ADDRESS_OK &&
        lane_key(q->settings, SPAN(""), &a, &text) == 0)
        q->lane = keep(q, &text);
    buffer_fini(&text);
    destination_name(q->route, q->domain, &text);
    q->place = keep(q, &text);
    q->deadline_ms = wall_ms() + DEADLINE_MS;
    q->token = registry_put(&all->delivery->registry, q);
    q->here = all->end;
    *q->here = q;
    all->end = &q->next;
    queue_recall(w->port, NOTES, q->key, on_recalled, q->token);
    return q;
}

void callout_begin(struct worker *w, const struct callout *c)
{
    struct callouts *all = w->delivery->callouts;
    struct callout_waiter *waiter = NEW(struct callout_waiter);
    struct callout_question *q;
    struct buffer key = { 0 };

    buffer_put(&key, c->route->key);
    buffer_put_byte(&key, '\t');
    buffer_put(&key, c->recipient);
    q = find_question(all, buffer_span(&key));
    if (!q)
        q = question_new(all, c, buffer_span(&key));
    *waiter = (struct callout_waiter){ q->waiters, c->done, c->user, c->token };
    q->waiters = waiter;
    buffer_fini(&key);
}

/* ---------------------------------------------------------- time and end ---- */

void callout_open(struct delivery *d)
{
    d->callouts = NEW(struct callouts);
    d->callouts->delivery = d;
    d->callouts->end = &d->callouts->first;
}

/* Its time is over, or ours is. */
static void give_up(struct callouts *all, struct callout_question *q)
{
    struct caller *c = q->caller;
    bool was_met = !c || caller_was_met(c);
    struct span place = span_make(span_dup(q->place), q->place.len);

    q->caller = NULL;
    callout_answer(all, q, CALLOUT_UNKNOWN, SPAN(""));
    if (c)
        caller_abandon(c);
    if (!was_met)
        callout_fail_place(all, place, SPAN("no answer in time"));
    free((char *)place.at);
}

static struct callout_question *find_late(struct callouts *all, int64_t now_ms)
{
    struct callout_question *q = all->first;

    return q && now_ms >= q->deadline_ms ? q : NULL;
}

void callout_tick(struct delivery *d, int64_t now_ms)
{
    struct callouts *all = d->callouts;
    struct callout_question *q;

    while ((q = find_late(all, now_ms)))
        give_up(all, q);
    for (struct caller *c = all->callers, *next; c; c = next) {
        next = caller_next(c);
        caller_tick(c, now_ms);
    }
}

void callout_shut_down(struct delivery *d)
{
    struct callouts *all = d->callouts;

    all->is_down = true;
    while (all->first)
        give_up(all, all->first);
    for (struct caller *c = all->callers, *next; c; c = next) {
        next = caller_next(c);
        caller_abandon(c);
    }
}

/* What is left was being recalled, and that answer will not come. */
void callout_close(struct delivery *d)
{
    struct callouts *all = d->callouts;

    for (struct callout_question *q = all->first, *next; q; q = next) {
        next = q->next;
        question_free(q);
    }
    ASSERT(!all->callers);
    free(all);
}
