/*
 * judge - may this recipient be accepted from this client?
 *
 *   for each rule, from the top:
 *       a condition is false             -> next
 *       one is not known at this stage   -> early: OPEN, but for rules that only add
 *                                           something; RECIPIENT: set aside, next
 *       one is somebody else's to tell   -> its questions; next, to gather more of them
 *       one cannot be told               -> 451, for the rule can neither be passed over (it
 *                                           might refuse) nor obeyed (it might grant)
 *       hold                             -> the action acts (effects.c, limitation.c,
 *                                           greylisting.c, delegation.c) and decides, asks
 *                                           or goes on
 *   no rule left                         -> 554 5.7.1 Relay access denied
 *
 * With questions gathered the answer is ASKS, whatever came after the first; that walk only
 * saved a round. In shadow mode a rule acts and is undone, but for what a limit counts,
 * and what it did is told.
 *
 * Owns nothing.
 */
#include "policy/judge.h"

#include "policy/asking.h"
#include "policy/expression.h"
#include "policy/judgement.h"
#include "policy/rule_index.h"

static const struct reply denied =
    REPLY(554, 5, 7, 1, "<%{recipient}>: Relay access denied");
static const struct reply undecided =
    REPLY(451, 4, 3, 5, "<%{recipient}>: Cannot tell now, try again later");

static void tell(const struct judgement *j, const struct rule *r,
                 enum rule_fate fate, const struct condition *which)
{
    if (j->watch)
        j->watch->rule(j->watch->user, r, fate, which);
}

/* --- do its conditions hold? ----------------------------------------------- */

static int weight(enum condition_said said)
{
    static const int weights[] = {
        [CONDITION_YES] = 0,   [CONDITION_UNKNOWN] = 1, [CONDITION_ASKS] = 2,
        [CONDITION_LATER] = 3, [CONDITION_NO] = 4,
    };

    return weights[said];
}

/*
 * The heaviest answer is that of the rule. Those that ask are tried last, and what they
 * wanted to ask is forgotten where another condition makes it moot.
 */
static enum condition_said rule_holds(struct judgement *j, const struct rule *r,
                                      const struct condition **out_which)
{
    enum condition_said all = CONDITION_YES;
    size_t asked = j->q.inquiry.count;

    *out_which = NULL;
    j->q.rule = r;
    for (int last = 0; last < 2; last++) {
        for (size_t i = 0; i < r->condition_count; i++) {
            enum condition_said one;

            if (condition_asks_others(&r->conditions[i]) != last)
                continue;
            one = condition_holds(&r->conditions[i], &j->q);
            if (weight(one) > weight(all)) {
                all = one;
                *out_which = &r->conditions[i];
            }
            if (one == CONDITION_NO)
                break;
        }
        if (all == CONDITION_NO)
            break;
    }
    if (all == CONDITION_NO || all == CONDITION_LATER)
        j->q.inquiry.count = asked;
    return all;
}

/* --- one rule --------------------------------------------------------------- */

/* Could it end the walk? The others only add something. */
static bool may_decide(const struct rule *r)
{
    if (r->is_shadow)
        return false;
    switch (r->action) {
    case ACTION_RELAY:
    case ACTION_REJECT:
    case ACTION_DEFER:
    case ACTION_DISCARD:
    case ACTION_LIMIT:
    case ACTION_GREYLIST:
    case ACTION_POLICY:
    case ACTION_REWRITE:
        return true;
    case ACTION_HOLD:
    case ACTION_TAG:
    case ACTION_ADD_HEADER:
    case ACTION_REMOVE_HEADER:
    case ACTION_COPY:
    case ACTION_ROUTE:
        break;
    }
    return false;
}

/* Its conditions say all, so that it may be told early that it does not hold. */
static bool decides_by_itself(const struct rule *r)
{
    return r->action == ACTION_RELAY || r->action == ACTION_DISCARD ||
           r->action == ACTION_REJECT || r->action == ACTION_DEFER;
}

static bool refuses(const struct rule *r)
{
    return !r->is_shadow &&
           (r->action == ACTION_REJECT || r->action == ACTION_DEFER);
}

