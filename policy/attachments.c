/*
 * attachments - the names and types of a message's parts, each once.
 *
 * A small table of hashes with open addressing, never more than half full, so a message of
 * a million equal parts costs one look each. Owns what it keeps.
 */
#include "policy/attachments.h"

#include "policy/vocabulary/memory.h"

#include <stdlib.h>

enum { TEXT_MOST = 1024 };

static uint64_t hash_of(uint64_t hash, struct span s)
{
    for (size_t i = 0; i < s.len; i++)
        hash = (hash ^ (unsigned char)s.at[i]) * 1099511628211u;
    return hash;
}

static struct attachment *room_for_one(struct attachments *a)
{
    if (a->count == a->room) {
        a->room = a->room ? a->room * 2 : 8;
        a->all = memory_grow(a->all, a->room * sizeof *a->all);
    }
    return &a->all[a->count++];
}

void attachments_add(struct attachments *a, struct span name, struct span type)
{
    uint64_t hash = 14695981039346656037u;
    size_t slot;

    if (name.len > TEXT_MOST)
        name = span_skip(name, name.len - TEXT_MOST);
    type = span_first(type, TEXT_MOST);
    hash = hash_of(hash_of(hash, type) * 31, name);
    slot = (size_t)(hash ^ hash >> 32) & (ATTACHMENTS_SLOTS - 1);
    for (; a->slots[slot]; slot = (slot + 1) & (ATTACHMENTS_SLOTS - 1)) {
        const struct attachment *one = &a->all[a->slots[slot] - 1];

        if (span_is(one->name, name) && span_is(one->type, type))
            return;
    }
    if (a->count == LIMIT_ATTACHMENTS) {
        a->has_more = true;
        return;
    }
    *room_for_one(a) =
        (struct attachment){ .name = arena_copy(&a->arena, name),
                             .type = arena_copy(&a->arena, type) };
    a->slots[slot] = (uint16_t)a->count;
}

void attachments_fini(struct attachments *a)
{
    arena_reset(&a->arena);
    free(a->all);
    *a = (struct attachments){ 0 };
}
