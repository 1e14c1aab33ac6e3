/*
 * tlsa - which of a host's TLSA records say anything about its certificate?
 *
 * For mail only those count that name the host's own key or certificate (DANE-EE, 3) or an
 * authority of its own (DANE-TA, 2): the others want authorities that both sides know, and
 * there are none between mail servers. Raw record data in, what can be used out; whether
 * the certificate fits is TLS's to say.
 *
 * Owns nothing: data is borrowed from the record. RFC 6698 2.1, RFC 7671 4, RFC 7672 3.1.
 */
#ifndef WAYPOST_TLSA_H
#define WAYPOST_TLSA_H

#include "policy/vocabulary/buffer.h"

enum {
    TLSA_MOST = 100,              /* records of one host that are looked at */
    TLSA_DATA_MOST = 16 * 1024,   /* of a certificate or key that is given whole */
};

struct tlsa {
    unsigned char usage;          /* 2: DANE-TA, 3: DANE-EE */
    unsigned char selector;       /* 0: the certificate, 1: its public key */
    unsigned char matching;       /* 0: all of it, 1: SHA-256, 2: SHA-512 */
    struct span data;
};

/* One record's data; false: not well formed. */
bool tlsa_read(struct span record, struct tlsa *out);
/* Does it say something that mail can use, and that can be understood? */
bool tlsa_is_usable(const struct tlsa *t);
/* "3 1 1 8D02..."; long data is cut. */
void tlsa_print(struct buffer *b, const struct tlsa *t);

#endif
