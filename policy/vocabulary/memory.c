/*
 * memory - allocation that does not fail.
 */
#include "policy/vocabulary/memory.h"

#include "policy/vocabulary/error.h"

#include <stdlib.h>

void *memory_zero(size_t count, size_t size)
{
    void *p = calloc(count ? count : 1, size ? size : 1);

    ASSERT(p);
    return p;
}

void *memory_take(size_t size)
{
    void *p = malloc(size ? size : 1);

    ASSERT(p);
    return p;
}

void *memory_grow(void *old, size_t size)
{
    void *p = realloc(old, size ? size : 1);

    ASSERT(p);
    return p;
}
