/*
 * senders - who may send as whom?
 *
 * A table of logins and the addresses that are theirs: one line each, "LOGIN
 * ADDRESS[, ADDRESS ...]", an address being a@b, @domain or *; a login may stand on several
 * lines. A login that is itself an address owns that too. Where the table is set, the
 * reverse-path must be the login's own; and an address that is listed for somebody may not
 * be used without logging in. The null sender is everybody's. Pure; read once with the
 * settings. design.md section 5.
 */
#ifndef WAYPOST_SENDERS_H
#define WAYPOST_SENDERS_H

#include "policy/vocabulary/address.h"
#include "policy/vocabulary/arena.h"

struct senders;

/* text: the file's. Faults as "LINE: text" lines in out_faults; NULL when there are any. */
struct senders *senders_read(struct arena *a, struct span text,
                             struct buffer *out_faults);

/* May this login (empty: not logged in) use the address? s may be NULL: yes. */
bool senders_allow(const struct senders *s, struct span login,
                   const struct address *address);

#endif
