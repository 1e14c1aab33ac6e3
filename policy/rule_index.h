/*
 * rule_index - which rules need looking at for this recipient?
 *
 * A thousand rules mostly name other clients, domains and logins than the one at hand. For
 * each such fact the index knows the rules whose condition may hold, as a set of bits; what
 * is in all sets is looked at, in order, and the judge decides by the conditions themselves.
 * So the index can leave out only what is definitely false: it changes no meaning.
 */
#ifndef WAYPOST_RULE_INDEX_H
#define WAYPOST_RULE_INDEX_H

#include "policy/condition.h"

struct rule_index;

/* Borrows the rules. */
struct rule_index *rule_index_new(const struct rule *rules, size_t count);
void rule_index_free(struct rule_index *i);

/* Is there a rule that asks how much there was today? NULL: no. */
bool rule_index_counts_days(const struct rule_index *i);

/* See policy/stages.h; NULL: no. */
bool rule_index_may_refuse(const struct rule_index *i, enum stage stage);

enum { RULE_CHOICE_RULES = 4096 }; /* beyond, every rule is looked at */

struct rule_choice {
    size_t count, next;
    bool is_all;
    uint64_t bits[RULE_CHOICE_RULES / 64];
};

/* i may be NULL: all of them. Facts that are not known at the stage choose nothing. */
void rule_choice_init(struct rule_choice *c, const struct rule_index *i,
                      struct question *q, size_t rule_count);
/* The number of the next rule, or rule_count. */
size_t rule_choice_next(struct rule_choice *c);

#endif
