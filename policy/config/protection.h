/*
 * protection - TLS and logins of a route.
 */
#ifndef WAYPOST_PROTECTION_H
#define WAYPOST_PROTECTION_H

#include "policy/config/keys.h"

/* Of enum route_tls; ends with NULL. */
extern const char *const protection_words[];

/* What a certificate is held against: a name, or an address. For key rows. */
bool protection_check_name(struct reading *r, const struct syntax_text *text,
                           struct span *value);

enum route_tls protection_default(const struct route *route);
/* Where the section says nothing of it. */
void protection_set_tls(struct route *route, const struct syntax_entry *section);
/* To the hosts without one of their own; after the route was named. */
void protection_share_account(struct route *route);
/* What does not go together, and secrets that could be read on the way. */
void protection_check(struct reading *r, const struct route *route,
                      const struct syntax_entry *section);

#endif
