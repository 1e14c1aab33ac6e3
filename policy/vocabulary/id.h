/*
 * id - the name of a message for its whole life, and after it.
 *
 * 63 bits: microseconds since the epoch shifted by 8, low bits counting within
 * one microsecond, so ids sort by time and are never reused. Printed as 13
 * characters of Crockford base32 (no I, L, O, U), read in any case.
 */
#ifndef WAYPOST_ID_H
#define WAYPOST_ID_H

#include "policy/vocabulary/span.h"

enum { ID_LENGTH = 13 };

struct id_text {
    char at[ID_LENGTH + 1];
};

struct id_text id_print(uint64_t id);
/* False when s is not 13 such characters or over 63 bits. */
bool id_parse(struct span s, uint64_t *out_id);
/* The next id after `last` at time now; larger than both. */
uint64_t id_next(uint64_t last, int64_t now_us);

#endif
