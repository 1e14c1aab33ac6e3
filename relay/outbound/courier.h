/*
 * courier - one slot, one connection at a time, one message after the other.
 *
 *                +----------- next host ----------+
 *                v                                |
 *   slot ---> SEEKING ------- connected -----> VISITING -----> GONE, and the slot
 *              |  |                             |   ^           ^    is given back
 *              |  |       its content is large  v   |           |
 *              |  +-- judged, and it is large --> READING ------+
 *              +-- maildir --> FILING --------------------------+
 *
 * SEEKING: the itinerary looks names up and connects. VISITING: a talk (talk.h) has the
 * connection, from the greeting to its last words, also while it is parked for want of work;
 * a parcel in hand at its end goes on to another host. READING: the beginning of large content
 * is fetched, for a report that may be owed. FILING: no host is asked, what there is to do is
 * written into maildirs (maildir.h).
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
