/*
 * moment - a point in time as RFC 3339 writes it.
 */
#ifndef WAYPOST_MOMENT_H
#define WAYPOST_MOMENT_H

#include "policy/vocabulary/buffer.h"

/* "2026-11-22T00:32:48Z", with fractions or an offset too; milliseconds since
 * the epoch. Years from 1970. */
bool moment_parse(struct span s, int64_t *out_ms);
/* In UTC, whole seconds. */
void moment_print(struct buffer *b, int64_t ms);

#endif
