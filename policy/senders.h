/*
 * senders - who may send as whom?
 *
 * A table of logins and the addresses that are theirs: one line each, "LOGIN
 * ADDRESS[, ADDRESS ...]", an address being a@b, @domain or *; a login may stand on several
 * lines. A login that is itself an address owns that too. "#" begins a comment. Where the table is set, the
 * reverse-path must be the login's own; and an address that is listed for somebody may not
 * be used without logging in (an address is listed by a@b, by its @domain, or by a login of
 * the table that is that address; * lists none). The null sender is everybody's. Logins are
 * compared without ASCII case, addresses as in pattern.h. Pure; read once with the
 * settings.
 */
#ifndef WAYPOST_SENDERS_H
#define WAYPOST_SENDERS_H

#include "policy/vocabulary/address.h"
#include "policy/vocabulary/arena.h"

struct senders;

/* text: the file's. Faults as "LINE:COLUMN: text" lines in out_faults; NULL when there are any. */
struct senders *senders_read(struct arena *a, struct span text,
                             struct buffer *out_faults);

/* May this login (empty: not logged in) use the address? s may be NULL: yes. */
bool senders_allow(const struct senders *s, struct span login,
                   const struct address *address);

#endif
