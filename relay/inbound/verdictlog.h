/*
 * verdictlog - what rules did to an accepted message, a line each.
 *
 * Discarded recipients, held ones, tags, what a policy server said with the
 * message, and what rules in shadow mode would have done.
 */
#ifndef WAYPOST_VERDICTLOG_H
#define WAYPOST_VERDICTLOG_H

#include "relay/inbound/session.h"

void verdictlog_put(const struct draft *d);

#endif
