/*
 * courier - one slot, one connection at a time, one message after the other.
 *
 *   SEEKING --connected--> TALKING <--work--> PARKED
 *    |  |  ^                |  ^ |              |
 *    |  |  |                |  | +--> READING --+-- (TALKING)
 *    |  |  |                v                   |
 *    |  |  +-- next host - ENDING <---- idle ---+
 *    |  |                   |
 *    |  +-- judged --> READING (large content, for the report)
 *    |  +-- maildir -> FILING
 *    v                      v
 *   GONE <------------------+ the slot is given back
 *
 * SEEKING: the itinerary looks names up and connects. TALKING: a client engine has the
 * connection. PARKED: greeted, nothing to send. READING: the beginning of large content is
 * fetched, for a report that may be owed. ENDING: the connection is closing, our last words
 * are on their way; a parcel in hand then goes on to another host. FILING: no host is asked,
 * what there is to do is written into maildirs (maildir.h), then the slot is given back.
 *
 * Over a connection that a customer has made it begins by talking (turned.h).
 *
 * A name that can never work (no such domain, null MX) or a missing route is a verdict: the
 * work of the slot is claimed and settled with it, no connection is made.
 */
#ifndef WAYPOST_COURIER_H
#define WAYPOST_COURIER_H

#include "relay/outbound/delivery.h"

/* Begins with a slot; it ends by itself and gives the slot back. */
void courier_open(struct delivery *d, struct queue_slot *slot);
/* There may be work. */
void courier_ready(struct courier *c);
/* The slot has no more work: closes as soon as it is idle, or goes on to a turn's next. */
void courier_end(struct courier *c, struct queue_slot *slot);
/* Going down: cut unless it is past a final dot. */
void courier_cut(struct courier *c, bool even_past_dot);
void courier_tick(struct courier *c, int64_t now_ms);
struct courier *courier_next(const struct courier *c);

#endif
