/*
 * date - a moment as mail writes it (RFC 5322 3.3), and as the clock on the wall shows it.
 */
#ifndef WAYPOST_DATE_H
#define WAYPOST_DATE_H

#include "policy/vocabulary/buffer.h"

enum { DATE_DAY_MS = 24 * 3600 * 1000 };

/* "Sun, 22 Nov 2026 00:32:48 +0000": milliseconds since the epoch, in UTC. */
void date_print(struct buffer *b, int64_t ms);
/* The local minute of its day, and that day; 0: Sunday. */
void date_local(int64_t ms, unsigned *out_minute, unsigned *out_weekday);

#endif
