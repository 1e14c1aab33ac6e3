/*
 * content - the bytes between 354 and the final dot, or those of BDAT's chunks.
 *
 * Only CRLF "." CRLF ends it, where the beginning counts as after a CRLF. Dots
 * that were put in front of lines are taken out. A CR or LF that stands alone
 * is a fault, or with `normalize` becomes CRLF; in neither mode can it be part
 * of the end, and none ever comes out. NUL and bytes over 127 pass unchanged.
 * Input may be cut anywhere. RFC 5321 4.1.1.4, 4.5.2, 2.3.8.
 *
 * In chunks a dot is a dot, the caller knows where the end is (content_finish),
 * and a last line without its end gets one; all else is as above. Binary content
 * is copied. RFC 3030.
 *
 * Happy path: content_feed until it says that the end was read; then fault is
 * CONTENT_FINE. After a fault everything up to the end is read and thrown away.
 *
 * Owns nothing; output goes to the caller's buffer.
 */
#ifndef WAYPOST_CONTENT_H
#define WAYPOST_CONTENT_H

#include "policy/vocabulary/buffer.h"
#include "relay/inbound/header_scan.h"

enum content_fault {
    CONTENT_FINE,
    CONTENT_TOO_LARGE,
    CONTENT_LINE_TOO_LONG,
    CONTENT_HEADER_TOO_LARGE,
    CONTENT_LOOPS, /* too many Received: lines */
};

enum content_form { CONTENT_DOTTED, CONTENT_CHUNKED, CONTENT_BINARY };

struct content_options {
    enum content_form form;
    bool normalize;
    uint64_t size_most; /* after unstuffing, line ends included */
    uint64_t line_most; /* without its line end */
    uint64_t header_most;
    uint32_t hops_most;
};

struct content {
    struct content_options options;
    unsigned char place; /* see content.c */
    bool has_8bit;
    bool is_bare;             /* a CR or LF stood alone */
    enum content_fault fault; /* the first one */
    uint64_t size;            /* bytes that came out, or would have */
    uint64_t line;            /* of them since the last line end */
    struct header_scan header;
};

void content_init(struct content *c, const struct content_options *o);
/*
 * Consumes input up to the end of the content or of the input; *out_end says
 * whether the end was read. Answers how many bytes were taken.
 */
size_t content_feed(struct content *c, struct span in, struct buffer *out,
                    bool *out_end);
/* In chunks: all of it was fed. */
void content_finish(struct content *c, struct buffer *out);
/* Will it be refused? */
bool content_is_refused(const struct content *c);

#endif
