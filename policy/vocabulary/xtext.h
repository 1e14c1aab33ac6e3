/*
 * xtext - values of ESMTP parameters that may hold any character.
 *
 * xtext writes what may not stand in a parameter as "+HH" (RFC 3461 4);
 * utf-8-addr-xtext and -unitext write a character as "\x{HEX}" (RFC 6533 3).
 * What is decoded is meant for people and headers: controls are refused.
 */
#ifndef WAYPOST_XTEXT_H
#define WAYPOST_XTEXT_H

#include "policy/vocabulary/buffer.h"

/* False when s is no xtext or hides something but printable ASCII; then out
 * may hold a part of it. Hexadecimal digits in any case. */
bool xtext_decode(struct span s, struct buffer *out);
void xtext_encode(struct buffer *out, struct span s);

/* The same of a utf-8-addr-unitext, of which a utf-8-addr-xtext is a special
 * case; raw_utf8: characters over 127 may also stand as themselves. */
bool xtext_decode_utf8(struct span s, bool raw_utf8, struct buffer *out);
/* raw_utf8: as unitext, for a peer that was told SMTPUTF8. s is UTF-8. */
void xtext_encode_utf8(struct buffer *out, struct span s, bool raw_utf8);

/*
 * The value of ORCPT: "type;address" with the address in the form that its type
 * asks for. Decoding yields "type;address" in clear; an rfc822 address that hides
 * UTF-8 is of the type utf-8.
 */
bool xtext_decode_orcpt(struct span s, bool raw_utf8, struct buffer *out);
/* s: decoded, as above. */
void xtext_encode_orcpt(struct buffer *out, struct span s, bool raw_utf8);

#endif
