/*
 * session_judge - the rules that waited for the message.
 *
 * At the beginning of the content it is settled what is taken of it while it
 * streams by: a digest, where a rule asks for one, and the header section apart,
 * where a rule may edit it. At its end
 *
 *   weigh     each recipient's rules, questions of many in one round; recipients
 *             whose rules cannot tell them apart share one verdict (leaders.c)
 *   refuse    with the reply of the first recipient that has one, for all
 *   charge    budgets that the message takes of, all or none; where one was
 *             taken by others meanwhile it is weighed again
 *   settle    who is held, discarded, led elsewhere; which messages it becomes
 *
 * and the draft is stored, or refused. Where answers are waited for, the step at
 * hand is taken again with them. Without rules that wait nothing of this costs
 * anything. All memory is the draft's arena, but the digest's.
 */
#include "relay/inbound/session_private.h"

#include "policy/digest.h"
#include "policy/expression.h"
#include "relay/inbound/leaders.h"
#include "relay/inbound/variants.h"

enum {
    QUESTIONS_A_ROUND = 64,
    CHARGES_TRIED = 5,
};

struct weighing {
    const struct verdict **verdicts; /* of each recipient; NULL: not yet */
    struct evidence_question *questions;
    size_t question_count, question_room;
    struct leaders leaders;
    unsigned charged; /* how often it was tried */
};

/* --- the beginning ---------------------------------------------------------- */

static bool waits(const struct draft_recipient *r)
{
    return r->verdict.set_aside_count || r->verdict.at_end_count;
}

static bool needs_message(const struct rule *const *rules, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (rules[i]->needs_message)
            return true;
    return false;
}

void session_judge_begin(struct session *s)
{
    const struct draft *d = &s->draft;

    for (size_t i = 0; i < d->count && !s->digest; i++) {
        const struct verdict *v = &d->recipients[i].verdict;

        if (needs_message(v->set_aside, v->set_aside_count) ||
            needs_message(v->at_end, v->at_end_count))
            s->digest = digest_new(s->settings);
    }
    s->keeps_head = variants_may_edit(d);
}

void session_judge_drop(struct session *s)
{
    digest_free(s->digest);
    s->digest = NULL;
}

/* --- questions ------------------------------------------------------------------ */

static void add_question(struct session *s, struct weighing *w,
                         const struct evidence_question *q)
{
    for (size_t i = 0; i < w->question_count; i++)
        if (w->questions[i].kind == q->kind &&
            span_is(w->questions[i].key, q->key))
            return;
    if (w->question_count == w->question_room) {
        size_t room = w->question_room ? w->question_room * 2 : 8;
        struct evidence_question *all =
            arena_take(&s->arena, room * sizeof *all);

        if (w->question_count)
            memcpy(all, w->questions, w->question_count * sizeof *all);
        w->questions = all;
        w->question_room = room;
    }
    w->questions[w->question_count++] = *q;
}

static session_resume_fn weigh, charged;

static void ask(struct session *s, struct weighing *w,
                session_resume_fn *resume, int64_t now_ms)
{
    session_consult(s, w->questions, w->question_count, resume, w, now_ms);
}

/* --- settling -------------------------------------------------------------------- */

/* For all of the message. */
static void refuse(struct session *s, const struct draft_recipient *r,
                   const struct verdict *v, int64_t now_ms)
{
    struct facts facts = session_facts_at(s, STAGE_CONTENT, now_ms);
    struct reply reply;

    facts.recipient = &r->address;
    reply = session_verdict_reply(s, v, &facts);
    session_refuse_for(s, SESSION_DATA_REFUSED, &reply, s->draft.sender.text,
                       r->address.text, v->rule);
    if (s->state == AT_CLOSING)
        return;
    session_reset(s);
    session_move(s, AT_READY);
}

/* Ids and trace lines of the messages but the first. */
static void name_variants(struct session *s, struct variants *v, int64_t now_ms)
{
    struct buffer trace = { 0 };

    for (size_t i = 1; i < v->count; i++) {
        v->all[i].id = s->world->new_id(s->world->user);
        if (s->draft.head.len == 0)
            continue;
        buffer_clear(&trace);
        session_content_trace(s, v->all[i].id, now_ms, &trace);
        v->all[i].trace = arena_copy(&s->arena, buffer_span(&trace));
    }
    buffer_fini(&trace);
}

static void settle(struct session *s, int64_t now_ms)
{
    struct draft *d = &s->draft;

    for (size_t i = 0; i < d->count; i++) {
        struct draft_recipient *r = &d->recipients[i];

        if (!r->at_content)
            continue;
        r->hold = r->hold || r->at_content->hold;
        if (r->at_content->kind == VERDICT_DISCARD) {
            r->discard = true;
            r->rule = r->at_content->rule;
        }
    }
    if (variants_are_needed(d)) {
        d->variants = arena_take(&s->arena, sizeof *d->variants);
        if (!variants_find(d, s->settings, &s->arena, d->variants)) {
            session_data_fail(
                s, REPLY(452, 4, 5, 3,
                         "Error: too many recipients for what is to be done"));
            return;
        }
        name_variants(s, d->variants, now_ms);
    }
    session_content_store(s);
}

/* --- charging -------------------------------------------------------------------- */

