/*
 * turning - the peer is asked for our mail: ATRN.
 *
 * For the client's own files only. RFC 2645.
 */
#ifndef WAYPOST_TURNING_H
#define WAYPOST_TURNING_H

#include "relay/outbound/dialogue.h"

/* FREE: says it, or why it cannot be said. */
void turning_begin(struct client *c, const struct span *domains, size_t count);
step_fn turning_answered, turning_refused;

#endif
