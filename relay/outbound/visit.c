/*
 * visit - what a courier does on one connection.
 *
 * What is said is talk.c's; here is what a courier has to say to the client that is free, what
 * it makes of outcomes, and the content. When the connection is over a parcel in hand goes on
 * to where it may still be taken.
 */
#include "relay/outbound/courier_private.h"

#include "relay/outbound/turned.h"

enum {
    LINGER_MS = 5000,
    TURNED_IDLE_MS = 60 * 1000, /* while the queue looks for more, on disk */
};

/* ------------------------------------------------- end of a connection ---- */

void visit_over(struct courier *c)
{
    struct parcel *p = &c->parcel;
    bool was_greeted = client_is_greeted(c->talk.client);
    bool is_cut = c->delivery->cut_ms != 0, again;

    turned_note_end(c);
    again = talk_conclude(&c->talk, !is_cut && !c->turned);
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

static void on_over(void *user)
{
    struct courier *c = user;

    if (c->phase == PHASE_VISITING)
        visit_over(c); /* else visit_head_arrived goes on */
}

void visit_note_outcomes(struct courier *c)
{
    enum parcel_fate fate = parcel_collect(&c->parcel, c->talk.client,
                                           buffer_span(&c->itinerary.relay),
                                           itinerary_has_more(&c->itinerary));

    client_next(c->talk.client, wall_ms());
    if (fate != PARCEL_DONE)
        return;
    if (parcel_was_taken(&c->parcel))
        turned_sent(c);
    parcel_drop(&c->parcel);
}

static void on_done(void *user)
{
    struct courier *c = user;

    if (c->parcel.is_held) /* else we were cut short */
        visit_note_outcomes(c);
}

/* Mail that could be on its way to another host meanwhile. */
static bool is_urgent(const void *user)
{
    return ((const struct courier *)user)->parcel.is_held;
}

/* ------------------------------------------------------------ the work ---- */

static void meet(struct courier *c)
{
    const struct tls *tls = conn_tls(&c->talk.conn);
    struct settlement *s = &c->parcel.settlement;

    c->conn_use++;
    parcel_meet(&c->parcel, c->conn_use, c->itinerary.connect_ms);
    s->was_met = true;
    s->protocol = tls ? tls_facts(tls)->protocol : NULL;
    s->trust = tls ? tls_facts(tls)->trust : TLS_ANONYMOUS;
    s->tls_policy = tls ? tls_facts(tls)->policy : NULL;
    s->is_final =
        itinerary_hop(&c->itinerary)->kind == HOP_LMTP;
    parcel_start(&c->parcel, c->talk.client);
}

static void park(struct courier *c)
{
    if (c->must_end)
        talk_quit(&c->talk);
    else
        talk_park(&c->talk, c->turned ? TURNED_IDLE_MS : c->route->idle_ms);
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
        talk_hold(&c->talk);
        parcel_read_head(&c->parcel);
    } else {
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
    courier_enter(c, PHASE_VISITING);
    if (!talk_is_connected(&c->talk)) {
        visit_over(c); /* lost meanwhile */
        return;
    }
    if (client_wants(c->talk.client) == CLIENT_FREE && c->parcel.is_held)
        meet(c);
    talk_go_on(&c->talk);
}

void visit_part_arrived(void *user, int rc, struct span bytes)
{
    struct courier *c = user;

    ASSERT(c->phase == PHASE_VISITING);
    parcel_send_part(&c->parcel, c->talk.client, rc, bytes);
    talk_go_on(&c->talk);
}

static void on_ready(void *user)
{
    struct courier *c = user;

    if (!c->was_up) {
        c->was_up = true;
        queue_slot_connected(c->slot);
    }
    if (!c->parcel.is_held)
        next_work(c);
    else if (c->parcel.here_count == 0)
        client_quit(c->talk.client, wall_ms()); /* the rest goes elsewhere */
    else if (c->conn_use == 0)
        meet(c);
    else
        parcel_start(&c->parcel, c->talk.client);
}

static void send_content(void *user)
{
    struct courier *c = user;

    parcel_send(&c->parcel, c->talk.client);
}

/* ------------------------------------------------------------ beginning ---- */

static const struct talk_events events = {
    .ready = on_ready,
    .done = on_done,
    .sends = send_content,
    .is_urgent = is_urgent,
    .over = on_over,
    .linger_ms = LINGER_MS,
};

/* For the connection that is about to be the courier's. */
static struct terms prepare(struct courier *c)
{
    courier_enter(c, PHASE_VISITING);
    c->conn_use = 0;
    c->must_end = false;
    c->opened_ms = wall_ms();
    return (struct terms){
        .delivery = c->delivery,
        .settings = c->settings,
        .tls = c->tls,
        .route = c->route,
        .certificate = (size_t)(c->route - c->settings->routes),
        .itinerary = &c->itinerary,
    };
}

void visit_begin(struct courier *c, int fd)
{
    struct terms terms = prepare(c);

    talk_open(&c->talk, &terms, &events, c, fd);
}

void visit_take_over(struct courier *c, struct hand *take_h)
{
    struct terms terms = prepare(c);

    talk_take_over(&c->talk, &terms, &events, c, take_h);
}
