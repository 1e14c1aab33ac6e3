/*
 * mimetext - what a report's lines are made of: clean text, folded lines.
 *
 * Pure. What comes out has CRLF line ends, no line over 998 bytes, and no byte
 * that could begin a line or a field of its own, whoever chose the text. RFC
 * 5322 2.1.1, 2.2.3, 3.3.
 */
#ifndef WAYPOST_MIMETEXT_H
#define WAYPOST_MIMETEXT_H

#include "policy/vocabulary/buffer.h"

enum mimetext_charset {
    MIMETEXT_ASCII, /* bytes over 127 become \xHH */
    MIMETEXT_UTF8,  /* well-formed UTF-8 stays */
};

/* Printable text stays, everything else becomes \xHH. A backslash stays: this
 * is for people and for machines that read the field as it is. */
void mimetext_clean(struct buffer *b, enum mimetext_charset charset,
                    struct span s);

/*
 * Appends clean text, broken at spaces so that lines stay under 78 bytes where
 * they can be; each further line begins with CRLF and indent (spaces). column:
 * where the text begins on its line.
 */
void mimetext_fold(struct buffer *b, struct span clean, size_t column,
                   const char *indent);

#endif
