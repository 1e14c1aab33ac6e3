/*
 * arena - memory of one transaction, given back at once.
 *
 * Nothing taken from an arena is freed alone. Alignment is that of max_align_t.
 */
#ifndef WAYPOST_ARENA_H
#define WAYPOST_ARENA_H

#include "policy/vocabulary/span.h"

struct arena_block;

struct arena {
    struct arena_block *blocks; /* newest first; NULL: nothing taken yet */
    size_t used;                /* in the newest block */
    size_t taken_bytes;         /* sum of what was asked for; callers cap it */
};

/* A zeroed arena is empty and takes no memory. */
void *arena_take(struct arena *a, size_t size);   /* zeroed */
struct span arena_copy(struct arena *a, struct span s);
/* NUL-terminated copy. */
char *arena_string(struct arena *a, struct span s);
/* Gives all memory back; the arena may be used again. */
void arena_reset(struct arena *a);

#endif
