/*
 * conditions - one line of a rule: a key and its values, understood.
 */
#ifndef WAYPOST_CONDITIONS_H
#define WAYPOST_CONDITIONS_H

#include "policy/condition.h"
#include "policy/config/keys.h"

/* The fact is the row's `low`; `high`: the key begins with not-. */
void conditions_read(struct reading *r, const struct key *key,
                     const struct syntax_entry *entry, struct condition *c);

#endif
