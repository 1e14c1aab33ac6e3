/*
 * courier - one slot, one connection at a time, one message after the other.
 *
 * Where to go is itinerary.c's, what becomes of each recipient parcel.c's, what is said on
 * a connection visit.c's; here are beginning and end, verdicts, and what the delivery
 * tells. Functions that may free the courier say so, and nothing of it is touched after
 * them.
 */
#include "relay/outbound/courier.h"

#include "policy/retry.h"
#include "policy/route.h"
#include "policy/vocabulary/memory.h"
#include "relay/net/log.h"
#include "relay/outbound/courier_private.h"
#include "relay/outbound/maildir.h"
#include "relay/outbound/turned.h"

#include <stdlib.h>

#define TO(p) (1u << (p))

/* Where each phase may lead. */
static const unsigned successors[] = {
    [PHASE_SEEKING] = TO(PHASE_VISITING) | TO(PHASE_READING) |
                      TO(PHASE_FILING) | TO(PHASE_GONE),
    [PHASE_VISITING] = TO(PHASE_READING) | TO(PHASE_SEEKING) | TO(PHASE_GONE),
    [PHASE_READING] = TO(PHASE_READING) | TO(PHASE_VISITING) | TO(PHASE_GONE),
    [PHASE_FILING] = TO(PHASE_GONE),
    [PHASE_GONE] = 0,
};

enum {
    CONNECTION_MOST_MS = 300 * 1000, /* no connection is kept longer */
    VERDICTS_AT_ONCE = 100,          /* then others have the loop */
};

void courier_enter(struct courier *c, enum phase phase)
{
    ASSERT(successors[c->phase] & TO(phase));
    c->phase = phase;
}

/* The courier is gone after it. */
void courier_let_go(struct courier *c)
{
    struct delivery *d = c->delivery;

    ASSERT(c->talk.state == TALK_NONE);
    courier_enter(c, PHASE_GONE);
    maildir_end(c);
    turned_end(c);
    parcel_drop(&c->parcel);
    parcel_fini(&c->parcel);
    itinerary_fini(&c->itinerary);
    queue_slot_close(c->slot);
    *c->here = c->next;
    if (c->next)
        c->next->here = c->here;
    settings_release(c->settings);
    tls_material_release(c->tls);
    arena_reset(&c->arena);
    free(c);
    delivery_left(d);
}

/* Takes the next work into the parcel. */
bool courier_claim(struct courier *c)
{
    uint32_t most = c->talk.client ? client_recipients_most(c->talk.client)
                                   : LIMIT_TRANSACTION_RECIPIENTS;
    uint32_t limit = c->route ? c->route->messages_per_connection : 0;
    struct queue_work *work;

    /* What was configured when we left may not hold for what comes now. */
    c->must_end |=
        c->settings != c->delivery->worker->settings ||
        (!c->turned &&
         ((limit && c->conn_use >= limit) ||
          (c->talk.client && wall_ms() - c->opened_ms >= CONNECTION_MOST_MS)));
    work = c->must_end ? NULL : queue_slot_next(c->slot, most);
    if (!work)
        return false;
    turned_meet(c, work);
    parcel_take(&c->parcel, c->settings, c->route, work);
    c->parcel.settlement.destination = queue_slot_destination(c->slot);
    return true;
}

/* ------------------------------------------------------------ verdicts ---- */

/* All work of this slot fares alike. The courier may be gone after it. */
void courier_give_verdicts(struct courier *c)
{
    for (int n = 0; n < VERDICTS_AT_ONCE && courier_claim(c); n++) {
        if (parcel_is_large(&c->parcel)) {
            courier_enter(c, PHASE_READING);
            parcel_read_head(&c->parcel);
            return;
        }
        parcel_judge(&c->parcel, &c->verdict);
        parcel_drop(&c->parcel);
    }
    courier_let_go(c); /* what is left opens another slot */
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
    queue_slot_exempt(c->slot);
    courier_give_verdicts(c);
}

/* ------------------------------------------------------------- hosts ---- */

static int64_t backoff(void *user, unsigned n)
{
    struct courier *c = user;

    c->rest_ms = retry_backoff_ms(&c->route->retry, n,
                                  (uint32_t)wall_us() * 2654435761u);
    return c->rest_ms;
}

/* No host of this destination can be reached or talked to. What was shown to one before
 * keeps its words and tells nothing about the destination. The courier is gone after it. */
