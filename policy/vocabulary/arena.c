/*
 * arena - memory of one transaction, given back at once.
 */
#include "policy/vocabulary/arena.h"

#include "policy/vocabulary/memory.h"

#include <stdalign.h>
#include <stdlib.h>

enum { ARENA_BLOCK = 1024 };

struct arena_block {
    struct arena_block *next;
    size_t size;
    alignas(max_align_t) char bytes[];
};

void *arena_take(struct arena *a, size_t size)
{
    const size_t align = alignof(max_align_t);
    struct arena_block *b = a->blocks;
    void *p;

    size = (size + align - 1) & ~(align - 1);
    if (!b || b->size - a->used < size) {
        size_t room = size > ARENA_BLOCK ? size : ARENA_BLOCK;

        b = memory_take(sizeof *b + room);
        b->size = room;
        b->next = a->blocks;
        a->blocks = b;
        a->used = 0;
    }
    p = b->bytes + a->used;
    a->used += size;
    a->taken_bytes += size;
    memset(p, 0, size);
    return p;
}

struct span arena_copy(struct arena *a, struct span s)
{
    return (struct span){ arena_string(a, s), s.len };
}

char *arena_string(struct arena *a, struct span s)
{
    char *p = arena_take(a, s.len + 1);

    if (s.len)
        memcpy(p, s.at, s.len);
    return p;
}

void arena_reset(struct arena *a)
{
    while (a->blocks) {
        struct arena_block *b = a->blocks;

        a->blocks = b->next;
        free(b);
    }
    *a = (struct arena){ 0 };
}
