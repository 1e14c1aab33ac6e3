/*
 * caller - one connection to a host that is asked about mailboxes.
 *
 * What is said on it is talk.c's. What was not answered because an old connection was lost is
 * asked once more, over another one; any other trouble makes it unknown. Functions that may
 * free the caller say so.
 */
#include "relay/outbound/caller.h"

#include "policy/vocabulary/memory.h"
#include "relay/net/log.h"
#include "relay/outbound/callout_private.h"
#include "relay/outbound/talk.h"

#include <stdlib.h>

enum { LINGER_MS = 2000 };

#define NOTES SPAN("mailbox")
struct caller {
    struct caller *next, **here;
    struct callouts *all;
    struct settings *settings;
    struct tls_material *tls; /* of these settings */
    const struct route *route;
    struct arena arena;
    struct span place, domain;
    struct itinerary itinerary;
    struct callout_question *question; /* NULL: none in hand */
    bool is_cut;
    struct talk talk;
    struct envelope envelope;
    struct client_recipient recipient;
};

bool caller_is_free(const struct caller *c)
{
    return !c->question && talk_is_up(&c->talk);
}

bool caller_suits(const struct caller *c, const struct callout_question *q)
{
    return c->settings == q->settings && span_is(c->place, q->place);
}

bool caller_was_met(const struct caller *c)
{
    return c->talk.was_met;
}

struct caller *caller_next(const struct caller *c)
{
    return c->next;
}

/* ---------------------------------------------------------------- answers ---- */

static void note(struct caller *c, const char *word, struct span reply,
                 int64_t for_ms)
{
    struct buffer value = { 0 };

    buffer_put_string(&value, word);
    buffer_put(&value, reply);
    queue_note_put(c->all->delivery->worker->queue, NOTES, c->question->key,
                   buffer_span(&value), wall_ms() + for_ms);
    buffer_fini(&value);
}

/* RFC 3463 3.3, 3.8. */
static bool is_full(struct status s)
{
    return s.subject == 2 && s.detail == 2;
}

static bool is_policy(struct status s)
{
    return s.subject == 7;
}

/* Codes that tell of the connection or the command, whatever they answer; what a policy
 * says of who asks, for a list may well refuse the null sender alone; and a mailbox that is
 * full is one. */
static bool says_nothing(const struct client_outcome *o)
{
    static const uint64_t codes[] = { 500, 502, 503, 504, 521, 530, 538, 555 };
    uint64_t code = 0;

    if (is_policy(o->status) || is_full(o->status) ||
        !span_number(span_first(o->reply, 3), &code))
        return true;
    for (size_t i = 0; i < sizeof codes / sizeof codes[0]; i++)
        if (codes[i] == code)
            return true;
    return false;
}

static void answer_question(struct caller *c, enum callout_answer answer,
                            struct span reply)
{
    struct callout_question *q = c->question;

    c->question = NULL;
    q->caller = NULL;
    callout_answer(c->all, q, answer, reply);
}

static void tell_unknown(struct caller *c, struct span why)
{
    struct buffer address = { 0 };

    buffer_put_escaped(&address, c->question->recipient);
    log_text(LOG_NOTE, "<%.*s> cannot be verified: %.*s: %.*s",
             SPAN_FMT(buffer_span(&address)),
             SPAN_FMT(buffer_span(&c->itinerary.relay)), SPAN_FMT(why));
    buffer_fini(&address);
    answer_question(c, CALLOUT_UNKNOWN, SPAN(""));
}

/* The client is done with it. */
static void caller_done(void *user)
{
    struct caller *c = user;
    const struct client_outcome *o = client_outcomes(c->talk.client);
    struct callout_question *q = c->question;
    const struct verify_settings *v = &c->route->verify;

    if (!q) {
        /* its time was over */
    } else if (o->diagnosis == DIAGNOSIS_DELIVERED) {
        note(c, "yes", SPAN(""), v->known_ms);
        answer_question(c, CALLOUT_YES, SPAN(""));
    } else if (o->diagnosis == DIAGNOSIS_FAILED && !says_nothing(o)) {
        note(c, "no ", o->reply, v->refused_ms);
        answer_question(c, CALLOUT_NO, o->reply);
    } else if (o->diagnosis == DIAGNOSIS_AGAIN_NOW && !q->was_lost) {
        q->was_lost = true;
        q->caller = NULL;
        c->question = NULL;
    } else {
        tell_unknown(c, o->reply);
    }
    client_next(c->talk.client, wall_ms());
}

