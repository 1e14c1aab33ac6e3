/*
 * caller - one connection to a host that is asked about mailboxes.
 *
 * A connection ends in caller_closed and nowhere else. What was not answered because an old
 * connection was lost is asked once more, over another one; any other trouble makes it
 * unknown. Functions that may free the caller say so.
 */
#include "relay/outbound/caller.h"

#include "policy/vocabulary/memory.h"
#include "relay/net/log.h"
#include "relay/outbound/callout_private.h"
#include "relay/outbound/terms.h"

#include <stdlib.h>

enum { LINGER_MS = 2000 };

#define NOTES SPAN("mailbox")
#define TO(p) (1u << (p))

enum phase { SEEKING, TALKING, PARKED, ENDING, GONE };

static const unsigned successors[] = {
    [SEEKING] = TO(TALKING) | TO(GONE),
    [TALKING] = TO(PARKED) | TO(ENDING),
    [PARKED] = TO(TALKING) | TO(ENDING),
    [ENDING] = TO(SEEKING) | TO(GONE),
    [GONE] = 0,
};

struct caller {
    struct caller *next, **here;
    struct callouts *all;
    struct settings *settings;
    struct tls_material *tls; /* of these settings */
    const struct route *route;
    struct arena arena;
    struct span place, domain;
    enum phase phase;
    struct itinerary itinerary;
    struct callout_question *question; /* NULL: none in hand */
    bool is_cut;

    /* The connection. */
    struct conn conn;
    struct client *client; /* NULL: none */
    uint64_t reckoning;
    bool is_connected; /* closed will come */
    bool was_met;      /* by any host */
    int64_t idle_ms, linger_ms;
    struct envelope envelope;
    struct client_recipient recipient;
};

static void enter(struct caller *c, enum phase phase)
{
    ASSERT(successors[c->phase] & TO(phase));
    c->phase = phase;
}

static struct terms terms_of(struct caller *c)
{
    return (struct terms){
        .delivery = c->all->delivery,
        .settings = c->settings,
        .tls = c->tls,
        .route = c->route,
        .certificate = (size_t)(c->route - c->settings->routes),
        .itinerary = &c->itinerary,
        .conn = &c->conn,
        .client = c->client,
        .reckoning = &c->reckoning,
    };
}

bool caller_is_free(const struct caller *c)
{
    return !c->question && (c->phase == PARKED || c->phase == TALKING) &&
           !c->conn.is_closing;
}

bool caller_suits(const struct caller *c, const struct callout_question *q)
{
    return c->settings == q->settings && span_is(c->place, q->place);
}

