/*
 * registry - names for things that may be gone when an answer comes.
 *
 * A token is handed out instead of a pointer; a late answer for a token that was dropped
 * finds nothing. Used by one thread. Tokens are never 0 and not soon reused.
 */
#ifndef WAYPOST_REGISTRY_H
#define WAYPOST_REGISTRY_H

#include <stdint.h>

struct registry_entry {
    void *thing;                  /* NULL: free */
    uint32_t generation;
    uint32_t next_free;
};

struct registry {
    struct registry_entry *entries;
    uint32_t count, size;
    uint32_t first_free;          /* index + 1; 0: none */
};

uint64_t registry_put(struct registry *r, void *thing);
void *registry_find(const struct registry *r, uint64_t token);
void registry_drop(struct registry *r, uint64_t token);
void registry_fini(struct registry *r);

#endif
