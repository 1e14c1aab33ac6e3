/*
 * talk - one connection to a host, and the client that speaks on it.
 *
 * The client says what it wants, converse() does it until the peer or the owner has to be
 * waited for. A connection ends in on_closed and nowhere else, whoever wanted it. What cannot
 * be sent, or not be secured, closes the connection, and that is all: the client learns of it
 * when it is closed.
 */
#include "relay/outbound/talk.h"

#include "relay/outbound/witness.h"

#define TO(s) (1u << (s))

/* Where each state may lead. */
static const unsigned successors[] = {
    [TALK_NONE] = TO(TALK_TALKING),
    [TALK_TALKING] = TO(TALK_PARKED) | TO(TALK_HELD) | TO(TALK_ENDING) |
                     TO(TALK_GIVEN) | TO(TALK_LOST),
    [TALK_PARKED] = TO(TALK_TALKING) | TO(TALK_ENDING) | TO(TALK_LOST),
    [TALK_HELD] = TO(TALK_TALKING) | TO(TALK_LOST),
    [TALK_ENDING] = TO(TALK_LOST),
    [TALK_GIVEN] = TO(TALK_NONE),
    [TALK_LOST] = TO(TALK_NONE),
};

static void converse(struct talk *t);

static void enter(struct talk *t, enum talk_state state)
{
    ASSERT(successors[t->state] & TO(state));
    t->state = state;
}

static struct terms terms_of(struct talk *t)
{
    struct terms terms = t->terms;

    terms.conn = &t->conn;
    terms.client = t->client;
    terms.reckoning = &t->reckoning;
    return terms;
}

bool talk_is_connected(const struct talk *t)
{
    return t->state != TALK_NONE && t->state != TALK_LOST;
}

bool talk_is_up(const struct talk *t)
{
    return (t->state == TALK_TALKING || t->state == TALK_PARKED) &&
           !t->conn.is_closing;
}

bool talk_is_parked(const struct talk *t)
{
    return t->state == TALK_PARKED && !t->conn.is_closing;
}

/* To who looks on: what is about to leave. */
static void show(struct talk *t)
{
    struct span out = buffer_span(client_output(t->client));

    if (t->terms.witness)
        witness_show(t->terms.witness, out, client_is_logging_in(t->client));
}

/* ---------------------------------------------------------------- the end ---- */

/* Our last words are waited for, unless there is something better to do. */
static void finish(struct talk *t)
{
    const struct talk_events *e = t->events;
    bool has_words = client_output(t->client)->len > 0;
    bool is_urgent = e->is_urgent && e->is_urgent(t->user);

    enter(t, TALK_ENDING);
    show(t);
    (void)conn_send(&t->conn, client_output(t->client));
    t->linger_ms = wall_ms() + e->linger_ms;
    if (has_words && !is_urgent && client_is_greeted(t->client))
        conn_finish(&t->conn);
    else
        conn_close(&t->conn);
}

void talk_quit(struct talk *t)
{
    if (client_wants(t->client) == CLIENT_FREE)
        client_quit(t->client, wall_ms());
    finish(t);
}

void talk_close(struct talk *t)
{
    if (talk_is_connected(t))
        conn_close(&t->conn);
}

int talk_give(struct talk *t, struct hand *out_h)
{
    int rc = conn_give(&t->conn, out_h);

    if (rc < 0)
        return rc;
    enter(t, TALK_GIVEN);
    client_free(t->client);
    t->client = NULL;
    return 0;
}

/* The owner may be gone after it, and the talk with it. */
static void on_closed(void *user)
{
    struct talk *t = user;

    if (t->state == TALK_GIVEN) {
        enter(t, TALK_NONE);
    } else {
        enter(t, TALK_LOST);
        client_lost(t->client, SPAN(""), wall_ms());
        if (client_wants(t->client) == CLIENT_DONE)
            t->events->done(t->user);
    }
    t->events->over(t->user);
}

bool talk_conclude(struct talk *t, bool may_go_on)
{
    struct terms terms = terms_of(t);
    bool again = may_go_on && terms_are_milder(&terms);

    if (may_go_on && !again && !client_is_greeted(t->client))
        itinerary_refused(terms.itinerary, client_trouble(t->client));
    terms_reckon_no_more(&terms);
    client_free(t->client);
    t->client = NULL;
    enter(t, TALK_NONE);
    return again;
}

/* ---------------------------------------------------------- conversation ---- */

static void flush(struct talk *t)
{
    size_t before = conn_unsent(&t->conn);

    if (client_output(t->client)->len == 0)
        return;
    show(t);
    if (conn_send(&t->conn, client_output(t->client)) < 0)
        conn_close(&t->conn);
    else if (before == 0 && conn_unsent(&t->conn) == 0)
        client_sent(t->client, wall_ms());
}

static void start_tls(struct talk *t)
{
    struct terms terms = terms_of(t);

    flush(t);
    if (!terms_start_tls(&terms))
        conn_close(&t->conn);
}

