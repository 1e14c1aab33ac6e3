/*
 * rules - what a rule section says, and that it does not open the relay.
 */
#ifndef WAYPOST_RULES_H
#define WAYPOST_RULES_H

#include "policy/config/keys.h"

void rules_read(struct reading *r, const struct syntax_entry *first,
                size_t count);
/* Names of listeners, fetches and routes in them, after all were read. */
void rules_resolve(struct reading *r, const struct syntax_entry *first);

#endif
