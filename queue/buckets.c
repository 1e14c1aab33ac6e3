/*
 * buckets - a hash table of links that live in their owners.
 *
 * Doubles when there are as many links as heads; never shrinks, since what it
 * holds is capped by its users.
 */
#include "queue/buckets.h"

#include "policy/vocabulary/error.h"
#include "policy/vocabulary/memory.h"

#include <stdlib.h>
#include <xxhash.h>

enum { BUCKETS_FIRST = 64 };

uint64_t buckets_hash(struct span key)
{
    return XXH3_64bits(key.len ? key.at : "", key.len);
}

uint64_t buckets_hash_number(uint64_t key)
{
    key ^= key >> 32;
    key *= 0x9e3779b97f4a7c15U;
    return key ^ key >> 29;
}

static void buckets_link(struct buckets *b, struct bucket_link *l)
{
    struct bucket_link **head = &b->heads[l->hash & (b->size - 1)];

    l->next = *head;
    *head = l;
}

static void buckets_double(struct buckets *b)
{
    struct bucket_link **all = buckets_all(b);

    free(b->heads);
    b->size = b->size ? b->size * 2 : BUCKETS_FIRST;
    b->heads = NEW_ARRAY(struct bucket_link *, b->size);
    for (size_t i = 0; i < b->count; i++)
        buckets_link(b, all[i]);
    free(all);
}

void buckets_put(struct buckets *b, struct bucket_link *l, uint64_t hash)
{
    if (b->count == b->size)
        buckets_double(b);
    l->hash = hash;
    buckets_link(b, l);
    b->count++;
}

void buckets_remove(struct buckets *b, struct bucket_link *l)
{
    struct bucket_link **at = &b->heads[l->hash & (b->size - 1)];

    while (*at != l) {
        ASSERT(*at);
        at = &(*at)->next;
    }
    *at = l->next;
    b->count--;
}

struct bucket_link *buckets_first(const struct buckets *b, uint64_t hash)
{
    struct bucket_link *l = b->size ? b->heads[hash & (b->size - 1)] : NULL;

    while (l && l->hash != hash)
        l = l->next;
    return l;
}

struct bucket_link *buckets_next(const struct bucket_link *l)
{
    struct bucket_link *next = l->next;

    while (next && next->hash != l->hash)
        next = next->next;
    return next;
}

struct bucket_link **buckets_all(const struct buckets *b)
{
    struct bucket_link **all = NEW_ARRAY(struct bucket_link *, b->count);
    size_t n = 0;

    for (size_t i = 0; i < b->size; i++)
        for (struct bucket_link *l = b->heads[i]; l; l = l->next)
            all[n++] = l;
    ASSERT(n == b->count);
    return all;
}

void buckets_fini(struct buckets *b)
{
    free(b->heads);
    *b = (struct buckets){ 0 };
}
