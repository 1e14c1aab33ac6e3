/*
 * proxy - the header that a balancer puts in front of a connection.
 *
 * Versions 1 (one line of text) and 2 (binary) of HAProxy's PROXY protocol. Pure: bytes
 * in, in pieces of any size; the client's address out. Not a byte behind the header is
 * taken, so that what follows may be anything, TLS too.
 *
 *   v1   = "PROXY" SP ( "TCP4" / "TCP6" ) SP src SP dst SP sport SP dport CRLF
 *        / "PROXY UNKNOWN" *any CRLF               (at most 107 bytes)
 *   v2   = signature version-command family length addresses *TLV
 *
 * UNKNOWN and LOCAL (a balancer's own check) name nobody: the connection's address stays.
 */
#ifndef WAYPOST_PROXY_H
#define WAYPOST_PROXY_H

#include "policy/vocabulary/network.h"

enum {
    PROXY_LINE_MOST = 107,        /* version 1, with its line end */
    PROXY_BINARY_MOST = 4096,     /* version 2; beyond the addresses nothing is kept */
};

enum proxy_said { PROXY_MORE, PROXY_DONE, PROXY_BAD };

/* Zeroed: nothing has come. */
struct proxy {
    unsigned char bytes[PROXY_LINE_MOST];
    size_t len;                   /* that came, kept or not */
    bool has_source;              /* DONE: the client's address is known */
    struct host_address source;
};

/* out_used: all of in, but for DONE, where the header may end before it. */
enum proxy_said proxy_feed(struct proxy *p, struct span in, size_t *out_used);

#endif
