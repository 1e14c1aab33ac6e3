/*
 * nesting - the multiparts that are open, and the lines that end their parts.
 *
 * The delimiter of any of them may come, the innermost is asked first. It is a
 * whole line: boundary, perhaps "--", perhaps white space. RFC 2046 5.1.1.
 */
#ifndef WAYPOST_NESTING_H
#define WAYPOST_NESTING_H

#include "relay/outbound/convert.h"

enum { NESTING_MOST = 100 };

struct nesting_level {
    struct span boundary; /* its own */
    bool is_digest;
    unsigned depth;          /* of its parts */
    enum convert_said guard; /* of its parts */
};

struct nesting {
    struct nesting_level levels[NESTING_MOST];
    size_t count;
};

/* The boundary is copied. There must be room. */
void nesting_open(struct nesting *n, struct span boundary,
                  const struct nesting_level *level);
/* The first so many stay open. */
void nesting_close(struct nesting *n, size_t kept);
/* Whose delimiter is this line? Its number, or -1. */
int nesting_find(const struct nesting *n, struct span line, bool *out_closes);

#endif
