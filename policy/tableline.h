/*
 * tableline - one line of a table: a key and perhaps a value.
 *
 *   line   = [ key [ space value ] ] [ space ] [ "#" comment ]
 *   key    = word / quoted
 *   value  = quoted / text
 *   quoted = "'" *( byte / "''" ) "'" / DQUOTE *byte DQUOTE
 *
 * A word ends at white space, a text at white space before a # or at the end of the line. In
 * '...' a quote is written twice; "..." has none. Nothing is copied: what was written in
 * quotes is put together where it stands.
 */
#ifndef WAYPOST_TABLELINE_H
#define WAYPOST_TABLELINE_H

#include "policy/vocabulary/span.h"

enum { TABLE_KEY_MOST = 1024, TABLE_VALUE_MOST = 65535 };

struct tableline {
    struct span key;   /* at == NULL: a line without one */
    struct span value; /* empty: none */
    const char *fault; /* NULL: it can be read */
    size_t fault_at;   /* offset in the line */
};

/* The line's bytes may be changed. A CR at its end is no part of it. */
struct tableline tableline_read(char *at, size_t len);

#endif
