/*
 * rewriting - another address in place of this one.
 *
 *   rewrite-to   = {"/^(.+)\+.*@example\.org$/ $1@example.org"}   an expression, its form
 *   rewrite-to   = {"table:/etc/waypost/virtual"}                 an address, or a domain's
 *                  "@domain" line; its value is one address or several with commas between
 *   rewrite-from = {"srs"}     the sender as one of ours, so that SPF holds where it is
 *                  forwarded to; and rewrite-to = {"srs"} leads reports back (RFC-less:
 *                  the scheme of libsrs2: SRS0=HHH=TT=domain=local@ours, SRS1 for a second)
 *
 * Tables are asked again with what came out, until nothing changes, REWRITE_DEPTH times at
 * most; a cycle is named when the settings are read, and met at run time it ends where it
 * began. Pure: the secret and the day are parameters.
 */
#ifndef WAYPOST_REWRITING_H
#define WAYPOST_REWRITING_H

#include "policy/pattern.h"
#include "policy/settings.h"

enum { REWRITE_DEPTH = 20, REWRITE_MOST = 1000 };

struct rewriting;

bool rewriting_is_of_sender(const struct rewriting *w);
/* What s becomes, in the arena; 0: it stays as it is. Negative: an expression ran into its
 * limits, or more than REWRITE_MOST came out. */
MUST int rewriting_apply(const struct rewriting *w, const struct settings *s,
                         const struct address *a, int64_t now_ms,
                         struct arena *arena, struct span **out_all,
                         size_t *out_count);

#endif
