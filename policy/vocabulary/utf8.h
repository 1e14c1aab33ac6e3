/*
 * utf8 - is this text, and may a terminal see it? RFC 3629.
 */
#ifndef WAYPOST_UTF8_H
#define WAYPOST_UTF8_H

#include "policy/vocabulary/span.h"

/* Length of the well-formed character at the start (1 to 4), 0 when none. */
size_t utf8_length(struct span s);
/* The same, but 0 also for what moves the cursor, turns the line or is not seen. */
size_t utf8_is_showable(struct span s);
/* All of it well formed? */
bool utf8_is_valid(struct span s);
/* Any byte over 127? */
bool utf8_has_high(struct span s);

#endif
