/*
 * capabilities - what a next hop says it can do.
 *
 * Read from the reply to EHLO, once for each connection (again after STARTTLS)
 * and forgotten with it. RFC 5321 4.1.1.1, and 1870, 2920, 6152, 6531, 2034,
 * 3461, 9422, 3207, 4954, 3030, 2852, 6710, 4865, 2645 for the keywords.
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
    CAN_STARTTLS = 1 << 7,
    CAN_AUTH = 1 << 8,
    CAN_CHUNKING = 1 << 9,
    CAN_BINARYMIME = 1 << 10,
    CAN_DELIVERBY = 1 << 11,
    CAN_MT_PRIORITY = 1 << 12,
    CAN_FUTURERELEASE = 1 << 13,
    CAN_XFORWARD = 1 << 14,
    CAN_ATRN = 1 << 15,
};

/* What XFORWARD may tell. */
enum xforward {
    XFORWARD_NAME = 1 << 0,
    XFORWARD_ADDR = 1 << 1,
    XFORWARD_PROTO = 1 << 2,
    XFORWARD_HELO = 1 << 3,
    XFORWARD_SOURCE = 1 << 4,
};

/* Zeroed: a peer that said HELO only. */
struct capabilities {
    unsigned has;        /* enum capability, or-ed */
    uint64_t size_bytes; /* largest message it takes; 0: it does not say */
    uint32_t recipients; /* RCPTMAX; 0: it does not say */
    uint32_t messages;   /* MAILMAX; 0: it does not say */
    uint32_t domains;    /* RCPTDOMAINMAX; 0: it does not say */
    unsigned mechanisms; /* AUTH: of enum mechanism, those that we know */
    unsigned xforward;   /* enum xforward, or-ed */
    uint64_t least_by_s; /* DELIVERBY: the least by-time; 0: it does not say */
};

/*
 * text: of the reply to EHLO, '\n' between lines; the first is the peer's name.
 * Unknown keywords, and values that are not well formed, count as not offered.
 * Where a keyword comes twice the milder limit holds: a peer that contradicts
 * itself is asked, not guessed at. "AUTH=" of before RFC 2554 counts as AUTH.
 */
void capabilities_read(struct capabilities *out, struct span text);

#endif
