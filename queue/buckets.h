/*
 * buckets - a hash table of links that live in their owners.
 *
 * Several links may carry the same hash; the caller compares keys. Not locked.
 */
#ifndef WAYPOST_BUCKETS_H
#define WAYPOST_BUCKETS_H

#include "policy/vocabulary/span.h"

struct bucket_link {
    struct bucket_link *next;
    uint64_t hash;
};

/* A zeroed one is empty and takes no memory. */
struct buckets {
    struct bucket_link **heads;
    size_t size;  /* of heads, a power of two */
    size_t count; /* links in it */
};

/* The struct of this type whose member `member` is at `at`. */
#define OWNER(at, type, member)                                                \
    ((type *)(void *)((char *)(at)-offsetof(type, member)))

uint64_t buckets_hash(struct span key);
uint64_t buckets_hash_number(uint64_t key);

void buckets_put(struct buckets *b, struct bucket_link *l, uint64_t hash);
/* l must be in b. */
void buckets_remove(struct buckets *b, struct bucket_link *l);
/* The first link with that hash, and the one after it; NULL: no more. */
struct bucket_link *buckets_first(const struct buckets *b, uint64_t hash);
struct bucket_link *buckets_next(const struct bucket_link *l);
/* All links there are now, b->count of them; the caller frees the array. */
struct bucket_link **buckets_all(const struct buckets *b);
/* The links are not touched. */
void buckets_fini(struct buckets *b);

#endif
