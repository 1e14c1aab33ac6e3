/*
 * stuffing - content made fit for DATA or BDAT.
 *
 * A dot in front of every line that begins with one, CRLF behind a last line
 * that has none, then the final dot. Content comes in pieces cut anywhere.
 * Whatever else was checked before, a bare CR or LF stops it here: none ever
 * leaves. A chunk of BDAT is checked in the same way and sent as it is. RFC
 * 5321 4.5.2, 2.3.8, RFC 3030 2.
 */
#ifndef WAYPOST_STUFFING_H
#define WAYPOST_STUFFING_H

#include "policy/vocabulary/buffer.h"

/* What the last byte was; zeroed: content begins. */
struct stuffing {
    enum { STUFFING_LINE_START, STUFFING_IN_LINE, STUFFING_AFTER_CR } at;
};

/* Appends the next bytes. False: a bare CR or LF; what stood before it may be
 * in out. */
bool stuffing_put(struct stuffing *s, struct buffer *out, struct span in);
/* The next bytes, looked at only: whether the last line has its end is told by
 * s->at. False as above. */
bool stuffing_check(struct stuffing *s, struct span in);
/* Appends what ends the content. False as above. */
bool stuffing_end(struct stuffing *s, struct buffer *out);

#endif
