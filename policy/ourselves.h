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

/*
 * Whoever complains that we refuse mail writes to postmaster, and is perhaps refused himself:
 * so a rule that turns senders away spares it, as a greylist, a policy server, and what would
 * send its mail elsewhere do. What keeps a flood or a virus out holds for it as for anybody:
 * limits and what needs the message (RFC 5321 4.5.1 lets a site defend itself); and hold, tags,
 * headers and copies refuse nobody. A rule whose `to` has the address itself is meant so, and
 * obeyed.
 */
bool rule_spares_postmaster(const struct rule *r);

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
