/*
 * pickup - whose mail may go now?
 *
 * Finds the routes that a request of ETRN means, holds the client against what each route's
 * `offline` block says, and releases their destinations in the queue. A queue of any size is
 * released by one call for each destination. What a customer fetches over his own
 * connection is put aside for him. RFC 1985, 2645.
 */
#ifndef WAYPOST_PICKUP_H
#define WAYPOST_PICKUP_H

#include "queue/queue.h"
#include "relay/inbound/session.h"
#include "relay/net/hand.h"

/* Where several routes are meant the best answer counts, and what the client may not have is
 * left alone. */
enum session_release pickup_release(struct queue *q, const struct settings *s,
                                    const struct session_request *r,
                                    const struct facts *facts);
/* TURN_BEGINS: *out_turn has a slot of each destination, and neither connection nor names
 * yet. Settings are held by it. */
enum session_turn_answer pickup_turn(struct queue_port *p, struct settings *s,
                                     const struct session_turn *wish,
                                     const struct facts *facts,
                                     struct turn **out_turn);

/* Might a lane of this domain have the title of the route, which is chosen by more than a
 * domain? */
bool pickup_has_lane_in(const struct route *r, struct span domain);

#endif
