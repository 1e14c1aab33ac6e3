/*
 * courier - one slot, one connection at a time, one message after the other.
 *
 * Where to go is itinerary.c's, what becomes of each recipient parcel.c's, the words are
 * client.c's; here is when each of them has its turn. Functions that may free the courier
 * say so, and nothing of it is touched after them.
 */
#include "relay/outbound/courier.h"

#include "policy/retry.h"
#include "policy/route.h"
#include "policy/vocabulary/memory.h"
#include "relay/net/conn.h"
#include "relay/net/log.h"
#include "relay/outbound/itinerary.h"
#include "relay/outbound/parcel.h"

#include <stdlib.h>

enum phase {
    PHASE_SEEKING,
    PHASE_TALKING,
    PHASE_READING,
    PHASE_PARKED,
    PHASE_ENDING,
    PHASE_GONE,
};

#define TO(p) (1u << (p))

/* Where each phase may lead. */
static const unsigned successors[] = {
    [PHASE_SEEKING] = TO(PHASE_TALKING) | TO(PHASE_READING) | TO(PHASE_GONE),
    [PHASE_TALKING] = TO(PHASE_READING) | TO(PHASE_PARKED) | TO(PHASE_ENDING),
    [PHASE_READING] = TO(PHASE_READING) | TO(PHASE_TALKING) | TO(PHASE_ENDING) |
                      TO(PHASE_GONE),
    [PHASE_PARKED] = TO(PHASE_TALKING) | TO(PHASE_READING) | TO(PHASE_ENDING),
    [PHASE_ENDING] = TO(PHASE_SEEKING) | TO(PHASE_GONE),
    [PHASE_GONE] = 0,
};

enum {
    LINGER_MS = 5000,
    CONNECTION_MOST_MS = 300 * 1000, /* no connection is kept longer */
    VERDICTS_AT_ONCE = 100,          /* then others have the loop */
};

struct courier {
    struct courier *next, **here;
    struct delivery *delivery;
    struct queue_slot *slot;
    struct settings *settings;
    const struct route *route; /* NULL: none */
    enum phase phase;
    struct arena arena; /* for the courier's life */
    struct span domain; /* of the first lane: MX look-ups */
    struct itinerary itinerary;
    struct parcel parcel;
    bool has_verdict;
    struct client_outcome verdict;

    /* The connection. */
    struct conn conn;
    struct client *client; /* NULL: none */
    bool is_connected;     /* conn is in use, closed() will come */
    bool was_up;           /* the queue knows of a greeted connection */
    bool must_end;         /* no more work on this connection */
    int64_t opened_ms, idle_ms, linger_ms;
    uint32_t conn_use;
};

static void converse(struct courier *c);

static void enter(struct courier *c, enum phase phase)
{
    ASSERT(successors[c->phase] & TO(phase));
    c->phase = phase;
}

/* The courier is gone after it. */
static void let_go(struct courier *c)
{
    struct delivery *d = c->delivery;

    ASSERT(!c->is_connected && !c->client);
    enter(c, PHASE_GONE);
    parcel_drop(&c->parcel);
    parcel_fini(&c->parcel);
    itinerary_fini(&c->itinerary);
    queue_slot_close(c->slot);
    *c->here = c->next;
    if (c->next)
        c->next->here = c->here;
    settings_release(c->settings);
    arena_reset(&c->arena);
    free(c);
    delivery_left(d);
}

/* Takes the next work into the parcel. */
static bool claim(struct courier *c)
{
    uint32_t most = c->client ? client_recipients_most(c->client)
                              : LIMIT_TRANSACTION_RECIPIENTS;
    uint32_t limit = c->route ? c->route->messages_per_connection : 0;
    struct queue_work *work;

    /* What was configured when we left may not hold for what comes now. */
    c->must_end |=
        (limit && c->conn_use >= limit) ||
        c->settings != c->delivery->worker->settings ||
        (c->client && wall_ms() - c->opened_ms >= CONNECTION_MOST_MS);
    work = c->must_end ? NULL : queue_slot_next(c->slot, most);
    if (work)
        parcel_take(&c->parcel, c->settings, c->route, work);
    return work != NULL;
}

/* ------------------------------------------------------------ verdicts ---- */

