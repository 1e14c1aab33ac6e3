/*
 * deposit - a finished draft becomes a message of the queue, or several.
 *
 * What a rule discards is dropped here, with a line in the log. Where rules made several
 * messages of it (variants.h), all of them are put in one transaction, each with an id and
 * lines in the log of its own. Lanes, expiry and delay
 * notice of each recipient follow today's routes, DELIVERBY where it asks for less, and
 * FUTURERELEASE from the moment it names.
 */
#ifndef WAYPOST_DEPOSIT_H
#define WAYPOST_DEPOSIT_H

#include "policy/settings.h"
#include "queue/queue.h"
#include "relay/inbound/variants.h"

/*
 * Puts the draft with its content, in memory or already in a body (take_body, or NULL); done
 * is called with the token. False: every recipient was discarded, nothing was taken and done
 * will not be called. scratch is the caller's, for reuse.
 */
MUST bool deposit(struct queue_port *p, const struct settings *s, struct draft *d,
                  struct queue_body *take_body, struct buffer *scratch,
                  queue_put_fn *done, uint64_t token);

/*
 * When a recipient is first tried, when it is given up and when its sender hears of a delay
 * (0: at once; INT64_MAX: never). The retry settings count from the release that
 * FUTURERELEASE asked for; DELIVERBY's moment, where it is nearer, is the end (R) or that of
 * the notice (N). RFC 4865, RFC 2852 4.
 */
struct deposit_terms {
    int64_t due_ms, expire_ms, warn_ms;
};
struct deposit_terms deposit_terms(const struct envelope *e,
                                   const struct retry_settings *retry);

/* The draft's put was committed: the line, for each of its messages, that says so. */
void deposit_log(const struct draft *d);

#endif
