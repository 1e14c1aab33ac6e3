/*
 * route - where does mail for this recipient go today?
 *
 * The most specific `to` wins: address, exact domain, longest *.suffix, *. Among
 * equals one with `from` goes first, then file order. Looked up at
 * each attempt; what is stored with a recipient is only its lane key.
 */
#ifndef WAYPOST_ROUTE_H
#define WAYPOST_ROUTE_H

#include "policy/settings.h"
#include "policy/vocabulary/address.h"

struct route_index;               /* hash of exact domains and suffixes */

struct route_index *route_index_new(const struct route *routes, size_t count);
void route_index_free(struct route_index *i);

/* The route for mail from sender (empty: null) to recipient; NULL: none, which
 * is 451 4.3.5. */
const struct route *route_find(const struct settings *s, struct span sender,
                               const struct address *recipient);

/* The route of that title, or NULL. */
const struct route *route_titled(const struct settings *s, struct span title);

/*
 * The lane key of a recipient: its folded domain, and where the route was
 * chosen by more than the domain, what it was chosen by: "domain\tROUTE TITLE".
 * ERROR_SYNTAX when the domain cannot be folded. A recipient without a domain
 * (postmaster) must have been completed before.
 */
MUST int lane_key(const struct settings *s, struct span sender,
                  const struct address *recipient, struct buffer *out_key);

/*
 * The route that a lane key means today: by title where it has one and the route
 * still exists, else by domain. NULL: none.
 */
const struct route *route_of_lane(const struct settings *s, struct span key);

/* The domain in a lane key. */
struct span lane_domain(struct span key);

/*
 * The name of the destination that a lane leads to over this route: "mx:DOMAIN"
 * for an MX set (one destination for each domain), else the route's key, shared
 * by all its lanes.
 */
void destination_name(const struct route *r, struct span lane_key,
                      struct buffer *out_name);

#endif
