/*
 * settlement_log - outcomes as they are said and counted: a line of the log for each recipient,
 * the counters, and what people see of the destination.
 */
#ifndef WAYPOST_SETTLEMENT_LOG_H
#define WAYPOST_SETTLEMENT_LOG_H

#include "relay/outbound/settlement.h"

/* All of them, before they are settled; the delays are measured already. */
void settlement_log(const struct settlement *s);

#endif
