/*
 * session_effects - what rules had besides a verdict.
 *
 * Notes are kept whatever the verdict is (greylisting remembers whom it put off); what a
 * policy server had to say, and what rules in shadow mode would have done, is for the log,
 * when the verdict is obeyed. What an accepted recipient takes of a budget is asked for in one
 * round, so that all of it is taken or none. Owns nothing.
 */
#include "relay/inbound/session_private.h"

void session_effects_note(struct session *s, const struct verdict *v)
{
    for (size_t i = 0; i < v->effect_count; i++) {
        const struct effect *e = &v->effects[i];

        if (e->kind != EFFECT_NOTE)
            continue;
        s->world->note(s->world->user, e->text, e->value, e->expire_ms);
        /* asked once more, it is what it is now */
        evidence_put(session_evidence(s), EVIDENCE_NOTE, e->text,
                     EVIDENCE_ANSWERED, e->value);
    }
}

static void remark(struct session *s, struct span recipient,
                   enum session_event_kind kind, const struct effect *e)
{
    s->world->tell(s->world->user,
                   &(struct session_event){ .kind = kind,
                                            .stage = s->stage,
                                            .sender = s->draft.sender.text,
                                            .recipient = recipient,
                                            .rule = e->rule,
                                            .why = e->text });
}

void session_effects_remark(struct session *s, struct span recipient,
                            const struct verdict *v)
{
    for (size_t i = 0; i < v->effect_count; i++) {
        const struct effect *e = &v->effects[i];

        if (e->kind == EFFECT_LOG)
            remark(s, recipient, SESSION_RULE_SAID, e);
        else if (e->kind == EFFECT_SHADOW)
            remark(s, recipient, SESSION_RULE_WOULD, e);
    }
}

void session_effects_tell(struct session *s, const struct address *recipient,
                          const struct verdict *v, const struct verdict *told)
{
    if (v == told)
        return;
    session_effects_note(s, v);
    session_effects_remark(s, recipient->text, v);
}

/* ------------------------------------------------------------- budgets ---- */

static bool is_charge(const struct effect *e)
{
    return e->kind == EFFECT_CHARGE || e->kind == EFFECT_COUNT;
}

size_t session_effects_charges(struct session *s, const struct verdict *v,
                               const struct evidence_question **out_all)
{
    struct evidence_question *all;
    size_t count = 0;

    for (size_t i = 0; i < v->effect_count; i++)
        count += is_charge(&v->effects[i]);
    if (count == 0)
        return 0;
    all = arena_take(&s->arena, count * sizeof *all);
    count = 0;
    for (size_t i = 0; i < v->effect_count; i++) {
        const struct effect *e = &v->effects[i];

        if (is_charge(e))
            all[count++] = (struct evidence_question){ .kind = EVIDENCE_CHARGE,
                                                       .key = e->text,
                                                       .rule = e->rule,
                                                       .rate = e->rate,
                                                       .amount = e->amount };
    }
    *out_all = all;
    return count;
}

enum session_charged session_effects_charged(struct session *s,
                                             const struct verdict *v)
{
    enum session_charged said = CHARGED;

    for (size_t i = 0; i < v->effect_count && said != CHARGED_OVER; i++) {
        struct span answer = { 0 };
        bool is_answered;

        if (!is_charge(&v->effects[i]))
            continue;
        is_answered =
            evidence_find(session_consult_evidence(s), EVIDENCE_CHARGE,
                          v->effects[i].text, &answer) == EVIDENCE_ANSWERED;
        if (is_answered && span_is(answer, SPAN("over")))
            said = CHARGED_OVER;
        else if (!is_answered || !span_is(answer, SPAN("taken")))
            said = CHARGED_NOT;
    }
    evidence_forget(session_evidence(s), EVIDENCE_CHARGE);
    evidence_forget(session_evidence(s), EVIDENCE_COUNT);
    if (said == CHARGED_OVER)
        evidence_forget(session_evidence(s), EVIDENCE_BUDGET);
    return said;
}
