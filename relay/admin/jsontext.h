/*
 * jsontext - JSON written straight into a buffer, for lists of a million rows.
 *
 * Byte for byte what jansson writes in its shortest form and ASCII only, at a tenth of the cost: no
 * object is built for what is only to be sent. Members come one after the other; commas are put
 * where one is needed.
 */
#ifndef WAYPOST_JSONTEXT_H
#define WAYPOST_JSONTEXT_H

#include "policy/vocabulary/buffer.h"

/* '{' or '[', as the next of an array or behind a key. Ends are the caller's bytes. */
void jsontext_begin(struct buffer *b, char bracket);
void jsontext_key(struct buffer *b, struct span key);

/* A string of any bytes: exact where they are UTF-8, else with \xHH in the place of what is not
 * showable. */
void jsontext_put_text(struct buffer *b, struct span s);
void jsontext_put_number(struct buffer *b, int64_t n);
/* A thousandth of it, as a real number: 0.25, 3.0 */
void jsontext_put_seconds(struct buffer *b, int64_t ms);

/* Members of an object. */
void jsontext_text(struct buffer *b, struct span key, struct span s);
void jsontext_number(struct buffer *b, struct span key, int64_t n);
/* `true`, `null`: what needs no quotes. */
void jsontext_bare(struct buffer *b, struct span key, struct span s);

#endif