/* ---------------------------------------------------------------- the end ---- */

/* The caller is gone after it. */
static void leave(struct caller *c)
{
    struct callouts *all = c->all;
    struct delivery *d = all->delivery;

    ASSERT(c->talk.state == TALK_NONE && !c->question);
    itinerary_fini(&c->itinerary);
    *c->here = c->next;
    if (c->next)
        c->next->here = c->here;
    all->caller_count--;
    settings_release(c->settings);
    tls_material_release(c->tls);
    arena_reset(&c->arena);
    free(c);
    callout_dispatch(all);
    delivery_left(d);
}

/* The host cannot be asked by anybody now. The caller is gone after it. */
static void fail(struct caller *c, struct span why)
{
    if (c->question)
        answer_question(c, CALLOUT_UNKNOWN, SPAN(""));
    callout_fail_place(c->all, c->place, why);
    leave(c);
}

/* The connection is closed. The caller may be gone after it. */
static void caller_over(void *user)
{
    struct caller *c = user;
    const struct client *client = c->talk.client;
    bool was_greeted = client_is_greeted(client), again;

    if (was_greeted && c->question)
        tell_unknown(c, client_trouble(client)->reply);
    again = talk_conclude(&c->talk, !c->is_cut);
    if (was_greeted || c->is_cut || !c->question)
        leave(c);
    else if (again)
        itinerary_again(&c->itinerary);
    else
        itinerary_next(&c->itinerary);
}

/* ---------------------------------------------------------- conversation ---- */

static void ask(struct caller *c)
{
    struct client_transaction t = {
        .envelope = &c->envelope,
        .recipients = &c->recipient,
        .count = 1,
        .only_asks = true,
    };

    c->recipient =
        (struct client_recipient){ .address = c->question->recipient };
    client_start(c->talk.client, &t, wall_ms());
}

static void caller_became_free(void *user)
{
    struct caller *c = user;

    if (!c->question &&
        (c->question = callout_next(c->all, c->place, c->settings)) != NULL)
        c->question->caller = c;
    if (c->question)
        ask(c);
    else
        talk_park(&c->talk, c->route->idle_ms);
}

/* Somebody waits for another host. */
static bool caller_is_urgent(const void *user)
{
    return ((const struct caller *)user)->question != NULL;
}

static const struct talk_events talk_events = {
    .ready = caller_became_free,
    .done = caller_done,
    .is_urgent = caller_is_urgent,
    .over = caller_over,
    .linger_ms = LINGER_MS,
};

bool caller_ready(struct caller *c)
{
    if (!talk_is_parked(&c->talk))
        return false;
    talk_go_on(&c->talk);
    return true;
}

/* ----------------------------------------------------- beginning and time ---- */

static void on_connected(void *user, int fd)
{
    struct caller *c = user;
    struct terms terms = {
        .delivery = c->all->delivery,
        .settings = c->settings,
        .tls = c->tls,
        .route = c->route,
        .certificate = (size_t)(c->route - c->settings->routes),
        .itinerary = &c->itinerary,
    };

    talk_open(&c->talk, &terms, &talk_events, c, fd);
}

/* The caller is gone after it. */
static void on_exhausted(void *user)
{
    struct caller *c = user;

    fail(c, buffer_span(&c->itinerary.trouble));
}

static const struct itinerary_events itinerary_events = {
    .connected = on_connected,
    .exhausted = on_exhausted,
};

void caller_open(struct callouts *all, struct callout_question *q)
{
    struct caller *c = NEW(struct caller);
    struct delivery *d = all->delivery;

    c->all = all;
    c->settings = settings_hold(q->settings);
    c->tls = tls_material_hold(d->worker->tls);
    c->route = q->route;
    c->place = arena_copy(&c->arena, q->place);
    c->domain = arena_copy(&c->arena, q->domain);
    c->question = q;
    q->caller = c;
    c->next = all->callers;
    c->here = &all->callers;
    if (c->next)
        c->next->here = &c->next;
    all->callers = c;
    all->caller_count++;
    d->count++;
    itinerary_init(&c->itinerary, d, c->route, c->domain, &itinerary_events, c);
    itinerary_begin(&c->itinerary);
}

/* The caller may be gone after it. */
void caller_abandon(struct caller *c)
{
    c->question = NULL;
    c->is_cut = true;
    if (c->talk.state == TALK_NONE)
        leave(c);
    else
        talk_close(&c->talk);
}

void caller_tick(struct caller *c, int64_t now_ms)
{
    talk_tick(&c->talk, now_ms);
}
