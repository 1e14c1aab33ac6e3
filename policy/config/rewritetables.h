/*
 * rewritetables - do the tables of rules that rewrite say what becomes of an address?
 *
 * Each line must have a value: an address, several with commas between, or @domain; of
 * senders one. Lines that lead back to where they began, or on for more than REWRITE_DEPTH
 * steps, are faults; that an address becomes itself, perhaps with others, is none.
 */
#ifndef WAYPOST_REWRITETABLES_H
#define WAYPOST_REWRITETABLES_H

#include "policy/config/keys.h"

/* After all rules were read. */
void rewritetables_check(struct reading *r);

#endif
