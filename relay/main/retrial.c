/*
 * retrial - what would a candidate configuration have said of what was decided once?
 *
 *   facts of the record -> judge -> asks? --(concluded from the record)--> judge again
 *                            |        +---(cannot be)--> UNKNOWN
 *                            v
 *                      rules that wait for the message: the same
 *                            v
 *                      as then?  -> SAME, or its route has changed
 *
 * How far a conclusion bears (enum trust): FULL, it follows from the record. SOFT, it is
 * likely, good enough to say that nothing changed and not to say that something did.
 */
#include "relay/main/retrial.h"

#include "policy/destinies.h"
#include "policy/ourselves.h"
#include "policy/route.h"
#include "policy/vocabulary/memory.h"
#include "relay/main/counterparts.h"
#include "relay/main/retrialrecord.h"

#include <stdlib.h>

enum { ROUNDS_MOST = 50 };

enum trust { TRUST_NONE, TRUST_SOFT, TRUST_FULL };

struct retrial {
    const struct settings *running, *candidate;
    struct counterparts *counterparts;
    bool bends_routes; /* a running rule names routes or rewrites */
    struct evidence *evidence;
    struct arena arena;
};

/* One record on trial. */
struct trial {
    struct retrial *t;
    const struct queue_past *past;
    struct retrialrecord record;
    const struct rule
        *soft; /* a conclusion that might be wrong was needed for this one */
    enum doubt soft_because;
    const struct rule *open; /* this one might refuse, nobody knows */
    enum doubt open_because;
    const struct rule *holder; /* it held then, and so it does now */
    bool is_over;              /* finding is the answer */
    struct finding finding;
};

static bool bends_routes(const struct settings *s)
{
    for (size_t i = 0; i < s->rule_count; i++)
        if (s->rules[i].action == ACTION_ROUTE ||
            s->rules[i].action == ACTION_REWRITE ||
            s->rules[i].action == ACTION_POLICY)
            return true;
    return false;
}

struct retrial *retrial_new(const struct settings *running,
                            const struct settings *candidate)
{
    struct retrial *t = NEW(struct retrial);

    t->running = running;
    t->candidate = candidate;
    t->counterparts = counterparts_new(running, candidate);
    t->bends_routes = bends_routes(running);
    t->evidence = evidence_new();
    return t;
}

void retrial_free(struct retrial *t)
{
    if (!t)
        return;
    counterparts_free(t->counterparts);
    evidence_free(t->evidence);
    arena_reset(&t->arena);
    free(t);
}

/* ------------------------------------------------ what it tells of ---- */

static void doubt(struct trial *x, const struct rule *r, enum doubt because)
{
    x->is_over = true;
    x->finding.kind = FINDING_UNKNOWN;
    x->finding.rule = r;
    x->finding.because = because;
}

/* That a rule is passed by keeps nobody out. */
static bool may_refuse(const struct rule *r)
{
    switch (r->action) {
    case ACTION_REJECT:
    case ACTION_DEFER:
    case ACTION_DISCARD:
    case ACTION_LIMIT:
    case ACTION_GREYLIST:
    case ACTION_POLICY:
    case ACTION_HOLD:
        return true;
    case ACTION_RELAY:
    case ACTION_TAG:
    case ACTION_ADD_HEADER:
    case ACTION_REMOVE_HEADER:
    case ACTION_REWRITE:
    case ACTION_COPY:
    case ACTION_ROUTE:
        break;
    }
    return false;
}

/* Whatever it says, nobody is let in who would not be without it. */
static bool only_refuses(const struct rule *r)
{
    return may_refuse(r) && r->action != ACTION_HOLD &&
           r->action != ACTION_DISCARD &&
           !(r->action == ACTION_LIMIT && r->limit.over == LIMIT_HOLDS);
}

/* Was this rule tested then, and passed by? */
static enum trust trust_in(const struct trial *x, const struct rule *r)
{
    const struct counterparts *c = x->t->counterparts;
    const struct queue_past *p = x->past;
    ptrdiff_t here = counterparts_of(c, r), decided;

    if (r->is_shadow)
        return TRUST_FULL;
    if (here < 0)
        return TRUST_NONE;
    if (!may_refuse(r))
        return TRUST_SOFT;
    if (p->is_refusal && p->ruling.rule.len == 0)
        return TRUST_FULL; /* all were tested, none granted */
    decided = counterparts_titled(c, p->ruling.rule);
    if (decided < 0)
        return p->is_refusal ? TRUST_SOFT : TRUST_FULL;
    return here < decided ? TRUST_FULL : TRUST_SOFT;
}

/* Is it this rule that decided then? */
static bool decided_then(const struct trial *x, const struct rule *r)
{
    return x->past->is_refusal && span_is(r->title, x->past->ruling.rule) &&
           counterparts_of(x->t->counterparts, r) >= 0;
}

static bool held_then(const struct trial *x, const struct rule *r)
{
    return !x->past->is_refusal && span_is(r->title, x->past->ruling.held_by) &&
           counterparts_of(x->t->counterparts, r) >= 0;
}