/* All work of this slot fares alike. The courier may be gone after it. */
static void give_verdicts(struct courier *c)
{
    for (int n = 0; n < VERDICTS_AT_ONCE && claim(c); n++) {
        if (parcel_is_large(&c->parcel)) {
            enter(c, PHASE_READING);
            parcel_read_head(&c->parcel);
            return;
        }
        parcel_judge(&c->parcel, &c->verdict);
        parcel_drop(&c->parcel);
    }
    let_go(c); /* what is left opens another slot */
}

/* The courier may be gone after it. */
static void on_judged(void *user, enum diagnosis d, struct status status,
                      const char *words)
{
    struct courier *c = user;
    struct buffer b = { 0 };

    buffer_put_string(&b, words);
    if (c->domain.len) {
        buffer_put_string(&b, ": ");
        buffer_put_escaped(&b, c->domain);
    }
    c->verdict =
        (struct client_outcome){ d, status,
                                 arena_copy(&c->arena, buffer_span(&b)) };
    c->has_verdict = true;
    buffer_fini(&b);
    if (c->parcel.is_held)
        parcel_judge(&c->parcel, &c->verdict);
    parcel_drop(&c->parcel);
    queue_slot_connected(c->slot); /* there is an answer: nothing to rest for */
    give_verdicts(c);
}

/* ------------------------------------------------------------- hosts ---- */

static int64_t backoff(void *user, unsigned n)
{
    struct courier *c = user;

    return retry_backoff_ms(&c->route->retry, n,
                            (uint32_t)wall_us() * 2654435761u);
}

/* No host of this destination can be reached or talked to. What was shown to one before
 * keeps its words and tells nothing about the destination. The courier is gone after it. */
static void on_exhausted(void *user)
{
    struct courier *c = user;
    bool was_shown = c->parcel.is_held && c->parcel.sessions > 0;
    struct span reason = buffer_span(&c->itinerary.trouble);

    parcel_drop(&c->parcel);
    if (!was_shown) {
        /* No recipient's line will say why it waits. */
        log_text(LOG_NOTE, "%.*s rests: %.*s",
                 SPAN_FMT(queue_slot_destination(c->slot)), SPAN_FMT(reason));
        queue_slot_failed(c->slot, reason, backoff, c);
    }
    let_go(c);
}

static size_t visit_input(void *user, struct span in);
static void visit_ended(void *user, int rc);
static void visit_drained(void *user);
static void visit_closed(void *user);

static const struct conn_events conn_events = {
    .input = visit_input,
    .ended = visit_ended,
    .drained = visit_drained,
    .closed = visit_closed,
};

static void on_connected(void *user, int fd)
{
    struct courier *c = user;

    enter(c, PHASE_TALKING);
    c->conn_use = 0;
    c->must_end = false;
    c->opened_ms = wall_ms();
    c->client = client_new(c->settings->hostname, &client_timeouts_default,
                           c->opened_ms);
    c->is_connected = true;
    if (conn_open(&c->conn, c->delivery->worker, fd, &conn_events, c) < 0)
        visit_ended(c, UV_ECONNRESET);
}

static const struct itinerary_events itinerary_events = {
    .connected = on_connected,
    .judged = on_judged,
    .exhausted = on_exhausted,
};

/* ------------------------------------------------- end of a connection ---- */

/* On to where a parcel in hand may still be taken, or the end. The courier may be gone
 * after it. */
static void session_over(struct courier *c)
{
    struct parcel *p = &c->parcel;
    bool was_greeted = client_is_greeted(c->client);

    if (c->phase != PHASE_ENDING)
        enter(c, PHASE_ENDING);
    if (!was_greeted && !c->delivery->cut_ms)
        itinerary_refused(&c->itinerary, client_trouble(c->client));
    client_free(c->client);
    c->client = NULL;
    if (c->delivery->cut_ms || (was_greeted && !p->is_held)) {
        let_go(c);
        return;
    }
    enter(c, PHASE_SEEKING);
    if (was_greeted && parcel_may_go_afresh(p)) {
        parcel_goes_afresh(p);
        itinerary_begin(&c->itinerary);
    } else {
        parcel_moves(p);
        itinerary_next(&c->itinerary);
    }
}

static void outcomes_ready(struct courier *c)
{
    enum parcel_fate fate =
        parcel_collect(&c->parcel, c->client, buffer_span(&c->itinerary.relay),
                       itinerary_has_more(&c->itinerary));

    client_next(c->client, wall_ms());
    if (fate == PARCEL_DONE)
        parcel_drop(&c->parcel);
}

