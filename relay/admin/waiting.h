/*
 * waiting - mail that waits, over HTTP.
 *
 *   GET  /api/v1/queue          one JSON object a line; filters as parameters
 *   GET  /api/v1/queue/count    {"messages", "recipients", "bytes"}
 *   GET  /api/v1/queue/top      {"name", "messages", "recipients", "bytes"} a line, of each
 *                               login, or what `by` says; null: the names that were too many
 *
 * Lists may be paged: limit=N rows, after=ID of the last row seen.
 */
#ifndef WAYPOST_WAITING_H
#define WAYPOST_WAITING_H

#include "relay/admin/request.h"

void waiting_list(struct request *r);
void waiting_count(struct request *r);
void waiting_top(struct request *r);

#endif
