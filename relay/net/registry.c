/*
 * registry - names for things that may be gone when an answer comes.
 */
#include "relay/net/registry.h"

#include "policy/vocabulary/error.h"
#include "policy/vocabulary/memory.h"

#include <stdlib.h>

enum { REGISTRY_FIRST = 64 };

static uint32_t free_index(struct registry *r)
{
    uint32_t i;

    if (r->first_free) {
        i = r->first_free - 1;
        r->first_free = r->entries[i].next_free;
        return i;
    }
    if (r->count == r->size) {
        r->size = r->size ? r->size * 2 : REGISTRY_FIRST;
        r->entries = memory_grow(r->entries, r->size * sizeof *r->entries);
    }
    i = r->count++;
    r->entries[i] = (struct registry_entry){ 0 };
    return i;
}

uint64_t registry_put(struct registry *r, void *thing)
{
    uint32_t i = free_index(r);
    struct registry_entry *e = &r->entries[i];

    ASSERT(thing);
    e->thing = thing;
    e->generation++;
    return (uint64_t)e->generation << 32 | (i + 1);
}

static struct registry_entry *entry_of(const struct registry *r, uint64_t token)
{
    uint32_t i = (uint32_t)token - 1;

    if (i >= r->count || r->entries[i].generation != token >> 32)
        return NULL;
    return &r->entries[i];
}

void *registry_find(const struct registry *r, uint64_t token)
{
    struct registry_entry *e = entry_of(r, token);

    return e ? e->thing : NULL;
}

void registry_drop(struct registry *r, uint64_t token)
{
    struct registry_entry *e = entry_of(r, token);

    ASSERT(e && e->thing);
    e->thing = NULL;
    e->next_free = r->first_free;
    r->first_free = (uint32_t)token;
}

void registry_fini(struct registry *r)
{
    free(r->entries);
    *r = (struct registry){ 0 };
}