static void visit_closed(void *user)
{
    struct courier *c = user;

    c->is_connected = false;
    client_lost(c->client, SPAN(""), wall_ms());
    if (c->phase == PHASE_READING)
        return; /* head_arrived goes on */
    if (c->parcel.is_held && client_wants(c->client) == CLIENT_DONE)
        outcomes_ready(c);
    session_over(c);
}

/* The client wants to close: last words are waited for, unless there is mail that could be
 * on its way to another host meanwhile. */
static void finish(struct courier *c)
{
    bool has_words = client_output(c->client)->len > 0;

    enter(c, PHASE_ENDING);
    (void)conn_send(&c->conn, client_output(c->client));
    c->linger_ms = wall_ms() + LINGER_MS;
    if (has_words && !c->parcel.is_held && client_is_greeted(c->client))
        conn_finish(&c->conn);
    else
        conn_close(&c->conn);
}

/* Idle or told to: says goodbye. */
static void take_leave(struct courier *c)
{
    if (client_wants(c->client) == CLIENT_FREE)
        client_quit(c->client, wall_ms());
    finish(c);
}

/* ------------------------------------------------------------ the work ---- */

static void meet(struct courier *c)
{
    c->conn_use++;
    parcel_meet(&c->parcel, c->conn_use, c->itinerary.connect_ms);
    parcel_start(&c->parcel, c->client);
}

static void park(struct courier *c)
{
    if (c->phase != PHASE_PARKED)
        enter(c, PHASE_PARKED);
    c->idle_ms = wall_ms() + c->route->idle_ms;
    if (c->must_end)
        take_leave(c);
}

/* For a client that is free. */
static void next_work(struct courier *c)
{
    if (!claim(c)) {
        park(c);
    } else if (parcel_is_large(&c->parcel)) {
        enter(c, PHASE_READING);
        parcel_read_head(&c->parcel);
    } else {
        if (c->phase != PHASE_TALKING)
            enter(c, PHASE_TALKING);
        meet(c);
    }
}

/* The courier may be gone after it. */
static void head_arrived(void *user, int rc, struct span bytes)
{
    struct courier *c = user;

    (void)bytes;
    if (rc < 0)
        parcel_content_failed(&c->parcel, rc);
    else if (c->has_verdict)
        parcel_judge(&c->parcel, &c->verdict);
    if (rc < 0 || c->has_verdict)
        parcel_drop(&c->parcel);
    if (c->has_verdict) {
        give_verdicts(c);
        return;
    }
    enter(c, PHASE_TALKING);
    if (!c->is_connected) {
        session_over(c); /* lost meanwhile */
        return;
    }
    if (client_wants(c->client) == CLIENT_FREE) {
        if (c->parcel.is_held)
            meet(c);
        else
            next_work(c);
    }
    converse(c);
}

static void part_arrived(void *user, int rc, struct span bytes)
{
    struct courier *c = user;

    ASSERT(c->phase == PHASE_TALKING);
    parcel_send_part(&c->parcel, c->client, rc, bytes);
    converse(c);
}

static void became_free(struct courier *c)
{
    if (!c->was_up) {
        c->was_up = true;
        queue_slot_connected(c->slot);
    }
    if (c->conn_use == 0)
        itinerary_greeted(&c->itinerary);
    if (!c->parcel.is_held)
        next_work(c);
    else if (c->parcel.here_count == 0)
        client_quit(c->client, wall_ms()); /* the rest goes elsewhere */
    else if (c->conn_use == 0)
        meet(c);
    else
        parcel_start(&c->parcel, c->client);
}

/* --------------------------------------------------------- conversation ---- */

static void flush(struct courier *c)
{
    size_t before = conn_unsent(&c->conn);

    if (client_output(c->client)->len == 0)
        return;
    if (conn_send(&c->conn, client_output(c->client)) < 0)
        conn_close(&c->conn);
    else if (before == 0 && conn_unsent(&c->conn) == 0)
        client_sent(c->client, wall_ms());
}

/* The next content; answers whether the client has all of it now. */
static bool send_content(struct courier *c)
{
    flush(c);
    if (!c->conn.is_closing && conn_unsent(&c->conn) == 0)
        parcel_send(&c->parcel, c->client);
    flush(c);
    return client_wants(c->client) != CLIENT_SENDS;
}

