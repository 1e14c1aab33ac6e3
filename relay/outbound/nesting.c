/*
 * nesting - the multiparts that are open, and the lines that end their parts.
 */
#include "relay/outbound/nesting.h"

#include "policy/vocabulary/error.h"

#include <stdlib.h>

void nesting_open(struct nesting *n, struct span boundary,
                  const struct nesting_level *level)
{
    ASSERT(n->count < NESTING_MOST);
    n->levels[n->count] = *level;
    n->levels[n->count++].boundary =
        span_make(span_dup(boundary), boundary.len);
}

void nesting_close(struct nesting *n, size_t kept)
{
    while (n->count > kept)
        free((char *)n->levels[--n->count].boundary.at);
}

int nesting_find(const struct nesting *n, struct span line, bool *out_closes)
{
    if (line.len < 2 || memcmp(line.at, "--", 2) != 0)
        return -1;
    if (memcmp(line.at + line.len - 2, "\r\n", 2) == 0)
        line = span_first(line, line.len - 2);
    line = span_skip(line, 2);
    for (size_t i = n->count; i-- > 0;) {
        struct span b = n->levels[i].boundary, rest = span_skip(line, b.len);
        bool closes = rest.len >= 2 && memcmp(rest.at, "--", 2) == 0;

        if (!span_is(span_first(line, b.len), b) ||
            span_trim(span_skip(rest, closes ? 2 : 0)).len > 0)
            continue;
        *out_closes = closes;
        return (int)i;
    }
    return -1;
}
