/*
 * header_scan - what a relay wants to know of a header section.
 *
 * How long it is, how many Received: lines stand in it (RFC 5321 6.3), the
 * Message-ID for the log, and whether it holds bytes over 127. Fed with content whose line ends are all CRLF, cut
 * anywhere. The section ends after the first empty line, or in front of the
 * first line that is neither a field nor a continuation. RFC 5322 2.2.
 */
#ifndef WAYPOST_HEADER_SCAN_H
#define WAYPOST_HEADER_SCAN_H

#include "policy/vocabulary/span.h"

enum {
    HEADER_NAME_KEPT = 16,  /* more than the longest name looked for */
    HEADER_NAME_MOST = 998, /* longer is text, not a field's name */
    HEADER_ID_MOST = 256,
};

enum header_place {
    HEADER_LINE_START,
    HEADER_NAME,
    HEADER_VALUE,
    HEADER_EMPTY_CR,
    HEADER_OVER,
};

struct header_scan {
    enum header_place place;
    bool in_id; /* the field at hand is the Message-ID */
    bool had_field;
    bool has_8bit;      /* in the value of a field; RFC 6532 */
    bool name_ended;     /* spaces may follow, then only a colon */
    uint32_t hops;       /* Received: lines */
    uint64_t bytes;      /* of the section, as far as it is known */
    uint64_t line_bytes; /* of the line being read */
    size_t name_len;
    char name[HEADER_NAME_KEPT]; /* its beginning */
    size_t id_len;
    char id[HEADER_ID_MOST]; /* unfolded, spaces at both ends left out */
};

/* A zeroed struct is ready. Does nothing once the section is over. */
void header_scan_feed(struct header_scan *h, struct span run);
/* The content is over: what is open is settled. */
void header_scan_end(struct header_scan *h);
/* Borrowed from h; empty when there is none. */
struct span header_scan_id(const struct header_scan *h);

static inline bool header_scan_is_over(const struct header_scan *h)
{
    return h->place == HEADER_OVER;
}

#endif
