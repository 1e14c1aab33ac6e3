/*
 * turned - a courier over a customer's own connection (ATRN, RFC 2645).
 *
 *   turn --> slot, slot, slot ... one after the other, on one connection
 *
 * The customer has dialled and logged in; now he greets us and we are the client. When the
 * queue says that a slot has nothing more the next one is taken, and QUIT comes after the
 * last. There is no other host: what is in hand when the connection goes is freed, so that
 * he gets it when he comes again; only after a final dot it is in doubt, as ever.
 */
#ifndef WAYPOST_TURNED_H
#define WAYPOST_TURNED_H

#include "relay/net/hand.h"
#include "relay/outbound/courier_private.h"

/* Begins with the turn's first slot; it ends by itself. */
void turned_begin(struct delivery *d, struct turn *take_t);

/* The rest is for couriers; of one that is not turned: false, nothing. */

/* The queue has told that this slot of the turn is to be given nothing more. */
void turned_slot_ended(struct courier *c, struct queue_slot *slot);
/* Is it? Then the slot is asked for nothing any more. */
bool turned_is_over_here(const struct courier *c);
/* On to the next slot, where this one is over; false: it is not, or there is none (then
 * the courier must end). */
bool turned_goes_on(struct courier *c);
/* Its work has a route of its own. */
void turned_meet(struct courier *c, const struct queue_work *work);
/* A message was taken. */
void turned_sent(struct courier *c);
/* The connection is over and the client still there: why, for the log. */
void turned_note_end(struct courier *c);
/* Logs, gives back what is left. */
void turned_end(struct courier *c);

#endif
