/*
 * herald - tells those that the webhooks name what became of mail.
 *
 * A webhook is a place in the history, behind which nothing has been told yet. What lies
 * behind it is read a batch at a time, oldest first, and sent as one request; when the
 * receiver has said 2xx the place moves on and is noted in the queue. So nothing is left
 * out, whatever dies in between, as long as the history keeps it; but the same may come
 * twice, and is known by its id. A new webhook begins with now; one that is taken out of
 * the configuration is forgotten.
 *
 * A receiver that fails is asked again after 10 s, doubling up to 10 min; no other webhook,
 * and no mail, waits for it.
 *
 * Main loop only. Nobody is told while we go down: what is left is told after the next start.
 */
#ifndef WAYPOST_HERALD_H
#define WAYPOST_HERALD_H

#include "policy/settings.h"
#include "queue/queue.h"
#include "relay/admin/admin.h"

#include <uv.h>

struct herald;

struct herald *herald_open(uv_loop_t *loop, struct queue *q,
                           const struct settings *s);
void herald_reload(struct herald *h, const struct settings *s);
/* Nobody is told any more. */
void herald_stop(struct herald *h);
/* Lets go of the loop and of the queue; frees itself. */
void herald_close(struct herald *take_h);

/* For admin_options; user: the herald. */
extern const struct admin_webhooks herald_admin;

/* Are the files of all webhooks as they should be, is every url one that we would send to?
 * Lines "FILE:LINE:COLUMN: text" and "FILE:LINE:COLUMN: warning: text". */
void herald_check(const struct settings *s, struct buffer *out_faults,
                  struct buffer *out_warnings);

#endif
