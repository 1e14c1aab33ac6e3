/*
 * session_effects - what rules had besides a verdict, told to the world.
 *
 * Notes are kept whatever the verdict is (greylisting remembers whom it put
 * off); what a policy server had to say, and what rules in shadow mode would
 * have done, is for the log. Owns nothing.
 */
#include "relay/inbound/session_private.h"

static void remark(struct session *s, const struct address *recipient,
                   enum session_event_kind kind, const struct effect *e)
{
    s->world->tell(s->world->user,
                   &(struct session_event){ .kind = kind,
                                            .stage = s->stage,
                                            .sender = s->draft.sender.text,
                                            .recipient = recipient->text,
                                            .rule = e->rule,
                                            .why = e->text });
}

void session_effects_tell(struct session *s, const struct address *recipient,
                          const struct verdict *v, const struct verdict *told)
{
    if (v == told)
        return;
    for (size_t i = 0; i < v->effect_count; i++) {
        const struct effect *e = &v->effects[i];

        if (e->kind == EFFECT_NOTE)
            s->world->note(s->world->user, e->text, e->value, e->expire_ms);
        else if (e->kind == EFFECT_LOG)
            remark(s, recipient, SESSION_RULE_SAID, e);
        else if (e->kind == EFFECT_SHADOW)
            remark(s, recipient, SESSION_RULE_WOULD, e);
    }
}
