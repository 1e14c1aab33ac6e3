/*
 * meeting - what one rule comes to, at this stage, with what is known.
 *
 *   a condition is false             -> next
 *   one is not known at this stage   -> early: OPEN, but for rules that only add something;
 *                                       RECIPIENT: set aside, next
 *   one is somebody else's to tell   -> its questions; next, to gather more of them
 *   one cannot be told               -> 451, for the rule can neither be passed over (it
 *                                       might refuse) nor obeyed (it might grant)
 *   hold                             -> the action acts (effects.c, limitation.c,
 *                                       greylisting.c, delegating.c) and decides, asks or
 *                                       goes on
 *
 * In shadow mode a rule acts and is undone, but for what a limit counts, and what it did
 * is told.
 *
 * Owns nothing.
 */
#include "policy/judgement.h"

static const struct reply undecided =
    REPLY(451, 4, 3, 5, "<%{recipient}>: Cannot tell now, try again later");

void meeting_tell(const struct judgement *j, const struct rule *r,
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
        meeting_tell(j, r, RULE_NOT_MATCHED, which);
        return true;
    }
    meeting_tell(j, r, RULE_SET_ASIDE, which);
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
    meeting_tell(j, r, RULE_UNKNOWN, which);
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
    meeting_tell(j, r, RULE_UNKNOWN, which);
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
    meeting_tell(j, r, RULE_UNKNOWN, which);
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
        meeting_tell(j, r, RULE_MATCHED, NULL);
        return true;
    case ACT_DECIDES:
        meeting_tell(j, r, RULE_MATCHED, NULL);
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

bool meeting_run(struct judgement *j, const struct rule *r)
{
    const struct condition *which;

    /* what is only added is added to a recipient */
    if (judgement_is_early(j) && !may_decide(r) && !r->is_shadow &&
        r->action != ACTION_TAG)
        return true;
    switch (rule_holds(j, r, &which)) {
    case CONDITION_NO:
        meeting_tell(j, r, RULE_NOT_MATCHED, which);
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
