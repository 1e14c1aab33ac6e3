/*
 * ourselves - is this address one that we answer for ourselves?
 *
 * Whoever runs a mail host must be reachable through it: mail for postmaster is
 * never refused as relay, and goes where the configuration says (settings'
 * postmaster). RFC 5321 4.5.1, RFC 2142 5.
 */
#ifndef WAYPOST_OURSELVES_H
#define WAYPOST_OURSELVES_H

#include "policy/settings.h"
#include "policy/vocabulary/address.h"

/* hostname, origin, or [address] of a listener; folded. */
bool is_our_domain(const struct settings *s, struct span folded);

/*
 * postmaster without a domain; postmaster and MAILER-DAEMON at hostname, at
 * origin, and at [address] of a listener that stands on one address. In any
 * case, quoted or not.
 */
bool is_our_postmaster(const struct settings *s, const struct address *a);

/* Where the mail of such an address goes: what the settings name, else itself with a domain.
 * text: for what has to be put together, which the address then borrows. False: the settings
 * make no address. */
bool our_postmaster(const struct settings *settings, struct address *in_out,
                    struct buffer *text);

#endif
