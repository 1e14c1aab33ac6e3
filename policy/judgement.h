/*
 * judgement - one judgement while it is made.
 *
 * For the judge and what acts for it; nobody else looks in here. Everything is the
 * arena's or borrowed.
 */
#ifndef WAYPOST_JUDGEMENT_H
#define WAYPOST_JUDGEMENT_H

#include "policy/condition.h"
#include "policy/judge.h"

/* A list of rules that grows in the arena. */
struct rule_list {
    const struct rule **all;
    size_t count, room;
};

void rule_list_add(struct rule_list *l, struct arena *a, const struct rule *r);

struct judgement {
    struct question q;
    struct verdict verdict;
    const struct judge_watch *watch;
    struct effect *effects;
    size_t effect_count, effect_room;
    struct rule_list set_aside, at_end;
    bool is_ours;    /* the recipient is our postmaster */
    bool is_pending; /* a rule above this one waits for answers */
    bool is_open;    /* ... and its answers may change who decides */
    size_t useful;   /* questions that a decision at this stage could use */
    struct reply if_permit,
        if_reject; /* code 0: none; a policy server's DEFER_IF_... */
    const struct rule *if_permit_rule, *if_reject_rule;
};

/* What came of a rule that holds. */
enum act {
    ACT_GOES_ON,
    ACT_DECIDES, /* judgement_decide was called */
    ACT_ASKS,    /* its questions are in the inquiry */
    ACT_UNKNOWN, /* nobody can tell: 451 */
    ACT_LATER,   /* it cannot act at this stage */
};

void judgement_init(struct judgement *j, const struct settings *s,
                    const struct facts *facts, struct arena *arena,
                    const struct judge_watch *watch);
struct effect *judgement_effect(struct judgement *j, enum effect_kind kind,
                                const struct rule *r, struct span text);
enum act judgement_decide(struct judgement *j, enum verdict_kind kind,
                          const struct rule *r, const struct reply *reply);
/* A text in the arena. */
struct span judgement_keep(struct judgement *j, struct span text);
bool judgement_is_early(const struct judgement *j); /* before RECIPIENT */

/* The walk comes to a rule. False: it goes no further. */
bool meeting_run(struct judgement *j, const struct rule *r);
/* To who watches, if anybody does. */
void meeting_tell(const struct judgement *j, const struct rule *r,
                  enum rule_fate fate, const struct condition *which);

/* What holds, acts. */
enum act effects_act(struct judgement *j, const struct rule *r);
/* For conditions of later rules. The text lives as long as the judgement. */
void effects_set_tag(struct judgement *j, struct span tag);
/* Appends what an effect does, for the log of a rule in shadow mode. */
void effects_describe(struct buffer *b, const struct effect *e);
enum act limitation_act(struct judgement *j, const struct rule *r);
enum act greylisting_act(struct judgement *j, const struct rule *r);
enum act delegating_act(struct judgement *j, const struct rule *r);

#endif
