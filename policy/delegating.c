/*
 * delegating - the action: what a policy server says is done.
 *
 * It is asked when no rule above waits for an answer, since asking may change what it
 * remembers. It can take away and add, never grant. Owns nothing.
 */
#include "policy/delegation.h"
#include "policy/asking.h"
#include "policy/judgement.h"

static const struct reply out_of_order =
    REPLY(451, 4, 3, 5, "Server configuration problem");

/* The reply in the arena, in Postfix's words, which people look for. */
static struct reply keep_reply(struct judgement *j, const struct reply *said)
{
    struct reply reply = *said;
    struct buffer text = { .cap = LIMIT_REPLY_STORED };

    buffer_put(&text, SPAN("<%{recipient}>: Recipient address rejected: "));
    buffer_put(&text, span_first(said->text, LIMIT_REPLY_STORED / 2));
    reply.text = judgement_keep(j, buffer_span(&text));
    buffer_fini(&text);
    return reply;
}

static enum act leave(struct judgement *j, const struct rule *r,
                      enum effect_kind kind, struct span text)
{
    (void)judgement_effect(j, kind, r, judgement_keep(j, text));
    return ACT_GOES_ON;
}

static enum act obey(struct judgement *j, const struct rule *r,
                     const struct delegation_answer *a)
{
    struct reply reply = { 0 };

    if (a->reply.code)
        reply = keep_reply(j, &a->reply);
    switch (a->action) {
    case DELEGATION_GOES_ON:
        return ACT_GOES_ON;
    case DELEGATION_REJECT:
        return judgement_decide(j, VERDICT_REJECT, r, &reply);
    case DELEGATION_DEFER:
        return judgement_decide(j, VERDICT_DEFER, r, &reply);
    case DELEGATION_DEFER_IF_PERMIT:
        j->if_permit = reply;
        j->if_permit_rule = r;
        return ACT_GOES_ON;
    case DELEGATION_DEFER_IF_REJECT:
        j->if_reject = reply;
        j->if_reject_rule = r;
        return ACT_GOES_ON;
    case DELEGATION_HOLD:
        j->verdict.hold = true;
        if (!j->verdict.hold_rule)
            j->verdict.hold_rule = r;
        return leave(j, r, EFFECT_HOLD, SPAN(""));
    case DELEGATION_DISCARD:
        return judgement_decide(j, VERDICT_DISCARD, r, NULL);
    case DELEGATION_PREPEND:
        return leave(j, r, EFFECT_ADD_HEADER, a->text);
    case DELEGATION_REDIRECT:
        return leave(j, r, EFFECT_REWRITE_TO, a->text);
    case DELEGATION_BCC:
        return leave(j, r, EFFECT_COPY, a->text);
    case DELEGATION_LOG:
        return leave(j, r, EFFECT_LOG, a->text);
    case DELEGATION_UNKNOWN:
        break;
    }
    return judgement_decide(j, VERDICT_DEFER, r, &out_of_order);
}

/* The client's name; without one it is unknown, and that is no reason not to ask. */
static enum condition_said find_name(struct judgement *j, struct span *out_name)
{
    struct buffer key = { 0 };
    enum condition_said said;

    host_address_print(&key, &j->q.facts->client);
    said = asking_find(&j->q, EVIDENCE_NAME, buffer_span(&key), 0, out_name);
    buffer_fini(&key);
    return said;
}

enum act delegating_act(struct judgement *j, const struct rule *r)
{
    struct buffer request = { 0 };
    struct span name = SPAN(""), said;
    enum act act = ACT_ASKS;

    j->q.rule = r;
    if (find_name(j, &name) == CONDITION_ASKS || j->is_pending)
        return ACT_ASKS;
    buffer_put(&request, r->text_count ? r->texts[0] : SPAN(""));
    buffer_put_byte(&request, '\n');
    delegation_write(&request, j->q.facts, name);
    switch (
        asking_find(&j->q, EVIDENCE_SERVER, buffer_span(&request), 0, &said)) {
    case CONDITION_YES: {
        struct delegation_answer answer = delegation_read(said);

        act = obey(j, r, &answer);
        break;
    }
    case CONDITION_ASKS:
        break;
    case CONDITION_NO:
    case CONDITION_UNKNOWN:
    case CONDITION_LATER:
        act = judgement_decide(j, VERDICT_DEFER, r, &out_of_order);
        break;
    }
    buffer_fini(&request);
    return act;
}
