/*
 * obstacle - what this next hop cannot be asked.
 *
 * Looked for before a byte of the transaction is sent. For the client's own files
 * only. RFC 1870 6, 6152 3, 3030 3, 6531 3.2, 2852 4.1.
 */
#ifndef WAYPOST_OBSTACLE_H
#define WAYPOST_OBSTACLE_H

#include "relay/outbound/dialogue.h"

/* In which way the content of c->t goes: c->form, c->by_chunks, c->is_binary. */
void obstacle_choose_way(struct client *c);
/* What stands against it all the same; status of class 0: nothing. */
struct client_outcome obstacle_find(const struct client *c);

#endif
