/*
 * census - how many sessions does each client have?
 *
 * Entered where connections are accepted, left where they end; any thread.
 */
#ifndef WAYPOST_CENSUS_H
#define WAYPOST_CENSUS_H

#include "policy/vocabulary/network.h"

struct census;

struct census *census_new(void);
void census_free(struct census *c);
/* False, and nothing is counted, when the client has `most` already (0: no limit). */
bool census_enter(struct census *c, const struct host_address *a, uint32_t most);
void census_leave(struct census *c, const struct host_address *a);

#endif
