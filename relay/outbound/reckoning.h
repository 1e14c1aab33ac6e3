/*
 * reckoning - a login's slow answer, computed beside the loop.
 *
 *   loop: reckoning_start --> a thread of libuv's pool: login_compute --> loop: done
 *
 * The login belongs to the reckoning meanwhile; who asked may go (and drops the token then,
 * so that the answer finds nobody). The delivery is not empty before the last one is over.
 */
#ifndef WAYPOST_RECKONING_H
#define WAYPOST_RECKONING_H

#include "relay/outbound/delivery.h"

struct login;

typedef void reckoning_fn(void *user, struct login *take_l);

/* Answers a token of the delivery's registry; done comes later, or never once it was
 * dropped. */
uint64_t reckoning_start(struct delivery *d, struct login *take_l,
                         reckoning_fn *done, void *user);

#endif
