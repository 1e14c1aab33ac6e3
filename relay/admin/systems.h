/*
 * systems - GET /api/v1/system: what the relay stands on.
 *
 *   {"certificates": [{"file", "names": [], "not_after", "days"}],
 *    "disk": {"free_bytes", "reserve_bytes"}, "wal_bytes", "commit_us_last", "commit_us_max",
 *    "listeners": [{"name", "address", "sessions"}], "history_behind", "history_paused",
 *    "refusals_dropped", "webhooks": [as in hooks.h]}
 *
 * A certificate that has ended has negative days.
 */
#ifndef WAYPOST_SYSTEMS_H
#define WAYPOST_SYSTEMS_H

#include "relay/admin/request.h"

void systems_get(struct request *r);

#endif
