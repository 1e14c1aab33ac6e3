/*
 * obstacle - what this next hop cannot be asked.
 */
#include "relay/outbound/obstacle.h"

#include "relay/outbound/commandline.h"
#include "relay/outbound/outcome.h"

/* Can the peer take the content as it is? */
static bool fits(const struct client *c)
{
    const struct envelope *e = c->t.envelope;

    if (e->body == BODY_BINARYMIME)
        return dialogue_can(c, CAN_BINARYMIME) && dialogue_can(c, CAN_CHUNKING);
    return !e->has_8bit || dialogue_can(c, CAN_8BITMIME);
}

void obstacle_choose_way(struct client *c)
{
    bool is_converted = !fits(c) && c->t.may_convert;

    c->form = is_converted ? CLIENT_FORM_7BIT : CLIENT_FORM_ORIGINAL;
    c->is_binary = !is_converted && c->t.envelope->body == BODY_BINARYMIME;
    c->by_chunks =
        !c->t.only_asks &&
        (c->is_binary || (c->options.chunking && dialogue_can(c, CAN_CHUNKING)));
}

static bool has_control(struct span s)
{
    for (size_t i = 0; i < s.len; i++)
        if ((unsigned char)s.at[i] < ' ' || s.at[i] == 0x7f)
            return true;
    return false;
}

/* Addresses that would end the line they are put in. */
static struct client_outcome find_in_addresses(const struct client *c)
{
    if (has_control(commandline_sender(c)))
        return outcome_of_ours(DIAGNOSIS_FAILED, STATUS(5, 1, 7),
                               SPAN("sender address has a control character"));
    for (size_t i = 0; i < c->t.count; i++) {
        if (has_control(c->t.recipients[i].address))
            return outcome_of_ours(
                DIAGNOSIS_FAILED, STATUS(5, 1, 3),
                SPAN("recipient address has a control character"));
    }
    return (struct client_outcome){ 0 };
}

/* RFC 2852 4.1.4: mode R goes only where it is obeyed and can be. LMTP delivers at once. */
static struct client_outcome find_in_time(const struct client *c)
{
    const struct envelope *e = c->t.envelope;

    if (!e->deliver_by_ms || e->deliver_by_mode != DELIVER_BY_RETURN ||
        c->options.is_lmtp)
        return (struct client_outcome){ 0 };
    if (!dialogue_can(c, CAN_DELIVERBY))
        return outcome_of_ours(
            DIAGNOSIS_OTHER_HOST, STATUS(5, 3, 3),
            SPAN("message must be delivered by a point in time, but DELIVERBY "
                 "was not offered by peer"));
    if (commandline_by_s(c) < (int64_t)c->can.least_by_s)
        return outcome_of_ours(
            DIAGNOSIS_OTHER_HOST, STATUS(5, 4, 7),
            SPAN("message must be delivered sooner than peer promises"));
    return (struct client_outcome){ 0 };
}

struct client_outcome obstacle_find(const struct client *c)
{
    struct client_outcome o = find_in_addresses(c);

    if (dialogue_is_decided(&o))
        return o;
    if (commandline_needs_utf8(c) && !dialogue_can(c, CAN_SMTPUTF8))
        return outcome_of_ours(
            DIAGNOSIS_OTHER_HOST, STATUS(5, 6, 7),
            SPAN("SMTPUTF8 is required, but was not offered by peer"));
    if (c->can.size_bytes && c->t.envelope->size_bytes > c->can.size_bytes)
        return outcome_of_ours(
            DIAGNOSIS_OTHER_HOST, STATUS(5, 3, 4),
            SPAN("message is larger than the size limit of peer"));
    if (c->form == CLIENT_FORM_ORIGINAL && !fits(c))
        return outcome_of_ours(
            DIAGNOSIS_OTHER_HOST, STATUS(5, 6, 3),
            SPAN("message needs 8BITMIME or BINARYMIME, but it was not "
                 "offered by peer"));
    return find_in_time(c);
}
