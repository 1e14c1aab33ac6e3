/*
 * providers - those that mail is fetched from, over HTTP.
 *
 *   GET  /api/v1/fetches        a JSON object a line
 *   POST /api/v1/fetches/NAME   fetches now, or waits for what is under way: its object,
 *                               when it is over
 *
 * {"name", "from", "state": "idle" or "running", "every", "last", "next", "ok", "messages",
 * "refused", "result"}: times in seconds (null: never), what the latest came to ("ok" null:
 * there was none yet), in one sentence too.
 */
#ifndef WAYPOST_PROVIDERS_H
#define WAYPOST_PROVIDERS_H

#include "relay/admin/request.h"

void providers_list(struct request *r);
void providers_fetch(struct request *r);

#endif