/* Does what the engine wants until it waits for the peer or for content. */
static void converse(struct courier *c)
{
    while (c->phase == PHASE_TALKING && !c->conn.is_closing) {
        switch (client_wants(c->client)) {
        case CLIENT_READS:
            flush(c);
            return;
        case CLIENT_FREE:
            became_free(c);
            break;
        case CLIENT_SENDS:
            if (!send_content(c))
                return;
            break;
        case CLIENT_DONE:
            outcomes_ready(c);
            break;
        case CLIENT_CLOSES:
            finish(c);
            return;
        }
    }
}

static size_t visit_input(void *user, struct span in)
{
    struct courier *c = user;

    client_feed(c->client, in, wall_ms());
    if (c->phase == PHASE_PARKED && client_wants(c->client) == CLIENT_CLOSES)
        finish(c); /* a 421, most likely */
    converse(c);
    return in.len;
}

static void visit_ended(void *user, int rc)
{
    struct courier *c = user;

    client_lost(c->client, span_of(rc ? uv_strerror(rc) : ""), wall_ms());
    converse(c);
    conn_close(&c->conn);
}

static void visit_drained(void *user)
{
    struct courier *c = user;

    client_sent(c->client, wall_ms());
    converse(c);
}

/* ---------------------------------------------------- the delivery's side ---- */

void courier_open(struct delivery *d, struct queue_slot *slot)
{
    struct courier *c = NEW(struct courier);
    struct span lane = queue_slot_lane(slot);

    c->delivery = d;
    c->slot = slot;
    c->settings = settings_hold(d->worker->settings);
    c->next = d->couriers;
    c->here = &d->couriers;
    if (c->next)
        c->next->here = &c->next;
    d->couriers = c;
    d->count++;
    queue_slot_attach(slot, c);
    c->domain = arena_copy(&c->arena, lane_domain(lane));
    c->route = lane.len ? route_of_lane(c->settings, lane) : NULL;
    parcel_init(&c->parcel, d, head_arrived, part_arrived, c);
    itinerary_init(&c->itinerary, d, c->route, c->domain, &itinerary_events, c);
    if (lane.len == 0)
        let_go(c); /* another slot was faster */
    else if (!c->route)
        on_judged(c, DIAGNOSIS_LATER, STATUS(4, 3, 5),
                  "no route for the domain");
    else
        itinerary_begin(&c->itinerary);
}

void courier_ready(struct courier *c)
{
    if (c->phase != PHASE_PARKED || client_wants(c->client) != CLIENT_FREE)
        return;
    next_work(c);
    converse(c);
}

void courier_end(struct courier *c)
{
    c->must_end = true;
    if (c->phase == PHASE_PARKED && !c->conn.is_closing)
        take_leave(c);
}

/* Where it is now leads nowhere any more. The courier may be gone after it. */
static void cut_short(struct courier *c)
{
    parcel_drop(&c->parcel);
    if (!c->client) {
        let_go(c);
        return;
    }
    if (c->phase != PHASE_ENDING)
        enter(c, PHASE_ENDING);
    if (c->is_connected)
        conn_close(&c->conn);
    else
        session_over(c);
}

void courier_cut(struct courier *c, bool even_past_dot)
{
    bool is_past_dot = c->client && client_is_past_dot(c->client);

    if (is_past_dot && even_past_dot) {
        client_lost(c->client, SPAN("this host is going down"), wall_ms());
        if (c->parcel.is_held)
            outcomes_ready(c);
    }
    if (even_past_dot ||
        (!is_past_dot && c->phase != PHASE_PARKED && c->phase != PHASE_ENDING))
        cut_short(c);
    else
        courier_end(c);
}

void courier_tick(struct courier *c, int64_t now_ms)
{
    if (!c->is_connected || c->conn.is_closing)
        return;
    if (c->phase == PHASE_ENDING) {
        if (now_ms >= c->linger_ms)
            conn_close(&c->conn);
    } else if (c->phase == PHASE_PARKED) {
        if (now_ms >= c->idle_ms)
            take_leave(c);
    } else if (c->phase == PHASE_TALKING &&
               now_ms >= client_deadline_ms(c->client)) {
        client_timeout(c->client, now_ms);
        converse(c);
    }
}

struct courier *courier_next(const struct courier *c)
{
    return c->next;
}
