/*
 * chronicle - what became of mail, over HTTP.
 *
 *   GET /api/v1/history?FILTERS&limit=N&after=CURSOR   newest first, a JSON object a line
 *                                                      (chronicle_row.h)
 *
 * `after` takes the "cursor" of the last row that was seen. With progress=1 there are lines
 * {"progress": {"at": SECONDS}} among them while nothing is found: how far back it has looked.
 */
#ifndef WAYPOST_CHRONICLE_H
#define WAYPOST_CHRONICLE_H

#include "relay/admin/request.h"

void chronicle_list(struct request *r);

#endif
