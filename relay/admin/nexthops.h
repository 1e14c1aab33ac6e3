/*
 * nexthops - destinations over HTTP: which there are, and what people want of them.
 *
 *   GET  /api/v1/destinations?name=GLOB    a JSON object a line
 *   GET  /api/v1/destinations?busiest=N    at most N of the METRICS_DESTINATIONS busiest, by
 *                                          what waits and is open, in no order: quick, however
 *                                          many there are
 *   POST /api/v1/destinations/suspend      {"name": GLOB, "until": "2h", "reason": "..."}
 *        .../resume .../retry .../probe    {"name": GLOB}
 *
 * An order answers {"destinations": N, "skipped": N, "names": [...]}: with "preview": true
 * it is not carried out. "skipped" are those it cannot be done to: a suspended one can
 * only be resumed. One that a route leads to may be suspended before it has mail.
 * Names contain slashes and colons, so they are never part of a path.
 */
#ifndef WAYPOST_NEXTHOPS_H
#define WAYPOST_NEXTHOPS_H

#include "relay/admin/request.h"

void nexthops_list(struct request *r);
void nexthops_order(struct request *r);

#endif
