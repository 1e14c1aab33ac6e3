/*
 * destinations - what a route's destination is called.
 */
#ifndef WAYPOST_DESTINATIONS_H
#define WAYPOST_DESTINATIONS_H

#include "policy/config/keys.h"

/* Sets its key. Before the hops share the route's account. */
void destinations_name(struct reading *r, const struct syntax_entry *section,
                       struct route *route);
/* A host that is away for one route and not for another would be neither: what
 * routes of one destination do not agree about is a fault. */
void destinations_check(struct reading *r, const struct route *routes,
                        size_t count);

#endif
