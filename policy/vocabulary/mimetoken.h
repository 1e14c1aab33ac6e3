/*
 * mimetoken - the pieces that structured header fields of MIME are made of.
 *
 *   comment = "(" ... ")"        nested; "\" quotes the next character
 *   token   = characters above space but for ()<>@,;:\"/[]?=
 *
 * White space, line breaks and comments may stand before each piece. Nothing fails, since all
 * is read that a mail reader would read: what is not there is empty. RFC 2045 5.1, 5322 3.2.
 */
#ifndef WAYPOST_MIMETOKEN_H
#define WAYPOST_MIMETOKEN_H

#include "policy/vocabulary/span.h"

/* Space, tab, CR or LF? */
bool mimetoken_is_space(char c);
/* Without white space and comments at the beginning. */
struct span mimetoken_skip(struct span s);
/* Takes the next token off s; it may be empty. */
struct span mimetoken_take(struct span *s);
/* Takes c off s if it is what comes next. */
bool mimetoken_take_char(struct span *s, char c);

#endif
