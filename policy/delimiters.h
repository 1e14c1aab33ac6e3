/*
 * delimiters - the multiparts that are open, and whether a line is a delimiter of one.
 *
 * RFC 2046 5.1.1.
 */
#ifndef WAYPOST_DELIMITERS_H
#define WAYPOST_DELIMITERS_H

#include "policy/vocabulary/limits.h"
#include "policy/vocabulary/span.h"

struct delimiter {
    struct span boundary; /* own copy */
    uint64_t hash;        /* of it */
    bool is_digest;       /* its parts are messages where they do not say */
    unsigned depth;       /* of its parts */
};

/* All zero: none is open. */
struct delimiters {
    struct delimiter all[LIMIT_MIME_DEPTH]; /* the innermost last */
    size_t count;
};

/* False: too many are open. */
bool delimiters_open(struct delimiters *d, struct span boundary, bool is_digest,
                     unsigned depth);
/* All but the outermost kept ones. */
void delimiters_close(struct delimiters *d, size_t kept);
/* Whose delimiter is this line? Its index, and whether a part begins there (else the
 * multipart ends); or count. The innermost is asked first. */
size_t delimiters_find(const struct delimiters *d, struct span line,
                       bool *out_opens);

#endif
