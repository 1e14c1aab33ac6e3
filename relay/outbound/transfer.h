/*
 * transfer - quoted-printable and base64, written as the bytes come.
 *
 * Bytes in, lines of at most 76 characters out, cut anywhere with the same
 * result. Quoted-printable keeps CRLF as line ends and is safe for what stands
 * on the way: no line begins with ".", "From " or "--" (it could look like a
 * delimiter); none ends in a space. RFC 2045 6.7, 6.8.
 */
#ifndef WAYPOST_TRANSFER_H
#define WAYPOST_TRANSFER_H

#include "policy/vocabulary/buffer.h"

enum transfer_kind { TRANSFER_QUOTED, TRANSFER_BASE64 };

enum { TRANSFER_LINE = 76 };

struct transfer {
    enum transfer_kind kind;
    unsigned len;
    char line[TRANSFER_LINE + 2]; /* the open line, with room for its CRLF */
    unsigned char waiting[3];     /* base64: of a group; else a CR */
    unsigned waiting_count;
};

/* As Content-Transfer-Encoding names it. */
const char *transfer_name(enum transfer_kind kind);
void transfer_init(struct transfer *t, enum transfer_kind kind);
void transfer_put(struct transfer *t, struct buffer *out, struct span s);
/* What waits goes out. True: the last line is open, its CRLF is the caller's. */
bool transfer_end(struct transfer *t, struct buffer *out);
/* Both at once; ends in CRLF when there was anything. */
void transfer_whole(enum transfer_kind kind, struct buffer *out, struct span s);

#endif
