/*
 * itinerary_private - what the files of itinerary share.
 *
 *   itinerary.c           the members of via, from asking to looking, and what comes next
 *   itinerary_hosts.c     hosts out of a look-up, or a verdict
 *   itinerary_connect.c   one host: assuring, racing, trouble
 */
#ifndef WAYPOST_ITINERARY_PRIVATE_H
#define WAYPOST_ITINERARY_PRIVATE_H

#include "relay/outbound/itinerary.h"

/* ------------------------------------------------------- itinerary.c ---- */

bool itinerary_is_socket(const struct itinerary *it);
bool itinerary_wants_assurance(const struct itinerary *it);

/* ------------------------------------------------- itinerary_hosts.c ---- */

/* Ends the query; user is the itinerary. */
void itinerary_on_looked_up(void *user, const struct mx_answer *a);

/* ----------------------------------------------- itinerary_connect.c ---- */

/* The host before host_next: what it must prove, then the race. */
void itinerary_assure(struct itinerary *it);
/* The member's unix socket. */
void itinerary_dial(struct itinerary *it);

#endif
