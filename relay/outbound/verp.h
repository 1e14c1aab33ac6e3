/*
 * verp - a reverse-path of its own for each recipient, as XVERP asks for.
 *
 * Whom a report is about can then be read from the address it comes back to: a transaction
 * for each recipient, and a report of ours for each. Pure.
 */
#ifndef WAYPOST_VERP_H
#define WAYPOST_VERP_H

#include "policy/vocabulary/buffer.h"
#include "policy/vocabulary/envelope.h"

/* False also where there is no reverse-path to make others of. */
bool verp_is_asked(const struct envelope *e);
/* owner@here for user@there becomes owner+user=there@here, with the delimiters asked for. */
void verp_put(struct buffer *out, const struct envelope *e,
              struct span recipient);

#endif
