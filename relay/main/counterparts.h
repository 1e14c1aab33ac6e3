/*
 * counterparts - which rules of a candidate configuration does the running one have too?
 *
 * The same title, and word for word the same conditions and action. Tables' lines may differ.
 */
#ifndef WAYPOST_COUNTERPARTS_H
#define WAYPOST_COUNTERPARTS_H

#include "policy/settings.h"

struct counterparts;

struct counterparts *counterparts_new(const struct settings *running,
                                      const struct settings *candidate);
void counterparts_free(struct counterparts *c);
/* The number of the running rule that is the same as this one of the candidate's; -1: none. */
ptrdiff_t counterparts_of(const struct counterparts *c, const struct rule *r);
/* The number of the running rule of this title; -1: none. */
ptrdiff_t counterparts_titled(const struct counterparts *c, struct span title);

#endif