bool caller_was_met(const struct caller *c)
{
    return c->was_met;
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
static void take_outcome(struct caller *c)
{
    const struct client_outcome *o = client_outcomes(c->client);
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
    client_next(c->client, wall_ms());
}

/* ---------------------------------------------------------------- the end ---- */

/* The caller is gone after it. */
static void leave(struct caller *c)
{
    struct callouts *all = c->all;
    struct delivery *d = all->delivery;

    ASSERT(!c->is_connected && !c->client && !c->question);
    enter(c, GONE);
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
static void caller_over(struct caller *c)
{
    struct terms t = terms_of(c);
    bool was_greeted = client_is_greeted(c->client);
    bool again = !c->is_cut && terms_are_milder(&t);

    if (c->phase != ENDING)
        enter(c, ENDING);
    if (!was_greeted && !c->is_cut && !again)
        itinerary_refused(&c->itinerary, client_trouble(c->client));
    if (was_greeted && c->question)
        tell_unknown(c, client_trouble(c->client)->reply);
    terms_reckon_no_more(&t);
    client_free(c->client);
    c->client = NULL;
    if (was_greeted || c->is_cut || !c->question) {
        leave(c);
        return;
    }
    enter(c, SEEKING);
    if (again)
        itinerary_again(&c->itinerary);
    else
        itinerary_next(&c->itinerary);
}

/* The caller may be gone after it. */
static void caller_closed(void *user)
{
    struct caller *c = user;

    c->is_connected = false;
    client_lost(c->client, SPAN(""), wall_ms());
    if (client_wants(c->client) == CLIENT_DONE)
        take_outcome(c);
    caller_over(c);
}

/* Our last words are waited for, unless somebody waits for another host. */
static void finish(struct caller *c)
{
    bool has_words = client_output(c->client)->len > 0;

    enter(c, ENDING);
    (void)conn_send(&c->conn, client_output(c->client));
    c->linger_ms = wall_ms() + LINGER_MS;
    if (has_words && !c->question)
        conn_finish(&c->conn);
    else
        conn_close(&c->conn);
}

/* ---------------------------------------------------------- conversation ---- */

static void caller_reckoned(void *user, struct login *take_l);

static void flush(struct caller *c)
{
    if (client_output(c->client)->len &&
        conn_send(&c->conn, client_output(c->client)) < 0)
        conn_close(&c->conn);
}

static void ask(struct caller *c)
{
    struct client_transaction t = {
        .envelope = &c->envelope,
        .recipients = &c->recipient,
        .count = 1,
        .only_asks = true,
    };

    if (c->phase == PARKED)
        enter(c, TALKING);
    c->recipient =
        (struct client_recipient){ .address = c->question->recipient };
    client_start(c->client, &t, wall_ms());
}

static void became_free(struct caller *c)
{
    struct terms t = terms_of(c);

    if (!c->was_met) {
        itinerary_greeted(&c->itinerary);
        terms_met(&t);
    }
    c->was_met = true;
    if (!c->question &&
        (c->question = callout_next(c->all, c->place, c->settings)) != NULL)
        c->question->caller = c;
    if (c->question) {
        ask(c);
        return;
    }
    if (c->phase == TALKING)
        enter(c, PARKED);
    c->idle_ms = wall_ms() + c->route->idle_ms;
    flush(c);
}

/* Does what the engine wants until it waits for the peer. */
static void converse(struct caller *c)
{
    struct terms t = terms_of(c);

    while (c->phase == TALKING && !c->conn.is_closing) {
        switch (client_wants(c->client)) {
        case CLIENT_READS:
            flush(c);
            return;
        case CLIENT_STARTS_TLS:
            flush(c);
            if (!terms_start_tls(&t))
                conn_close(&c->conn);
            return;
        case CLIENT_COMPUTES:
            terms_reckon(&t, caller_reckoned, c);
            return;
        case CLIENT_FREE:
            became_free(c);
            break;
        case CLIENT_DONE:
            take_outcome(c);
            break;
        case CLIENT_SENDS: /* it only asks */
        case CLIENT_TURNED:
        case CLIENT_CLOSES:
            finish(c);
            return;
        }
    }
}

bool caller_ready(struct caller *c)
{
    if (c->phase != PARKED || client_wants(c->client) != CLIENT_FREE)
        return false;
    became_free(c);
    converse(c);
    return true;
}

static size_t caller_input(void *user, struct span in)
{
    struct caller *c = user;

    client_feed(c->client, in, wall_ms());
    if (c->phase == PARKED && client_wants(c->client) == CLIENT_CLOSES)
        finish(c);
    converse(c);
    return in.len;
}

static void caller_ended(void *user, int rc)
{
    struct caller *c = user;
    struct terms t = terms_of(c);

    terms_broken(&t, rc);
    converse(c);
    conn_close(&c->conn);
}

static void caller_secured(void *user)
{
    struct caller *c = user;
    struct terms t = terms_of(c);

    terms_secured(&t);
    converse(c);
}

static void caller_reckoned(void *user, struct login *take_l)
{
    struct caller *c = user;

    c->reckoning = 0;
    client_computed(c->client, take_l, wall_ms());
    converse(c);
}

static void caller_drained(void *user)
{
    struct caller *c = user;

    client_sent(c->client, wall_ms());
    converse(c);
}

static const struct conn_events conn_events = {
    .input = caller_input,
    .ended = caller_ended,
    .drained = caller_drained,
    .secured = caller_secured,
    .closed = caller_closed,
};

/* ----------------------------------------------------- beginning and time ---- */

static void on_connected(void *user, int fd)
{
    struct caller *c = user;
    struct terms t = terms_of(c);

    enter(c, TALKING);
    c->client = terms_client(&t, wall_ms());
    c->is_connected = true;
    if (conn_open(&c->conn, c->all->delivery->worker, fd, &conn_events, c) < 0)
        caller_ended(c, UV_ECONNRESET);
    else
        converse(c); /* TLS may be first */
}

/* The caller is gone after it. */
static void on_judged(void *user, enum diagnosis d, struct status status,
                      const char *words)
{
    (void)d;
    (void)status;
    fail(user, span_of(words));
}

/* The caller is gone after it. */
static void on_exhausted(void *user)
{
    struct caller *c = user;

    fail(c, buffer_span(&c->itinerary.trouble));
}

static const struct itinerary_events itinerary_events = {
    .connected = on_connected,
    .judged = on_judged,
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
    if (c->phase == SEEKING)
        leave(c);
    else if (!c->conn.is_closing)
        conn_close(&c->conn);
}

void caller_tick(struct caller *c, int64_t now_ms)
{
    if (!c->is_connected || c->conn.is_closing)
        return;
    if (c->phase == ENDING) {
        if (now_ms >= c->linger_ms)
            conn_close(&c->conn);
    } else if (c->phase == PARKED) {
        if (now_ms >= c->idle_ms) {
            client_quit(c->client, now_ms);
            finish(c);
        }
    } else if (now_ms >= client_deadline_ms(c->client)) {
        client_timeout(c->client, now_ms);
        converse(c);
    }
}
