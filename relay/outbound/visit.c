/*
 * visit - what a courier does on one connection.
 *
 * The client says what it wants, converse() does it until the peer or the content has to be
 * waited for. A connection ends in visit_closed and nowhere else, whoever wanted it; a
 * parcel in hand then goes on to where it may still be taken.
 */
#include "relay/outbound/courier_private.h"

#include "policy/vocabulary/error.h"
#include "relay/outbound/terms.h"
#include "relay/outbound/turned.h"

enum {
    LINGER_MS = 5000,
    TURNED_IDLE_MS = 60 * 1000, /* while the queue looks for more, on disk */
};

static void converse(struct courier *c);

static struct terms terms_of(struct courier *c)
{
    return (struct terms){ .delivery = c->delivery,
                           .settings = c->settings,
                           .tls = c->tls,
                           .route = c->route,
                           .certificate =
                               (size_t)(c->route - c->settings->routes),
                           .itinerary = &c->itinerary,
                           .conn = &c->conn,
                           .client = c->client,
                           .reckoning = &c->reckoning };
}

/* ------------------------------------------------- end of a connection ---- */

/* On to where a parcel in hand may still be taken, or the end. The courier may be gone
 * after it. */
void visit_over(struct courier *c)
{
    struct parcel *p = &c->parcel;
    bool was_greeted = client_is_greeted(c->client);
    bool is_cut = c->delivery->cut_ms != 0;
    struct terms t = terms_of(c);
    bool again = !is_cut && !c->turned && terms_are_milder(&t);

    if (c->phase != PHASE_ENDING)
        courier_enter(c, PHASE_ENDING);
    turned_note_end(c);
    if (!was_greeted && !is_cut && !again && !c->turned)
        itinerary_refused(&c->itinerary, client_trouble(c->client));
    terms_reckon_no_more(&t);
    client_free(c->client);
    c->client = NULL;
    if (is_cut || c->turned || (was_greeted && !p->is_held)) {
        courier_let_go(c);
        return;
    }
    courier_enter(c, PHASE_SEEKING);
    if (again) {
        itinerary_again(&c->itinerary);
    } else if (was_greeted && parcel_may_go_afresh(p)) {
        parcel_goes_afresh(p);
        itinerary_begin(&c->itinerary);
    } else {
        parcel_moves(p);
        itinerary_next(&c->itinerary);
    }
}

void visit_note_outcomes(struct courier *c)
{
    enum parcel_fate fate =
        parcel_collect(&c->parcel, c->client, buffer_span(&c->itinerary.relay),
                       itinerary_has_more(&c->itinerary));

    client_next(c->client, wall_ms());
    if (fate != PARCEL_DONE)
        return;
    if (parcel_was_taken(&c->parcel))
        turned_sent(c);
    parcel_drop(&c->parcel);
}

static void visit_closed(void *user)
{
    struct courier *c = user;

    c->is_connected = false;
    client_lost(c->client, SPAN(""), wall_ms());
    if (c->phase == PHASE_READING)
        return; /* visit_head_arrived goes on */
    if (c->parcel.is_held && client_wants(c->client) == CLIENT_DONE)
        visit_note_outcomes(c);
    visit_over(c);
}

/* The client wants to close: last words are waited for, unless there is mail that could be
 * on its way to another host meanwhile. */
static void finish(struct courier *c)
{
    bool has_words = client_output(c->client)->len > 0;

    courier_enter(c, PHASE_ENDING);
    (void)conn_send(&c->conn, client_output(c->client));
    c->linger_ms = wall_ms() + LINGER_MS;
    if (has_words && !c->parcel.is_held && client_is_greeted(c->client))
        conn_finish(&c->conn);
    else
        conn_close(&c->conn);
}

/* Idle or told to: says goodbye. */
void visit_take_leave(struct courier *c)
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
    c->parcel.settlement.is_final =
        itinerary_hop(&c->itinerary)->kind == HOP_LMTP;
    parcel_start(&c->parcel, c->client);
}

static void park(struct courier *c)
{
    if (c->phase != PHASE_PARKED)
        courier_enter(c, PHASE_PARKED);
    c->idle_ms = wall_ms() + (c->turned ? TURNED_IDLE_MS : c->route->idle_ms);
    if (c->must_end)
        visit_take_leave(c);
}

