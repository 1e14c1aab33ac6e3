/*
 * convert - content for a next hop that takes seven bits only.
 *
 * A streaming MIME walk: parts with 8-bit or binary content are re-encoded
 * (quoted-printable for text, base64 for the rest), their Content-Transfer-Encoding is
 * rewritten, multiparts are gone into, message/rfc822 parts too; everything else passes as
 * it is, byte for byte. Optionally folds lines that are too long. Pure: bytes in, bytes out,
 * cut anywhere. RFC 2045, 2046, 6152 3.
 *
 * A leaf that does not say it is 8bit is looked at before its header goes out, up to
 * LIMIT_HEADER bytes; a longer one is encoded in any case. Memory is bounded by that, by
 * one header section of LIMIT_HEADER, and by one line of `fold`.
 *
 * What cannot be converted is known after convert_feed said so: signed or encrypted parts,
 * and all of a message with a DKIM-Signature, where a byte of them had to change (unless
 * told), 8-bit header fields (they would need SMTPUTF8), structure that is not gone into.
 * Folding alone asks for no such leave: who sets it wants it.
 *
 * What nobody reads is not worth a refusal: a high byte in a preamble or epilogue becomes
 * "?", one in base64 is left out, one in quoted-printable is quoted.
 */
#ifndef WAYPOST_CONVERT_H
#define WAYPOST_CONVERT_H

#include "policy/vocabulary/buffer.h"

struct convert_options {
    bool even_signed;             /* convert = always */
    bool is_binary;               /* BODY=BINARYMIME: bare CR, LF and NUL may come */
    bool to_7bit;                 /* false: only fold */
    uint32_t fold;                /* longest line without CRLF, at least 76; 0: not folded */
};

enum convert_said {
    CONVERT_FINE,
    CONVERT_SIGNED,               /* 5.6.3: would break a signature */
    CONVERT_HEADER,               /* 5.6.7: header with bytes over 127 */
    CONVERT_TOO_DEEP,             /* 5.6.3: parts over 100 deep, a multipart without
                                     boundary, a header section over LIMIT_HEADER */
};

struct convert;

struct convert *convert_new(const struct convert_options *o);
void convert_free(struct convert *c);
/* last: in is the end of the content (what is open is finished). After anything but FINE
 * nothing more comes out. */
enum convert_said convert_feed(struct convert *c, struct span in, bool last,
                               struct buffer *out);

#endif
