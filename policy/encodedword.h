/*
 * encodedword - text in headers that was wrapped for 7-bit transport.
 *
 * Decodes as a reader would show it: RFC 2047 words (also within quoted strings, where they
 * are not allowed and yet decoded by most), RFC 2231 percent values. Charsets: Latin 1
 * becomes UTF-8; the bytes of any other stay as they are, without NULs, so that the ASCII in
 * it can be compared.
 */
#ifndef WAYPOST_ENCODEDWORD_H
#define WAYPOST_ENCODEDWORD_H

#include "policy/vocabulary/buffer.h"

void encodedword_decode(struct buffer *out, struct span text);
/* %XX; of this charset. */
void encodedword_percent(struct buffer *out, struct span text,
                         struct span charset);

#endif
