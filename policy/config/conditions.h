/*
 * conditions - one line of a rule: a key and its values, understood.
 */
#ifndef WAYPOST_CONDITIONS_H
#define WAYPOST_CONDITIONS_H

#include "policy/condition.h"
#include "policy/config/keys.h"

enum { CONDITIONS_TAG_MOST = 64 };

/* key->low is the fact, key->high whether it is negated. */
void conditions_read(struct reading *r, const struct key *key,
                     const struct syntax_entry *entry, struct condition *c);
/* Names in a rule that refer to listeners and fetches; after all were read. */
void conditions_resolve(struct reading *r, const struct syntax_entry *section);

bool conditions_is_tag(struct span s);

#endif