/* Its tags may come yet: conditions that ask for them have to wait. */
static void expect_tags(struct judgement *j, const struct rule *r)
{
    struct rule_list taggers = { j->q.taggers, j->q.tagger_count,
                                 j->q.tagger_room };

    if (r->action != ACTION_TAG || r->is_shadow)
        return;
    rule_list_add(&taggers, j->q.arena, r);
    j->q.taggers = taggers.all;
    j->q.tagger_count = taggers.count;
    j->q.tagger_room = taggers.room;
}

/* What stands still until the message is here. */
static bool set_aside(struct judgement *j, const struct rule *r,
                      const struct condition *which)
{
    /* who grants must know now */
    if (r->action == ACTION_RELAY) {
        tell(j, r, RULE_NOT_MATCHED, which);
        return true;
    }
    tell(j, r, RULE_SET_ASIDE, which);
    rule_list_add(r->is_shadow ? &j->at_end : &j->set_aside, j->q.arena, r);
    expect_tags(j, r);
    return true;
}

/* Each returns whether the walk goes on. */

static bool meet_later(struct judgement *j, const struct rule *r,
                       const struct condition *which)
{
    if (j->q.facts->stage == STAGE_RECIPIENT && !j->is_pending)
        return set_aside(j, r, which);
    tell(j, r, RULE_UNKNOWN, which);
    expect_tags(j, r);
    /* a tag that an answer may yet set is worth that answer */
    if (j->is_pending && which && which->fact == FACT_TAG) {
        j->is_open = j->is_open || may_decide(r);
        if (refuses(r))
            j->useful = j->q.inquiry.count;
        return true;
    }
    return !judgement_is_early(j) || !may_decide(r);
}

static bool meet_asking(struct judgement *j, const struct rule *r,
                        const struct condition *which)
{
    tell(j, r, RULE_UNKNOWN, which);
    expect_tags(j, r);
    j->is_pending = true;
    j->is_open = j->is_open || may_decide(r) || r->is_shadow;
    if (!judgement_is_early(j))
        return true;
    if (refuses(r))
        j->useful = j->q.inquiry.count;
    return !may_decide(r) || decides_by_itself(r);
}

static bool meet_unknown(struct judgement *j, const struct rule *r,
                         const struct condition *which)
{
    tell(j, r, RULE_UNKNOWN, which);
    if (r->is_shadow) {
        (void)judgement_effect(j, EFFECT_SHADOW, r, SPAN("cannot tell"));
        return true;
    }
    /* what cannot be told is asked once more for each recipient, not of the session */
    if (judgement_is_early(j))
        return false;
    (void)judgement_decide(j, VERDICT_DEFER, r, &undecided);
    return false;
}

/* A limit goes on counting, or it could never tell that it is over. Its budget is its own. */
static void keep_counting(struct judgement *j, const struct judgement *acted,
                          const struct rule *r)
{
    for (size_t i = j->effect_count; i < acted->effect_count; i++) {
        struct effect e = acted->effects[i];

        if (e.kind == EFFECT_CHARGE)
            *judgement_effect(j, e.kind, r, e.text) = e;
    }
    if (acted->at_end.count > j->at_end.count)
        rule_list_add(&j->at_end, j->q.arena, r);
}

/* Acts and takes it back; what would have been is told. */
static enum act act_in_shadow(struct judgement *j, const struct rule *r)
{
    struct judgement before = *j, acted;
    enum act act = effects_act(j, r);
    struct buffer text = { .cap = LIMIT_REPLY_STORED };

    if (act == ACT_DECIDES && j->verdict.reply.code) {
        struct reply reply = j->verdict.reply;
        struct buffer shown = { .cap = LIMIT_REPLY_STORED };

        verdict_text(&shown, reply.text, j->q.facts, r);
        reply.text = buffer_span(&shown);
        reply_print(&text, &reply);
        buffer_fini(&shown);
    } else if (act == ACT_DECIDES) {
        buffer_put_string(&text, j->verdict.kind == VERDICT_RELAY ? "relay"
                                                                  : "discard");
    }
    for (size_t i = before.effect_count; i < j->effect_count; i++)
        effects_describe(&text, &j->effects[i]);
    acted = *j;
    *j = before;
    j->q.inquiry = acted.q.inquiry;
    keep_counting(j, &acted, r);
    if (text.len)
        (void)judgement_effect(j, EFFECT_SHADOW, r,
                               judgement_keep(j, buffer_span(&text)));
    buffer_fini(&text);
    return act == ACT_DECIDES ? ACT_GOES_ON : act;
}

