/*
 * explain_listing - an explanation (explain_json.h) as text: one screen for people.
 *
 * A line for each rule, then the verdict and what would come of it. Text of strangers is
 * escaped.
 */
#ifndef WAYPOST_EXPLAIN_LISTING_H
#define WAYPOST_EXPLAIN_LISTING_H

#include "policy/vocabulary/buffer.h"

#include <jansson.h>

struct explain_looks {
    bool is_coloured;
    bool is_full;                 /* rules that are not reached have lines of their own */
};

void explain_listing_put(struct buffer *b, const json_t *o,
                         const struct explain_looks *looks);

#endif
