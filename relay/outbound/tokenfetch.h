/*
 * tokenfetch - a bearer token from its program or its server.
 *
 * For the keyring, on its loop.
 */
#ifndef WAYPOST_TOKENFETCH_H
#define WAYPOST_TOKENFETCH_H

struct entry;

/* The entry is idle; the fetch ends in keyring_take or keyring_fail, perhaps before this
 * returns. */
void tokenfetch_start(struct entry *e);

#endif
