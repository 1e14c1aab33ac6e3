/*
 * fieldvalues - what the header fields that rules name have to say.
 *
 * Of all values together FIELDVALUES_BYTES are kept. RFC 5322 2.2, RFC 2047.
 */
#ifndef WAYPOST_FIELDVALUES_H
#define WAYPOST_FIELDVALUES_H

#include "policy/vocabulary/arena.h"
#include "policy/vocabulary/limits.h"
#include "policy/vocabulary/span.h"

enum { FIELDVALUES_BYTES = LIMIT_HEADER };

/* One field that is named. */
struct fieldvalues_of {
    struct span name; /* borrowed */
    struct span *all; /* at is never NULL */
    size_t count, room;
};

/* All zero: none is named. */
struct fieldvalues {
    struct arena arena;
    struct fieldvalues_of *all;
    size_t count, room;
    size_t bytes; /* kept of all values */
    bool is_cut;  /* there was more */
};

void fieldvalues_fini(struct fieldvalues *f);
/* Before the first value; the same name often is once. */
void fieldvalues_want(struct fieldvalues *f, struct span name);
/* NULL: nobody named it. Names are compared without case. */
struct fieldvalues_of *fieldvalues_find(const struct fieldvalues *f,
                                        struct span name);
/* One more value, unfolded, encoded words as they stand. is_cut: its end is missing. */
void fieldvalues_keep(struct fieldvalues *f, struct fieldvalues_of *to,
                      struct span raw, bool is_cut);

#endif