/* Decided: is what was to be asked worth asking? asked: before this rule. */
static void settle(struct judgement *j, const struct rule *r, size_t asked)
{
    enum verdict_kind kind = j->verdict.kind;

    if (!j->is_open && (kind == VERDICT_REJECT || kind == VERDICT_DEFER)) {
        /* what would only be added to a recipient is moot with him refused */
        j->q.inquiry.count = j->useful = 0;
        j->is_pending = false;
    } else if (j->is_pending && refuses(r)) {
        j->useful = asked;
    }
}

static bool meet_holding(struct judgement *j, const struct rule *r)
{
    size_t asked = j->q.inquiry.count;
    enum act act = r->is_shadow ? act_in_shadow(j, r) : effects_act(j, r);

    switch (act) {
    case ACT_GOES_ON:
        tell(j, r, RULE_MATCHED, NULL);
        return true;
    case ACT_DECIDES:
        tell(j, r, RULE_MATCHED, NULL);
        settle(j, r, asked);
        return false;
    case ACT_ASKS:
        return meet_asking(j, r, NULL);
    case ACT_UNKNOWN:
        return meet_unknown(j, r, NULL);
    case ACT_LATER:
        break;
    }
    return meet_later(j, r, NULL);
}

static bool meet(struct judgement *j, const struct rule *r)
{
    const struct condition *which;

    /* what is only added is added to a recipient */
    if (judgement_is_early(j) && !may_decide(r) && !r->is_shadow &&
        r->action != ACTION_TAG)
        return true;
    switch (rule_holds(j, r, &which)) {
    case CONDITION_NO:
        tell(j, r, RULE_NOT_MATCHED, which);
        return true;
    case CONDITION_LATER:
        return meet_later(j, r, which);
    case CONDITION_ASKS:
        return meet_asking(j, r, which);
    case CONDITION_UNKNOWN:
        return meet_unknown(j, r, which);
    case CONDITION_YES:
        break;
    }
    return meet_holding(j, r);
}

/* --- the verdict ------------------------------------------------------------ */

static struct verdict ask(struct judgement *j, size_t count)
{
    return (struct verdict){ .kind = VERDICT_ASKS,
                             .questions = j->q.inquiry.all,
                             .question_count = count };
}

/* A policy server's "not, if the others let it through", and its opposite. */
static void obey_reservations(struct judgement *j)
{
    struct verdict *v = &j->verdict;

    if ((v->kind == VERDICT_RELAY || v->kind == VERDICT_DISCARD) &&
        j->if_permit.code)
        (void)judgement_decide(j, VERDICT_DEFER, j->if_permit_rule,
                               &j->if_permit);
    else if (v->kind == VERDICT_REJECT && j->if_reject.code)
        (void)judgement_decide(j, VERDICT_DEFER, j->if_reject_rule,
                               &j->if_reject);
}

static struct verdict finish(struct judgement *j)
{
    struct verdict *v = &j->verdict;

    obey_reservations(j);
    v->effects = j->effects;
    v->effect_count = j->effect_count;
    if (v->kind == VERDICT_RELAY || v->kind == VERDICT_DISCARD) {
        v->set_aside = j->set_aside.all;
        v->set_aside_count = j->set_aside.count;
        v->at_end = j->at_end.all;
        v->at_end_count = j->at_end.count;
    }
    return *v;
}

static void tell_not_reached(const struct judgement *j, const struct rule *r,
                             size_t count)
{
    for (size_t i = 0; j->watch && i < count; i++)
        tell(j, &r[i], RULE_NOT_REACHED, NULL);
}