/* A rule wants what is not known any more. */
static void conclude(struct trial *x, const struct rule *r, enum doubt because)
{
    if (decided_then(x, r)) {
        x->is_over = true;
        x->finding.kind = FINDING_SAME;
        x->finding.rule = r;
        return;
    }
    if (held_then(x, r)) {
        x->holder = r;
        return;
    }
    switch (trust_in(x, r)) {
    case TRUST_NONE:
        if (!only_refuses(r)) {
            doubt(x, r, because);
        } else if (!x->open) {
            x->open = r;
            x->open_because = because;
        }
        break;
    case TRUST_SOFT:
        x->soft = r;
        x->soft_because = because;
        break;
    case TRUST_FULL:
        break;
    }
}

/* What each kind of question is answered with, where the rule was passed by. */
static const struct {
    enum doubt because;
    struct span answer;
} answers[] = {
    /* clang-format off */
    [EVIDENCE_NAME]      = { DOUBT_DNS,    SPAN_INIT("") },
    [EVIDENCE_ADDRESSES] = { DOUBT_DNS,    SPAN_INIT("") },
    [EVIDENCE_NOTE]      = { DOUBT_MEMORY, SPAN_INIT("1 1 1") },
    [EVIDENCE_BUDGET]    = { DOUBT_MEMORY, SPAN_INIT("9000000000000000000") },
    [EVIDENCE_COUNT]     = { DOUBT_MEMORY, SPAN_INIT("0") },
    [EVIDENCE_SERVER]    = { DOUBT_SERVER, SPAN_INIT("DUNNO") },
    [EVIDENCE_MAILBOX]   = { DOUBT_MEMORY, SPAN_INIT("yes") },
    [EVIDENCE_CHARGE]    = { DOUBT_MEMORY, SPAN_INIT("taken") },
    /* clang-format on */
};

static void answer(struct trial *x, const struct evidence_question *q)
{
    struct span name = x->past->client_name, said = answers[q->kind].answer;

    if (q->kind == EVIDENCE_NAME && name.len && !span_is(name, SPAN("unknown")))
        said = name;
    else
        conclude(x, q->rule, answers[q->kind].because);
    evidence_put(x->t->evidence, q->kind, q->key, EVIDENCE_ANSWERED, said);
}

static void forget(struct retrial *t)
{
    for (int kind = 0; kind < EVIDENCE_KINDS; kind++)
        evidence_forget(t->evidence, (enum evidence_kind)kind);
}

static struct verdict ask(struct trial *x, const struct settings *s,
                          bool is_concluding)
{
    struct verdict v = { .kind = VERDICT_ASKS };

    for (int round = 0; v.kind == VERDICT_ASKS && round < ROUNDS_MOST;
         round++) {
        v = x->record.facts.recipient &&
                    is_our_postmaster(s, x->record.facts.recipient)
                ? judge_ourselves(s, &x->record.facts, &x->t->arena, NULL)
                : judge(s, &x->record.facts, &x->t->arena, NULL);
        for (size_t i = 0; i < v.question_count && !x->is_over; i++)
            if (is_concluding)
                answer(x, &v.questions[i]);
            else
                return v;
        if (x->is_over)
            break;
    }
    return v;
}

/* ----------------------------------------------------- what follows ---- */

/* Of who was accepted the real size is known, which is all that some rules wait for. */
static bool waits_for_size(const struct trial *x, const struct rule *r)
{
    return !x->past->is_refusal && !r->needs_message;
}

static void weigh_size(struct trial *x, struct verdict *v)
{
    const struct rule **rules = arena_take(
        &x->t->arena, (v->set_aside_count + 1) * sizeof(const struct rule *));
    struct verdict granted = *v, said;
    struct facts facts = x->record.facts;

    granted.set_aside = rules;
    granted.set_aside_count = granted.at_end_count = 0;
    for (size_t i = 0; i < v->set_aside_count; i++)
        if (waits_for_size(x, v->set_aside[i]))
            rules[granted.set_aside_count++] = v->set_aside[i];
    if (granted.set_aside_count == 0)
        return;
    facts.stage = STAGE_CONTENT;
    said = judge_content(x->t->candidate, &facts, &granted, &x->t->arena, NULL);
    for (size_t i = 0; i < said.question_count && !x->is_over; i++)
        answer(x, &said.questions[i]);
    if (said.kind == VERDICT_OPEN || said.kind == VERDICT_ASKS) {
        v->hold = v->hold || said.hold;
        v->hold_rule = v->hold_rule ? v->hold_rule : said.hold_rule;
        return;
    }
    v->kind = said.kind;
    v->rule = said.rule;
    v->reply = said.reply;
}

static void wait_for_message(struct trial *x, const struct verdict *v)
{
    for (size_t i = 0; i < v->set_aside_count && !x->is_over; i++)
        if (may_refuse(v->set_aside[i]) && !waits_for_size(x, v->set_aside[i]))
            conclude(x, v->set_aside[i], DOUBT_MESSAGE);
    for (size_t i = 0; i < v->at_end_count && !x->is_over; i++)
        if (may_refuse(v->at_end[i]) && !v->at_end[i]->is_shadow)
            conclude(x, v->at_end[i], DOUBT_MEMORY);
}

