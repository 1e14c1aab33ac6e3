/*
 * routes - what a route section says.
 */
#ifndef WAYPOST_ROUTES_H
#define WAYPOST_ROUTES_H

#include "policy/config/keys.h"

void routes_read(struct reading *r, const struct syntax_entry *first,
                 size_t count);

#endif
