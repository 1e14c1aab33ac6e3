/*
 * mimeheader - what a header section says about the body behind it.
 *
 * Reads Content-Type, Content-Transfer-Encoding, MIME-Version and the presence
 * of a DKIM-Signature; writes the section anew with another encoding. What is
 * malformed counts as not there. Pure. RFC 2045 3 to 6, RFC 2046 5.1.1, 5.1.5.
 */
#ifndef WAYPOST_MIMEHEADER_H
#define WAYPOST_MIMEHEADER_H

#include "policy/vocabulary/buffer.h"

enum { MIMEHEADER_BOUNDARY = 200 }; /* RFC 2046 allows 70 */

enum mimeheader_kind {
    MIME_TEXT, /* also where there is no type */
    MIME_MULTIPART,
    MIME_MESSAGE, /* with a header section of its own: rfc822, global, news */
    MIME_REPORT,  /* other message types: lines of text */
    MIME_OTHER,
};

enum mimeheader_coding {
    CODING_7BIT, /* also none, and one that is not known */
    CODING_8BIT,
    CODING_BINARY,
    CODING_QUOTED,
    CODING_BASE64,
};

struct mimeheader {
    enum mimeheader_kind kind;
    enum mimeheader_coding coding;
    bool has_type, has_version;
    bool is_sealed; /* signed or encrypted content */
    bool is_digest; /* its parts are messages where they do not say */
    bool has_dkim;
    char boundary[MIMEHEADER_BOUNDARY];
    size_t boundary_len; /* 0: none that can be used */
};

/* Could a header field begin with this line, or go on with it? */
bool mimeheader_is_line(struct span line);
/* section: whole lines, without the empty one. in_digest: what is meant when it
 * does not say. */
void mimeheader_read(struct mimeheader *out_h, struct span section,
                     bool in_digest);
/* The section with this encoding; what a message needs besides is added. */
void mimeheader_write(struct buffer *out, struct span section,
                      const struct mimeheader *h, const char *coding,
                      bool is_message);

#endif
