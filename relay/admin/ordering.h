/*
 * ordering - what people want of mail that waits, over HTTP.
 *
 *   POST /api/v1/queue/retry .../hold .../release .../delete .../undelete
 *        .../bounce             + "why": words for the senders
 *        .../hold .../delete    + "why": for who looks at it later
 *        .../move               + "route": the title of a route
 *
 * A JSON object of filters and "yes": true. With "preview": true nothing is changed: the answer
 * says how many would be, shows the first few and counts by destination. One "id" is changed
 * at once. "being_sent" in the answer: so many recipients were left alone, since they are being
 * sent right now. With "progress": true there are lines, {"progress": {"messages", ...}} now and then
 * and at last the answer.
 */
#ifndef WAYPOST_ORDERING_H
#define WAYPOST_ORDERING_H

#include "relay/admin/request.h"

/* Which change, its endpoint says. */
void ordering_change(struct request *r);

#endif