static void on_reckoned(void *user, struct login *take_l)
{
    struct talk *t = user;

    t->reckoning = 0;
    client_computed(t->client, take_l, wall_ms());
    converse(t);
}

static void reckon(struct talk *t)
{
    struct terms terms = terms_of(t);

    terms_reckon(&terms, on_reckoned, t);
}

static void became_free(struct talk *t)
{
    struct terms terms = terms_of(t);

    if (!t->was_met) {
        t->was_met = true;
        itinerary_greeted(terms.itinerary);
        terms_met(&terms);
    }
    t->events->ready(t->user);
}

/* The next content; answers whether the client has all of it now. */
static bool send_content(struct talk *t)
{
    flush(t);
    if (!t->conn.is_closing && conn_unsent(&t->conn) == 0)
        t->events->sends(t->user);
    flush(t);
    return client_wants(t->client) != CLIENT_SENDS;
}

/* Does what the client wants until it waits for the peer or for the owner. */
static void converse(struct talk *t)
{
    while (t->state == TALK_TALKING && !t->conn.is_closing) {
        switch (client_wants(t->client)) {
        case CLIENT_READS:
            flush(t);
            return;
        case CLIENT_STARTS_TLS:
            start_tls(t);
            return;
        case CLIENT_COMPUTES:
            reckon(t);
            return;
        case CLIENT_FREE:
            became_free(t);
            break;
        case CLIENT_SENDS:
            if (!send_content(t))
                return;
            break;
        case CLIENT_DONE:
            t->events->done(t->user);
            break;
        case CLIENT_TURNED: /* see on_input */
            return;
        case CLIENT_CLOSES:
            finish(t);
            return;
        }
    }
}

void talk_park(struct talk *t, int64_t for_ms)
{
    enter(t, TALK_PARKED);
    t->idle_ms = wall_ms() + for_ms;
    flush(t);
}

void talk_hold(struct talk *t)
{
    enter(t, TALK_HELD);
}

void talk_go_on(struct talk *t)
{
    if (t->state != TALK_TALKING)
        enter(t, TALK_TALKING);
    converse(t);
}

/* ------------------------------------------------- what the connection tells ---- */

static size_t on_input(void *user, struct span in)
{
    struct talk *t = user;
    size_t used = client_feed(t->client, in, wall_ms());

    if (t->state == TALK_PARKED && client_wants(t->client) == CLIENT_CLOSES)
        finish(t); /* a 421, most likely */
    converse(t);
    if (t->state == TALK_TALKING && client_wants(t->client) == CLIENT_TURNED)
        t->events->turned(t->user, span_skip(in, used));
    return in.len;
}

static void on_ended(void *user, int rc)
{
    struct talk *t = user;
    struct terms terms = terms_of(t);

    terms_broken(&terms, rc);
    converse(t);
    conn_close(&t->conn);
}

static void on_secured(void *user)
{
    struct talk *t = user;
    struct terms terms = terms_of(t);

    terms_secured(&terms);
    converse(t);
}

static void on_drained(void *user)
{
    struct talk *t = user;

    client_sent(t->client, wall_ms());
    converse(t);
}

static const struct conn_events conn_events = {
    .input = on_input,
    .ended = on_ended,
    .drained = on_drained,
    .secured = on_secured,
    .closed = on_closed,
};

/* ----------------------------------------------------- beginning and time ---- */

static void prepare(struct talk *t, const struct terms *terms,
                    const struct talk_events *events, void *user)
{
    enter(t, TALK_TALKING);
    t->terms = *terms;
    t->events = events;
    t->user = user;
    t->was_met = false;
    t->client = terms_client(terms, wall_ms());
}

static void begin(struct talk *t, int rc)
{
    if (rc < 0)
        on_ended(t, UV_ECONNRESET);
    else
        converse(t); /* TLS may be first */
}

void talk_open(struct talk *t, const struct terms *terms,
               const struct talk_events *events, void *user, int fd)
{
    prepare(t, terms, events, user);
    begin(t, conn_open(&t->conn, terms->delivery->worker, fd, &conn_events, t));
}

void talk_take_over(struct talk *t, const struct terms *terms,
                    const struct talk_events *events, void *user,
                    struct hand *take_h)
{
    prepare(t, terms, events, user);
    begin(t, conn_take(&t->conn, terms->delivery->worker, take_h, &conn_events,
                       t));
}

void talk_tick(struct talk *t, int64_t now_ms)
{
    if (!talk_is_connected(t) || t->conn.is_closing)
        return;
    if (t->state == TALK_ENDING && now_ms >= t->linger_ms) {
        conn_close(&t->conn);
    } else if (t->state == TALK_PARKED && now_ms >= t->idle_ms) {
        talk_quit(t);
    } else if (t->state == TALK_TALKING &&
               now_ms >= client_deadline_ms(t->client)) {
        client_timeout(t->client, now_ms);
        converse(t);
    }
}
