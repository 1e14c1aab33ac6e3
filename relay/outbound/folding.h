/*
 * folding - no line longer than a hop takes.
 *
 * Bytes in, bytes out, cut anywhere. A header field is broken at its last white
 * space that fits; a body line, and a field without white space, is cut with
 * CRLF and a space, as Postfix's users know it. Characters of UTF-8 stay whole.
 * Holds one line. RFC 5321 4.5.3.1.6, RFC 5322 2.1.1.
 */
#ifndef WAYPOST_FOLDING_H
#define WAYPOST_FOLDING_H

#include "policy/vocabulary/buffer.h"

enum { FOLDING_LEAST = 76 }; /* shorter lines would break quoted-printable */

struct folding {
    size_t most; /* characters in a line, without CRLF */
    bool in_body;
    struct buffer line; /* what has come of it */
};

/* Less than FOLDING_LEAST means FOLDING_LEAST. */
void folding_init(struct folding *f, size_t most);
void folding_fini(struct folding *f);
void folding_put(struct folding *f, struct buffer *out, struct span s);
/* What is held goes out; no CRLF is made up. */
void folding_end(struct folding *f, struct buffer *out);

#endif
