/*
 * fetches - what a fetch section says: a provider whose customer we are.
 */
#ifndef WAYPOST_FETCHES_H
#define WAYPOST_FETCHES_H

#include "policy/config/keys.h"

/* After the listeners and accounts were read. */
void fetches_read(struct reading *r, const struct syntax_entry *first,
                  size_t count);

#endif