static enum fate fate_now(const struct verdict *v, bool is_held)
{
    switch (v->kind) {
    case VERDICT_RELAY:
        return is_held ? FATE_HELD : FATE_ACCEPTED;
    case VERDICT_DISCARD:
        return FATE_DISCARDED;
    case VERDICT_REJECT:
        return FATE_REFUSED;
    case VERDICT_DEFER:
        return FATE_DEFERRED;
    case VERDICT_OPEN:
    case VERDICT_ASKS:
        break;
    }
    return FATE_LET_ON;
}

/* A rule that could not be told, and not one that says so by its own words. */
static bool is_undecided(const struct verdict *v)
{
    return v->kind == VERDICT_DEFER && v->rule && v->rule->reply.code == 0 &&
           v->reply.code == 451 && v->reply.status.subject == 3;
}

/* Where the running configuration sends it; NULL: nowhere, or that is not known. */
static const struct route *route_then(struct trial *x)
{
    const struct settings *s = x->t->running;
    struct verdict v;
    struct destiny *all;

    if (!x->t->bends_routes)
        return route_find(s, x->record.sender.text, &x->record.recipient);
    v = ask(x, s, false);
    if (v.kind != VERDICT_RELAY)
        return NULL;
    (void)destinies_find(s, x->record.sender.text, &x->record.recipient, &v,
                         NULL, &x->t->arena, &all);
    return all[0].route;
}

static void compare_routes(struct trial *x, const struct verdict *v)
{
    const struct route *then = route_then(x), *now;
    struct destiny *all;

    (void)destinies_find(x->t->candidate, x->record.sender.text,
                         &x->record.recipient, v, NULL, &x->t->arena, &all);
    now = all[0].route;
    if (then && !now) {
        x->finding.kind = FINDING_CHANGED;
        x->finding.now = FATE_DEFERRED;
        x->finding.rule = NULL;
        x->finding.reply = REPLY(451, 4, 3, 5, "Server configuration problem");
    } else if (then && now && !span_is(then->key, now->key)) {
        x->finding.kind = FINDING_REROUTED;
        x->finding.route_then = then->title;
        x->finding.route_now = now->title;
    }
}

/* Who was refused, and now is not. */
static bool is_let_in(const struct finding *f)
{
    return (f->then == FATE_REFUSED || f->then == FATE_DEFERRED) &&
           (f->now == FATE_ACCEPTED || f->now == FATE_HELD);
}

/* As it would have been sent to this client. */
static void put_reply(struct trial *x, const struct verdict *v)
{
    struct finding *f = &x->finding;
    struct buffer text = { 0 };

    f->reply = v->reply;
    if (v->reply.code == 0)
        return;
    verdict_text(&text, v->reply.text, &x->record.facts, v->rule);
    f->reply.text = arena_copy(&x->t->arena, buffer_span(&text));
    buffer_fini(&text);
}

static void compare(struct trial *x, const struct verdict *v)
{
    struct finding *f = &x->finding;
    bool is_held = v->hold || x->holder;

    f->now = fate_now(v, is_held);
    f->rule = v->rule;
    put_reply(x, v);
    if (f->now == FATE_HELD)
        f->rule = v->hold ? v->hold_rule : x->holder;
    if (x->open && (f->now != FATE_REFUSED || f->then == FATE_DEFERRED)) {
        doubt(x, x->open, x->open_because);
    } else if (f->now == f->then) {
        f->kind = FINDING_SAME;
        if (v->kind == VERDICT_RELAY)
            compare_routes(x, v);
    } else if (x->soft && !is_let_in(f)) {
        doubt(x, x->soft, x->soft_because);
    } else {
        f->kind = FINDING_CHANGED;
        f->unless = x->soft;
        f->because = x->soft_because;
    }
}

struct finding retrial_judge(struct retrial *t, const struct queue_past *p)
{
    struct trial x = { .t = t, .past = p };
    struct verdict v;

    arena_reset(&t->arena);
    x.finding.then = retrialrecord_fate(p);
    if (!retrialrecord_is_verdict(p)) {
        x.finding.kind = FINDING_OTHER;
        return x.finding;
    }
    if (!retrialrecord_read(&x.record, p)) {
        doubt(&x, NULL, DOUBT_FACTS);
        return x.finding;
    }
    x.record.facts.evidence = t->evidence;
    v = ask(&x, t->candidate, true);
    if (!x.is_over && v.kind == VERDICT_ASKS)
        doubt(&x, v.questions[0].rule, answers[v.questions[0].kind].because);
    if (!x.is_over && is_undecided(&v))
        doubt(&x, v.rule, DOUBT_FACTS);
    if (!x.is_over && (v.kind == VERDICT_RELAY || v.kind == VERDICT_DISCARD))
        weigh_size(&x, &v);
    if (!x.is_over && (v.kind == VERDICT_RELAY || v.kind == VERDICT_DISCARD))
        wait_for_message(&x, &v);
    if (!x.is_over)
        compare(&x, &v);
    forget(t);
    return x.finding;
}
