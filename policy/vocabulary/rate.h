/*
 * rate - so much in any such time, as people write it: "100/min".
 */
#ifndef WAYPOST_RATE_H
#define WAYPOST_RATE_H

#include "policy/vocabulary/buffer.h"

/* "100/h": at most so much in any period of that length, wherever it begins. */
struct rate {
    uint64_t amount;
    int64_t period_ms;
};

enum { RATES_MOST = 4 }; /* of one route; all of them hold */

/* "100/min", "7/90s": in the largest unit that fits. */
void rate_put(struct buffer *b, const struct rate *r);
/* "10/s+1000/h", with `between` in place of the plus. */
void rate_put_all(struct buffer *b, const struct rate *rates, size_t count,
                  const char *between);
bool rate_is_same(const struct rate *a, size_t a_count, const struct rate *b,
                  size_t b_count);

#endif