/* The same key once for a message, but where recipients are counted. */
static void add_charge(struct session *s, struct weighing *w,
                       const struct effect *e)
{
    struct evidence_question q = {
        .kind = EVIDENCE_CHARGE,
        .key = e->text,
        .rule = e->rule,
        .rate = e->rate,
        .amount = e->amount,
    };

    for (size_t i = 0; i < w->question_count; i++) {
        if (!span_is(w->questions[i].key, q.key))
            continue;
        if (e->rule->limit.count == LIMIT_OF_RECIPIENTS)
            w->questions[i].amount += q.amount;
        return;
    }
    add_question(s, w, &q);
}

static void charge(struct session *s, struct weighing *w, int64_t now_ms)
{
    const struct draft *d = &s->draft;

    w->question_count = 0;
    for (size_t i = 0; i < d->count; i++) {
        const struct verdict *v = d->recipients[i].at_content;

        for (size_t n = 0; v && n < v->effect_count; n++)
            if (v->effects[n].kind == EFFECT_CHARGE)
                add_charge(s, w, &v->effects[n]);
    }
    if (w->question_count == 0) {
        settle(s, now_ms);
        return;
    }
    evidence_forget(session_evidence(s), EVIDENCE_CHARGE);
    w->charged++;
    ask(s, w, charged, now_ms);
}

static void weigh_anew(struct session *s, struct weighing *w, int64_t now_ms)
{
    evidence_forget(session_evidence(s), EVIDENCE_BUDGET);
    memset(w->verdicts, 0, s->draft.count * sizeof(void *));
    w->leaders.count = 0;
    weigh(s, w, now_ms);
}

static void charged(struct session *s, void *what, int64_t now_ms)
{
    struct weighing *w = what;
    struct span answer;
    bool is_known = true, is_taken = true;

    for (size_t i = 0; i < w->question_count; i++) {
        enum evidence_state state =
            evidence_find(session_consult_evidence(s), EVIDENCE_CHARGE,
                          w->questions[i].key, &answer);

        is_known = is_known && state == EVIDENCE_ANSWERED;
        is_taken = is_taken && state == EVIDENCE_ANSWERED &&
                   span_is(answer, SPAN("taken"));
    }
    if (is_taken)
        settle(s, now_ms);
    else if (is_known && w->charged < CHARGES_TRIED)
        weigh_anew(s, w, now_ms);
    else
        session_data_fail(
            s, REPLY(451, 4, 3, 5, "Error: cannot tell now, try again later"));
}

/* --- weighing -------------------------------------------------------------------- */

/* All have spoken. */
static void decide(struct session *s, struct weighing *w, int64_t now_ms)
{
    struct draft *d = &s->draft;

    for (size_t i = 0; i < d->count; i++) {
        d->recipients[i].at_content = w->verdicts[i];
        if (w->verdicts[i])
            session_effects_tell(s, &d->recipients[i].address, w->verdicts[i],
                                 i ? w->verdicts[i - 1] : NULL);
    }
    for (size_t i = 0; i < d->count; i++) {
        const struct verdict *v = w->verdicts[i];

        if (v && (v->kind == VERDICT_REJECT || v->kind == VERDICT_DEFER)) {
            refuse(s, &d->recipients[i], v, now_ms);
            return;
        }
    }
    charge(s, w, now_ms);
}

/* NULL: it asks. */
static const struct verdict *weigh_one(struct session *s, struct weighing *w,
                                       const struct draft_recipient *r,
                                       struct facts *facts)
{
    const struct verdict *led = leaders_find(&w->leaders, &r->verdict);
    struct verdict *kept, v;

    if (led)
        return led;
    facts->recipient = &r->address;
    v = judge_content(s->settings, facts, &r->verdict, &s->arena, NULL);
    if (v.kind == VERDICT_ASKS) {
        for (size_t i = 0; i < v.question_count; i++)
            add_question(s, w, &v.questions[i]);
        return NULL;
    }
    kept = arena_take(&s->arena, sizeof *kept);
    *kept = v;
    leaders_add(&w->leaders, &r->verdict, kept);
    return kept;
}

static void weigh(struct session *s, void *what, int64_t now_ms)
{
    struct weighing *w = what;
    struct draft *d = &s->draft;
    struct facts facts = session_facts_at(s, STAGE_CONTENT, now_ms);
    struct expression_meter meter;

    facts.message = s->digest;
    facts.size_bytes = s->content->size;
    w->question_count = 0;
    expression_meter_begin(&meter);
    for (size_t i = 0; i < d->count; i++)
        if (!w->verdicts[i] && waits(&d->recipients[i]) &&
            w->question_count < QUESTIONS_A_ROUND)
            w->verdicts[i] = weigh_one(s, w, &d->recipients[i], &facts);
    expression_meter_end(&meter);
    if (w->question_count)
        ask(s, w, weigh, now_ms);
    else
        decide(s, w, now_ms);
}

void session_judge_end(struct session *s, int64_t now_ms)
{
    const struct draft *d = &s->draft;
    struct weighing *w;
    bool any = false;

    for (size_t i = 0; i < d->count && !any; i++)
        any = waits(&d->recipients[i]);
    if (!any) {
        settle(s, now_ms);
        return;
    }
    if (s->digest)
        digest_end(s->digest);
    w = arena_take(&s->arena, sizeof *w);
    w->verdicts = arena_take(&s->arena, d->count * sizeof(void *));
    weigh(s, w, now_ms);
}
