/*
 * waiting - mail that waits, over HTTP.
 *
 *   GET  /api/v1/queue          one JSON object a line; filters as parameters
 *   GET  /api/v1/queue/count    {"messages", "recipients", "bytes"}
 *   GET  /api/v1/queue/ID       all about one message
 *   POST /api/v1/queue/retry    a JSON object of filters and "yes": true, or
 *        .../hold .../release   "preview": true for the count alone; one "id"
 *        .../delete .../undelete  is changed at once
 */
#ifndef WAYPOST_WAITING_H
#define WAYPOST_WAITING_H

#include "relay/admin/request.h"

void waiting_list(struct request *r);
void waiting_show(struct request *r);
void waiting_count(struct request *r);
/* Which change, its endpoint says. */
void waiting_change(struct request *r);

#endif