static void on_exhausted(void *user)
{
    struct courier *c = user;
    bool was_shown = c->parcel.is_held && c->parcel.sessions > 0;
    struct span reason = buffer_span(&c->itinerary.trouble);

    parcel_drop(&c->parcel);
    if (!was_shown)
        queue_slot_failed(c->slot, reason, backoff, c);
    if (c->rest_ms) /* no recipient's line will say why it waits */
        log_text(LOG_NOTE, "%.*s rests for %lld s: %.*s",
                 SPAN_FMT(queue_slot_destination(c->slot)),
                 (long long)(c->rest_ms / 1000), SPAN_FMT(reason));
    courier_let_go(c);
}

static void on_connected(void *user, int fd)
{
    visit_begin(user, fd);
}

static const struct itinerary_events itinerary_events = {
    .connected = on_connected,
    .judged = on_judged,
    .exhausted = on_exhausted,
};

/* ---------------------------------------------------- the delivery's side ---- */

/* Into a file instead of over a connection? */
static bool is_filed(const struct courier *c)
{
    return c->route && itinerary_member(c->route, 0)->kind == HOP_MAILDIR;
}

struct courier *courier_new(struct delivery *d, struct queue_slot *slot,
                            struct settings *settings)
{
    struct courier *c = NEW(struct courier);

    c->delivery = d;
    c->slot = slot;
    c->settings = settings_hold(settings);
    c->tls = tls_material_hold(d->worker->tls);
    c->next = d->couriers;
    c->here = &d->couriers;
    if (c->next)
        c->next->here = &c->next;
    d->couriers = c;
    d->count++;
    queue_slot_attach(slot, c);
    return c;
}

void courier_open(struct delivery *d, struct queue_slot *slot)
{
    struct courier *c = courier_new(d, slot, d->worker->settings);
    struct span lane = queue_slot_lane(slot);

    c->domain = arena_copy(&c->arena, lane_domain(lane));
    c->route = lane.len ? route_of_lane(c->settings, lane) : NULL;
    if (is_filed(c))
        parcel_init(&c->parcel, d, maildir_head_arrived, maildir_part_arrived,
                    c);
    else
        parcel_init(&c->parcel, d, visit_head_arrived, visit_part_arrived, c);
    itinerary_init(&c->itinerary, d, c->route, c->domain, &itinerary_events, c);
    if (lane.len == 0)
        courier_let_go(c); /* another slot was faster */
    else if (!c->route)
        on_judged(c, DIAGNOSIS_LATER, STATUS(4, 3, 5),
                  "no route for the domain");
    else if (is_filed(c))
        maildir_begin(c);
    else
        itinerary_begin(&c->itinerary);
}

void courier_ready(struct courier *c)
{
    if (talk_is_parked(&c->talk))
        talk_go_on(&c->talk);
}

static void end_soon(struct courier *c)
{
    c->must_end = true;
    if (talk_is_parked(&c->talk))
        talk_quit(&c->talk);
}

void courier_end(struct courier *c, struct queue_slot *slot)
{
    if (!c->turned) {
        end_soon(c);
        return;
    }
    turned_slot_ended(c, slot);
    if (turned_is_over_here(c))
        courier_ready(c);
}

/* Where it is now leads nowhere any more. The courier may be gone after it. */
static void cut_short(struct courier *c)
{
    parcel_drop(&c->parcel);
    if (!c->talk.client) {
        courier_let_go(c);
        return;
    }
    if (c->phase != PHASE_VISITING)
        courier_enter(c, PHASE_VISITING);
    if (talk_is_connected(&c->talk))
        talk_close(&c->talk);
    else
        visit_over(c);
}

void courier_cut(struct courier *c, bool even_past_dot)
{
    bool is_past_dot = c->talk.client && client_is_past_dot(c->talk.client);

    if (c->phase == PHASE_FILING) { /* a copy is soon whole, and looks itself */
        end_soon(c);
        return;
    }
    if (is_past_dot && even_past_dot) {
        client_lost(c->talk.client, SPAN("this host is going down"), wall_ms());
        if (c->parcel.is_held)
            visit_note_outcomes(c);
    }
    if (even_past_dot || (!is_past_dot && !talk_is_parked(&c->talk) &&
                          c->talk.state != TALK_ENDING))
        cut_short(c);
    else
        end_soon(c);
}

void courier_tick(struct courier *c, int64_t now_ms)
{
    talk_tick(&c->talk, now_ms);
}

struct courier *courier_next(const struct courier *c)
{
    return c->next;
}
