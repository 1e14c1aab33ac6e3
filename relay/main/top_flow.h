/*
 * top_flow - what flows and what waits, as bars over the last hour, and what needs somebody.
 */
#ifndef WAYPOST_TOP_FLOW_H
#define WAYPOST_TOP_FLOW_H

#include "relay/main/top_page.h"

void top_flow_put(struct top_page *p);

#endif
