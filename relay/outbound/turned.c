/*
 * turned - a courier over a customer's own connection.
 */
#include "relay/outbound/turned.h"

#include "policy/route.h"
#include "policy/vocabulary/memory.h"
#include "relay/net/log.h"

#include <stdlib.h>

enum { KNOWS_NO_BDAT = 1 }; /* a mark of his destinations */

struct turned {
    struct turn *turn;
    size_t next;   /* slot */
    uint32_t sent; /* messages */
    bool is_slot_over;
    struct buffer why; /* it ended; empty: all was sent */
};

/* ---------------------------------------------------------- beginning ---- */

static struct queue_slot *take_slot(struct turn *t, size_t i)
{
    struct queue_slot *slot = t->slots[i];

    t->slots[i] = NULL;
    return slot;
}

/* He offered CHUNKING and knows no BDAT: that was the end of a connection, and would be the
 * end of the next. */
static bool knows_no_bdat(const struct turn *t)
{
    for (size_t i = 0; i < t->count; i++)
        if (queue_slot_marks(t->slots[i]) & KNOWS_NO_BDAT)
            return true;
    return false;
}

static void note_no_bdat(struct courier *c)
{
    struct turn *t = c->turned->turn;

    queue_slot_mark(c->slot, KNOWS_NO_BDAT);
    for (size_t i = c->turned->next; i < t->count; i++)
        if (t->slots[i])
            queue_slot_mark(t->slots[i], KNOWS_NO_BDAT);
    if (turned_is_over_here(c)) /* it went on, without */
        return;
    buffer_put_string(&c->turned->why, "offers CHUNKING, but knows no BDAT; it "
                                       "is not used again");
}

void turned_begin(struct delivery *d, struct turn *take_t)
{
    struct turn *t = take_t;
    bool without_chunking = knows_no_bdat(t);
    struct courier *c = courier_new(d, take_slot(t, 0), t->settings);
    struct race_target customer = { .address = t->client, .port = t->port };

    c->turned = NEW(struct turned);
    c->turned->turn = t;
    c->turned->next = 1;
    c->route = t->routes[0];
    parcel_init(&c->parcel, d, visit_head_arrived, visit_part_arrived, c);
    c->parcel.frees_lost = true;
    itinerary_give(&c->itinerary, d, t->client_name, &customer);
    c->itinerary.without_chunking = without_chunking;
    for (size_t i = 1; i < t->count; i++)
        queue_slot_attach(t->slots[i], c);
    visit_take_over(c, &t->hand);
}

/* ------------------------------------------------------------ the slots ---- */

void turned_slot_ended(struct courier *c, struct queue_slot *slot)
{
    struct turn *t = c->turned->turn;

    if (slot == c->slot) {
        c->turned->is_slot_over = true;
        return;
    }
    for (size_t i = c->turned->next; i < t->count; i++)
        if (t->slots[i] == slot)
            queue_slot_close(take_slot(t, i));
}

bool turned_is_over_here(const struct courier *c)
{
    return c->turned && c->turned->is_slot_over;
}

bool turned_goes_on(struct courier *c)
{
    struct turned *t = c->turned;

    if (!turned_is_over_here(c) || c->must_end)
        return false;
    while (t->next < t->turn->count && !t->turn->slots[t->next])
        t->next++;
    if (t->next == t->turn->count) {
        c->must_end = true;
        return false;
    }
    queue_slot_close(c->slot);
    c->slot = take_slot(t->turn, t->next);
    c->route = t->turn->routes[t->next++];
    t->is_slot_over = false;
    queue_slot_connected(c->slot);
    return true;
}

void turned_meet(struct courier *c, const struct queue_work *work)
{
    const struct route *own;

    if (!c->turned)
        return;
    own = route_of_lane(c->settings, work->recipients[0].lane);
    if (own)
        c->route = own;
    client_adapt(c->talk.client,
                 c->route->chunking && !c->itinerary.without_chunking,
                 c->route->xforward);
}

/* ---------------------------------------------------------------- end ---- */

void turned_sent(struct courier *c)
{
    if (c->turned)
        c->turned->sent++;
}

void turned_note_end(struct courier *c)
{
    const struct client_outcome *trouble;

    if (!c->turned)
        return;
    trouble = client_trouble(c->talk.client);
    if (c->delivery->cut_ms)
        buffer_put_string(&c->turned->why, "this host is going down");
    else if (client_chunking_was_refused(c->talk.client))
        note_no_bdat(c);
    else if (trouble->status.class)
        buffer_put(&c->turned->why, trouble->reply);
    else if (!turned_is_over_here(c))
        buffer_put_string(&c->turned->why, "the rest waits for another time");
}

static void tell(const struct turned *t, struct span relay)
{
    struct buffer text = { 0 };

    buffer_put_escaped(&text, t->turn->login);
    buffer_printf(&text, " has fetched %u message%s over %.*s", t->sent,
                  t->sent == 1 ? "" : "s", SPAN_FMT(relay));
    if (t->why.len) {
        buffer_put_string(&text, ": ");
        buffer_put_escaped(&text, buffer_span(&t->why));
    }
    log_text(LOG_NOTE, "%s", buffer_string(&text));
    buffer_fini(&text);
}

void turned_end(struct courier *c)
{
    struct turned *t = c->turned;

    if (!t)
        return;
    tell(t, buffer_span(&c->itinerary.relay));
    turn_free(t->turn);
    buffer_fini(&t->why);
    free(t);
    c->turned = NULL;
}
