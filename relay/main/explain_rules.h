/*
 * explain_rules - a line for each rule: what it is, and why it holds or not.
 */
#ifndef WAYPOST_EXPLAIN_RULES_H
#define WAYPOST_EXPLAIN_RULES_H

#include "relay/main/paper.h"

/* is_full: those at the end that nobody came to have lines of their own. */
void explain_rules_put(struct paper *p, bool is_full);
/* What is left of each of a rule's budgets; false: it has none. */
bool explain_rules_put_budgets(struct paper *p, const char *rule);
/* Of a verdict. */
enum paper_colour explain_rules_colour(const json_t *verdict);

#endif
