/*
 * turning - the peer is asked for our mail: ATRN.
 *
 * Happy path: FREE, ATRN, 250: TURNED, and the peer is the client from there on. What it
 * says behind that 250 is for whoever is the server then, so nothing of it is read here.
 * 453 means that there is no mail. RFC 2645 5.2.
 */
#include "relay/outbound/turning.h"

#include "policy/vocabulary/error.h"
#include "relay/outbound/approach.h"

void turning_begin(struct client *c, const struct span *domains, size_t count)
{
    ASSERT(c->is_logged_in);
    if (!dialogue_can(c, CAN_ATRN)) {
        approach_leave(c, STATUS(4, 5, 1),
                       SPAN("peer does not offer ATRN: no mail can be fetched "
                            "from it"));
        return;
    }
    dialogue_put(c, "ATRN", SPAN(""), count ? " " : "");
    for (size_t i = 0; i < count; i++)
        dialogue_put(c, i ? "," : "", domains[i], "");
    dialogue_put(c, "", SPAN(""), "\r\n");
    dialogue_move(c, AT_TURN);
}

void turning_answered(struct client *c, const struct event *e)
{
    if (e->reply.code != 250) {
        dialogue_end_session(c, e);
        return;
    }
    c->turn_code = e->reply.code;
    dialogue_move(c, AT_TURNED);
}

void turning_refused(struct client *c, const struct event *e)
{
    c->turn_code = e->reply.code;
    dialogue_end_session(c, e);
}