/* Of this slot, or of a turn's next. */
static bool claim(struct courier *c)
{
    do {
        if (!turned_is_over_here(c) && courier_claim(c))
            return true;
    } while (turned_goes_on(c));
    return false;
}

/* For a client that is free. */
static void next_work(struct courier *c)
{
    if (!claim(c)) {
        park(c);
    } else if (parcel_is_large(&c->parcel)) {
        courier_enter(c, PHASE_READING);
        parcel_read_head(&c->parcel);
    } else {
        if (c->phase != PHASE_TALKING)
            courier_enter(c, PHASE_TALKING);
        meet(c);
    }
}

/* The courier may be gone after it. */
void visit_head_arrived(void *user, int rc, struct span bytes)
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
        courier_give_verdicts(c);
        return;
    }
    courier_enter(c, PHASE_TALKING);
    if (!c->is_connected) {
        visit_over(c); /* lost meanwhile */
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

void visit_part_arrived(void *user, int rc, struct span bytes)
{
    struct courier *c = user;

    ASSERT(c->phase == PHASE_TALKING);
    parcel_send_part(&c->parcel, c->client, rc, bytes);
    converse(c);
}

static void became_free(struct courier *c)
{
    struct terms t = terms_of(c);

    if (!c->was_up) {
        c->was_up = true;
        queue_slot_connected(c->slot);
    }
    if (c->conn_use == 0) {
        itinerary_greeted(&c->itinerary);
        if (!c->turned)
            terms_met(&t);
    }
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
    struct terms t = terms_of(c);

    while (c->phase == PHASE_TALKING && !c->conn.is_closing) {
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
            terms_reckon(&t, visit_reckoned, c);
            return;
        case CLIENT_FREE:
            became_free(c);
            break;
        case CLIENT_SENDS:
            if (!send_content(c))
                return;
            break;
        case CLIENT_DONE:
            visit_note_outcomes(c);
            break;
        case CLIENT_TURNED: /* no courier asks for mail */
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
    struct terms t = terms_of(c);

    terms_broken(&t, rc);
    converse(c);
    conn_close(&c->conn);
}

static void visit_secured(void *user)
{
    struct courier *c = user;
    struct terms t = terms_of(c);

    terms_secured(&t);
    converse(c);
}

void visit_reckoned(void *user, struct login *take_l)
{
    struct courier *c = user;

    c->reckoning = 0;
    client_computed(c->client, take_l, wall_ms());
    converse(c);
}

static void visit_drained(void *user)
{
    struct courier *c = user;

    client_sent(c->client, wall_ms());
    converse(c);
}

/* ------------------------------------------------------ beginning, time ---- */

static const struct conn_events conn_events = {
    .input = visit_input,
    .ended = visit_ended,
    .drained = visit_drained,
    .secured = visit_secured,
    .closed = visit_closed,
};

/* A client, for the connection that is about to be the courier's. */
static void prepare(struct courier *c)
{
    struct terms t = terms_of(c);

    courier_enter(c, PHASE_TALKING);
    c->conn_use = 0;
    c->must_end = false;
    c->opened_ms = wall_ms();
    c->client = terms_client(&t, c->opened_ms);
    c->is_connected = true;
}

static void begin(struct courier *c, int rc)
{
    if (rc < 0)
        visit_ended(c, UV_ECONNRESET);
    else
        converse(c); /* TLS may be first */
}

void visit_begin(struct courier *c, int fd)
{
    prepare(c);
    begin(c, conn_open(&c->conn, c->delivery->worker, fd, &conn_events, c));
}

void visit_take_over(struct courier *c, struct hand *take_h)
{
    prepare(c);
    begin(c,
          conn_take(&c->conn, c->delivery->worker, take_h, &conn_events, c));
}

void visit_go_on(struct courier *c)
{
    next_work(c);
    converse(c);
}

void visit_tick(struct courier *c, int64_t now_ms)
{
    if (c->phase == PHASE_ENDING) {
        if (now_ms >= c->linger_ms)
            conn_close(&c->conn);
    } else if (c->phase == PHASE_PARKED) {
        if (now_ms >= c->idle_ms)
            visit_take_leave(c);
    } else if (c->phase == PHASE_TALKING &&
               now_ms >= client_deadline_ms(c->client)) {
        client_timeout(c->client, now_ms);
        converse(c);
    }
}
