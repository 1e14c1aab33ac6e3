/*
 * capabilities - what a next hop says it can do.
 *
 * Read from the reply to EHLO, once for each connection and forgotten with it.
 * RFC 5321 4.1.1.1, and 1870, 2920, 6152, 6531, 2034, 3461, 9422 for the
 * keywords.
 */
#ifndef WAYPOST_CAPABILITIES_H
#define WAYPOST_CAPABILITIES_H

#include "policy/vocabulary/span.h"

enum capability {
    CAN_PIPELINING = 1 << 0,
    CAN_SIZE = 1 << 1, /* takes SIZE= in MAIL */
    CAN_8BITMIME = 1 << 2,
    CAN_SMTPUTF8 = 1 << 3,
    CAN_STATUS_CODES = 1 << 4,
    CAN_DSN = 1 << 5,
    CAN_LIMITS = 1 << 6,
};

/* Zeroed: a peer that said HELO only. */
struct capabilities {
    unsigned has;        /* enum capability, or-ed */
    uint64_t size_bytes; /* largest message it takes; 0: it does not say */
    uint32_t recipients; /* RCPTMAX; 0: it does not say */
    uint32_t messages;   /* MAILMAX; 0: it does not say */
};

/*
 * text: of the reply to EHLO, '\n' between lines; the first is the peer's name.
 * Unknown keywords, and values that are not well formed, count as not offered.
 * Where a keyword comes twice the milder limit holds: a peer that contradicts
 * itself is asked, not guessed at.
 */
void capabilities_read(struct capabilities *out, struct span text);

#endif
