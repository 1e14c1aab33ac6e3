/*
 * hooks - those who are told over HTTPS what became of mail, as people see them.
 *
 *   GET  /api/v1/webhooks              a JSON object a line
 *   POST /api/v1/webhooks/NAME/retry   tried now, whatever it waits for; its object
 *
 * {"name", "host", "events": ["delivered", ...], "state", "behind", "sent", "lost", "failures",
 * "status", "last", "next", "last_error"}: state is ok, waiting (for an answer) or failing; behind:
 * events that it has not said 2xx to; sent and lost: since the start; failures in a row; status
 * of the latest answer, last: the latest 2xx, next: the next try while it fails (null: none).
 */
#ifndef WAYPOST_HOOKS_H
#define WAYPOST_HOOKS_H

#include "relay/admin/request.h"

/* All of them. */
json_t *hooks_array(const struct request *r);
void hooks_list(struct request *r);
void hooks_retry(struct request *r);

#endif
