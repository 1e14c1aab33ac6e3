/*
 * rule_actions - what each action of a rule needs to be told.
 *
 * Readers for rows of rules.c; the object is a struct rule. Which key goes with
 * which action is a table in rule_actions.c.
 */
#ifndef WAYPOST_RULE_ACTIONS_H
#define WAYPOST_RULE_ACTIONS_H

#include "policy/config/keys.h"

/* Of enum rule_action; ends with NULL. */
extern const char *const rule_actions_names[];

void rule_actions_mode(struct reading *r, const struct key *key,
                       const struct syntax_entry *entry, void *rule);
void rule_actions_rates(struct reading *r, const struct key *key,
                        const struct syntax_entry *entry, void *rule);
void rule_actions_copy(struct reading *r, const struct key *key,
                       const struct syntax_entry *entry, void *rule);
void rule_actions_route(struct reading *r, const struct key *key,
                        const struct syntax_entry *entry, void *rule);
void rule_actions_server(struct reading *r, const struct key *key,
                         const struct syntax_entry *entry, void *rule);
/* key->high: of senders. */
void rule_actions_rewrite(struct reading *r, const struct key *key,
                          const struct syntax_entry *entry, void *rule);

/* Keys that do not go with the action, and those that it lacks. */
void rule_actions_check_keys(struct reading *r, enum rule_action action,
                             const struct syntax_entry *section);
/* What keys of one action say together. */
void rule_actions_check(struct reading *r, const struct rule *rule,
                        const struct syntax_entry *section);
/* Does the route that a rule names exist? After all were read. */
void rule_actions_resolve(struct reading *r,
                          const struct syntax_entry *section);

#endif
