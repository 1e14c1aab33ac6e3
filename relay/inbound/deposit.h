/*
 * deposit - a finished draft becomes a message of the queue.
 *
 * What a rule discards is dropped here, with a line in the log. Lanes, expiry and delay
 * notice of each recipient follow today's routes.
 */
#ifndef WAYPOST_DEPOSIT_H
#define WAYPOST_DEPOSIT_H

#include "policy/settings.h"
#include "queue/queue.h"
#include "relay/inbound/session.h"

/*
 * Puts the draft with its content, in memory or already in a body (take_body, or NULL); done
 * is called with the token. False: every recipient was discarded, nothing was taken and done
 * will not be called. scratch is the caller's, for reuse.
 */
MUST bool deposit(struct queue_port *p, const struct settings *s, struct draft *d,
                  struct queue_body *take_body, struct buffer *scratch,
                  queue_put_fn *done, uint64_t token);

/* The draft's put was committed: the line that says so. */
void deposit_log(const struct draft *d);

#endif