/* True: the walk was ended by a rule. */
static bool walk(struct judgement *j, const struct settings *s)
{
    struct rule_choice choice;

    /* who watches wants to hear of every rule */
    rule_choice_init(&choice, j->watch ? NULL : s->rule_index, &j->q,
                     s->rule_count);
    for (size_t i; (i = rule_choice_next(&choice)) < s->rule_count;) {
        if (!meet(j, &s->rules[i])) {
            tell_not_reached(j, &s->rules[i + 1], s->rule_count - i - 1);
            return true;
        }
    }
    return false;
}

static void count_today(struct judgement *j)
{
    const struct facts *f = j->q.facts;
    struct buffer key = { 0 };
    struct effect *e;

    asking_today_key(&key, f);
    e = judgement_effect(j, EFFECT_COUNT, j->verdict.rule,
                         judgement_keep(j, buffer_span(&key)));
    e->amount = 1;
    e->expire_ms = f->now_ms - f->now_ms % 60000 +
                   (int64_t)(24 * 60 - f->minute % (24 * 60)) * 60000;
    buffer_fini(&key);
}

struct verdict judge(const struct settings *s, const struct facts *facts,
                     struct arena *arena, const struct judge_watch *watch)
{
    struct expression_meter meter;
    struct judgement j;
    bool is_ended;

    ASSERT(facts->stage != STAGE_CONTENT);
    judgement_init(&j, s, facts, arena, watch);
    j.verdict.kind = VERDICT_OPEN;
    expression_meter_begin(&meter);
    is_ended = walk(&j, s);
    expression_meter_end(&meter);
    if (judgement_is_early(&j)) {
        if (j.useful)
            return ask(&j, j.useful);
        /* what grants or goes on is told with the recipient */
        if (j.is_pending || (j.verdict.kind != VERDICT_REJECT &&
                             j.verdict.kind != VERDICT_DEFER))
            return (struct verdict){ .kind = VERDICT_OPEN };
        return finish(&j);
    }
    if (j.q.inquiry.count)
        return ask(&j, j.q.inquiry.count);
    if (!is_ended)
        (void)judgement_decide(&j, VERDICT_REJECT, NULL, &denied);
    if (rule_index_counts_days(s->rule_index) &&
        (j.verdict.kind == VERDICT_RELAY || j.verdict.kind == VERDICT_DISCARD))
        count_today(&j);
    return finish(&j);
}

/* --- with the message ------------------------------------------------------- */

/* Tags that were set at RCPT hold still. */
static void recall_tags(struct judgement *j, const struct verdict *granted)
{
    for (size_t i = 0; i < granted->effect_count; i++)
        if (granted->effects[i].kind == EFFECT_TAG)
            effects_set_tag(j, granted->effects[i].text);
}

/* The next of both lists, which are in the order of the rules. */
static const struct rule *next_of(const struct verdict *granted, size_t *aside,
                                  size_t *end)
{
    const struct rule *a =
        *aside < granted->set_aside_count ? granted->set_aside[*aside] : NULL;
    const struct rule *b =
        *end < granted->at_end_count ? granted->at_end[*end] : NULL;

    if (a && (!b || a < b)) {
        ++*aside;
        return a;
    }
    if (b)
        ++*end;
    return b;
}

struct verdict judge_content(const struct settings *s,
                             const struct facts *facts,
                             const struct verdict *granted, struct arena *arena,
                             const struct judge_watch *watch)
{
    struct expression_meter meter;
    struct judgement j;
    const struct rule *r;
    size_t aside = 0, end = 0;
    bool goes_on = true;

    ASSERT(facts->stage == STAGE_CONTENT);
    judgement_init(&j, s, facts, arena, watch);
    j.verdict.kind = VERDICT_OPEN;
    recall_tags(&j, granted);
    expression_meter_begin(&meter);
    while ((r = next_of(granted, &aside, &end)))
        if (goes_on)
            goes_on = meet(&j, r);
        else
            tell(&j, r, RULE_NOT_REACHED, NULL);
    expression_meter_end(&meter);
    if (j.q.inquiry.count)
        return ask(&j, j.q.inquiry.count);
    if (j.verdict.kind == VERDICT_OPEN && j.if_permit.code)
        (void)judgement_decide(&j, VERDICT_DEFER, j.if_permit_rule,
                               &j.if_permit);
    return finish(&j);
}
