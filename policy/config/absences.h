/*
 * absences - what a route says of a host that is often away: offline { }.
 */
#ifndef WAYPOST_ABSENCES_H
#define WAYPOST_ABSENCES_H

#include "policy/config/keys.h"

/* The section into route->offline. */
void absences_read(struct reading *r, const struct syntax_entry *offline,
                   struct route *route);
/* What is otherwise kept for days waits for a pickup for weeks: its defaults of
 * expire, expire-reports and warn, where `route` (the section) has none. */
void absences_set_defaults(struct route *route,
                           const struct syntax_entry *section);
/* With the whole route known. offline: the section, or NULL. */
void absences_check(struct reading *r, const struct route *route,
                    const struct syntax_entry *offline);

#endif
