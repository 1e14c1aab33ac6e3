/*
 * judge - may this recipient be accepted from this client?
 *
 *   for each rule, from the top, until one decides: meeting.c
 *   no rule left -> 554 5.7.1 Relay access denied
 *
 * With questions gathered the answer is ASKS, whatever came after the first; that walk only
 * saved a round.
 *
 * Owns nothing.
 */
#include "policy/judge.h"

#include "policy/aliasing.h"
#include "policy/asking.h"
#include "policy/expression.h"
#include "policy/judgement.h"
#include "policy/ourselves.h"
#include "policy/rule_index.h"

static const struct reply denied =
    REPLY(554, 5, 7, 1, "<%{recipient}>: Relay access denied");

static const struct reply not_deliverable =
    REPLY(550, 5, 3, 5,
          "<%{recipient}>: its alias leads to a program or a file, which a relay "
          "does not deliver to");
static const struct reply too_many =
    REPLY(550, 5, 4, 6, "<%{recipient}>: its alias leads to too many addresses");
static const struct reply list_unreadable =
    REPLY(451, 4, 3, 5,
          "<%{recipient}>: a list that its alias includes cannot be read now");

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
        meeting_tell(j, &r[i], RULE_NOT_REACHED, NULL);
}

/* True: the walk was ended by a rule. */
static bool walk(struct judgement *j, const struct settings *s)
{
    struct rule_choice choice;

    /* who watches wants to hear of every rule */
    rule_choice_init(&choice, j->watch ? NULL : s->rule_index, &j->q,
                     s->rule_count);
    for (size_t i; (i = rule_choice_next(&choice)) < s->rule_count;) {
        if (j->is_ours && rule_spares_postmaster(&s->rules[i])) {
            meeting_tell(j, &s->rules[i], RULE_SPARES, NULL);
            continue;
        }
        if (!meeting_run(j, &s->rules[i])) {
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

/* --- users of this machine --------------------------------------------------- */

static bool is_of_sendmail(const struct settings *s, const struct facts *f)
{
    return s->sendmail.is_on && span_is(f->listener, s->sendmail.listener.title);
}

/* No rule of the file decided. */
static void grant_or_deny(struct judgement *j, const struct settings *s)
{
    const struct facts *f = j->q.facts;

    if (is_of_sendmail(s, f) && names_have(&s->sendmail.users, f->login))
        (void)judgement_decide(j, VERDICT_RELAY, settings_sendmail_rule(s),
                               NULL);
    else
        (void)judgement_decide(j, VERDICT_REJECT, NULL, &denied);
}

static bool is_readdressed(const struct judgement *j)
{
    size_t i = 0;

    while (i < j->effect_count && j->effects[i].kind != EFFECT_REWRITE_TO)
        i++;
    return i < j->effect_count;
}

/* What a rule has written stays. */
static void apply_aliases(struct judgement *j, const struct settings *s)
{
    const struct rule *r = settings_alias_rule(s);
    struct aliasing found;

    if (is_readdressed(j))
        return;
    switch (aliasing_find(s, j->q.facts->recipient, j->q.arena, &found)) {
    case ALIASING_NONE:
        return;
    case ALIASING_LEADS:
        for (size_t i = 0; i < found.count; i++)
            (void)judgement_effect(j, EFFECT_REWRITE_TO, r, found.all[i]);
        if (found.owner.len && j->q.facts->sender &&
            j->q.facts->sender->text.len)
            (void)judgement_effect(j, EFFECT_REWRITE_FROM, r, found.owner);
        return;
    case ALIASING_NOWHERE:
        (void)judgement_decide(j, VERDICT_DISCARD, r, NULL);
        return;
    case ALIASING_CANNOT:
        (void)judgement_decide(j, VERDICT_REJECT, r, &not_deliverable);
        return;
    case ALIASING_TOO_MANY:
        (void)judgement_decide(j, VERDICT_REJECT, r, &too_many);
        return;
    case ALIASING_LATER:
        (void)judgement_decide(j, VERDICT_DEFER, r, &list_unreadable);
        return;
    }
}

struct verdict judge_ourselves(const struct settings *s,
                               const struct facts *facts, struct arena *arena,
                               const struct judge_watch *watch)
{
    struct expression_meter meter;
    struct judgement j;
    bool is_ended;

    ASSERT(facts->stage == STAGE_RECIPIENT);
    judgement_init(&j, s, facts, arena, watch);
    j.verdict.kind = VERDICT_OPEN;
    j.is_ours = true;
    expression_meter_begin(&meter);
    is_ended = walk(&j, s);
    expression_meter_end(&meter);
    if (j.q.inquiry.count)
        return ask(&j, j.q.inquiry.count);
    if (!is_ended || j.verdict.kind == VERDICT_RELAY) {
        j.verdict.kind = VERDICT_RELAY;
        j.verdict.rule = NULL; /* it would be let in without */
        if (s->rules)
            apply_aliases(&j, s);
    }
    return finish(&j);
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
        grant_or_deny(&j, s);
    if (j.verdict.kind == VERDICT_RELAY && is_of_sendmail(s, facts))
        apply_aliases(&j, s);
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
            goes_on = meeting_run(&j, r);
        else
            meeting_tell(&j, r, RULE_NOT_REACHED, NULL);
    expression_meter_end(&meter);
    if (j.q.inquiry.count)
        return ask(&j, j.q.inquiry.count);
    if (j.verdict.kind == VERDICT_OPEN && j.if_permit.code)
        (void)judgement_decide(&j, VERDICT_DEFER, j.if_permit_rule,
                               &j.if_permit);
    return finish(&j);
}
