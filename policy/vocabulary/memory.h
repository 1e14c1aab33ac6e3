/*
 * memory - allocation that does not fail.
 *
 * Out of memory ends the program. That is safe because every size that a peer
 * controls is capped before it is allocated (limits.h), and a queue that dies
 * loses nothing it has acknowledged.
 */
#ifndef WAYPOST_MEMORY_H
#define WAYPOST_MEMORY_H

#include <stddef.h>

/* Zeroed. */
void *memory_zero(size_t count, size_t size) __attribute__((malloc));
void *memory_take(size_t size) __attribute__((malloc));
/* As realloc. */
void *memory_grow(void *old, size_t size);

#define NEW(type)           ((type *)memory_zero(1, sizeof(type)))
#define NEW_ARRAY(type, n)  ((type *)memory_zero((n), sizeof(type)))

#endif
