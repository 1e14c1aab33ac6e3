/*
 * rule_texts - what a rule says to others: replies, header fields, tags.
 *
 * Readers for rows of rules.c; the object is a struct rule.
 */
#ifndef WAYPOST_RULE_TEXTS_H
#define WAYPOST_RULE_TEXTS_H

#include "policy/config/keys.h"

void rule_texts_reply(struct reading *r, const struct key *key,
                      const struct syntax_entry *entry, void *rule);
void rule_texts_add_header(struct reading *r, const struct key *key,
                           const struct syntax_entry *entry, void *rule);
void rule_texts_remove_header(struct reading *r, const struct key *key,
                              const struct syntax_entry *entry, void *rule);
void rule_texts_tags(struct reading *r, const struct key *key,
                     const struct syntax_entry *entry, void *rule);

/* Does the reply's class go with the action? After all keys were read. */
void rule_texts_check_reply(struct reading *r, const struct rule *rule,
                            const char *action,
                            const struct syntax_entry *section);

#endif
