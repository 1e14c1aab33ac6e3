/*
 * mechanism - the ways to log in, by name.
 *
 * One table of names for the AUTH line of EHLO, the configuration's lists and what a next
 * hop offers. RFC 4616, 5802, 7677, 7628, 2195, 4422.
 */
#ifndef WAYPOST_MECHANISM_H
#define WAYPOST_MECHANISM_H

#include "policy/vocabulary/buffer.h"

/* In order of preference, best first; a set is an or of them. */
enum mechanism {
    MECHANISM_EXTERNAL = 1 << 0,
    MECHANISM_SCRAM_SHA_256_PLUS = 1 << 1,
    MECHANISM_SCRAM_SHA_1_PLUS = 1 << 2,
    MECHANISM_SCRAM_SHA_256 = 1 << 3,
    MECHANISM_SCRAM_SHA_1 = 1 << 4,
    MECHANISM_OAUTHBEARER = 1 << 5,
    MECHANISM_XOAUTH2 = 1 << 6,
    MECHANISM_CRAM_MD5 = 1 << 7,
    MECHANISM_PLAIN = 1 << 8,
    MECHANISM_LOGIN = 1 << 9,
    MECHANISM_ALL = (1 << 10) - 1,
};

/* Those that a server offers unless it is told which: what keeps only hashes cannot check
 * CRAM-MD5, and bearer tokens are ours to show, not to judge. */
#define MECHANISMS_SERVED                                                      \
    (MECHANISM_EXTERNAL | MECHANISM_SCRAM_SHA_256_PLUS |                       \
     MECHANISM_SCRAM_SHA_1_PLUS | MECHANISM_SCRAM_SHA_256 |                    \
     MECHANISM_SCRAM_SHA_1 | MECHANISM_PLAIN | MECHANISM_LOGIN)
/* The channel they bind is TLS. */
#define MECHANISMS_BOUND                                                       \
    (MECHANISM_SCRAM_SHA_256_PLUS | MECHANISM_SCRAM_SHA_1_PLUS)
/* A bearer token instead of a password. */
#define MECHANISMS_BEARER (MECHANISM_OAUTHBEARER | MECHANISM_XOAUTH2)

/* 0: no such name (any case). */
unsigned mechanism_find(struct span name);
/* Of one mechanism: "SCRAM-SHA-256". */
const char *mechanism_name(unsigned one);
/* Names with a space between, in order of preference. */
void mechanisms_print(struct buffer *b, unsigned set);
/* The best of a set; 0: it is empty. */
unsigned mechanism_best(unsigned set);

#endif
