/*
 * hosttree - the narrowest of many networks that holds a host.
 *
 * Owns nothing; the nodes are the caller's.
 */
#include "policy/hosttree.h"

#include "policy/vocabulary/error.h"

#include <stdlib.h>

enum { V4_BITS = 96, ALL_BITS = 128 };

static unsigned __int128 number_of(const struct host_address *a)
{
    unsigned __int128 n = 0;

    for (size_t i = 0; i < sizeof a->bytes; i++)
        n = n << 8 | a->bytes[i];
    return n;
}

static unsigned __int128 last_of(const struct hosttree_node *n)
{
    return n->bits ? n->first |
                         ((((unsigned __int128)1 << (ALL_BITS - n->bits)) - 1))
                   : ~(unsigned __int128)0;
}

struct hosttree_node hosttree_node(const struct network *n, uint32_t tag)
{
    return (struct hosttree_node){ .first = number_of(&n->base),
                                   .tag = tag,
                                   .around = HOSTTREE_NONE,
                                   .bits = n->bits };
}

static int by_first(const void *left, const void *right)
{
    const struct hosttree_node *a = left, *b = right;

    if (a->first != b->first)
        return a->first < b->first ? -1 : 1;
    if (a->bits != b->bits)
        return a->bits < b->bits ? -1 : 1;
    return a->tag < b->tag ? -1 : a->tag > b->tag;
}

/* Lists are often sorted already. */
static void sort(struct hosttree_node *nodes, size_t count)
{
    for (size_t i = 1; i < count; i++) {
        if (by_first(&nodes[i - 1], &nodes[i]) > 0) {
            qsort(nodes, count, sizeof *nodes, by_first);
            return;
        }
    }
}

void hosttree_init(struct hosttree *t, struct hosttree_node *nodes,
                   size_t count, hosttree_twin_fn *twin, void *user)
{
    uint32_t open = HOSTTREE_NONE; /* innermost one that is not over */
    size_t kept = 0;

    ASSERT(count < HOSTTREE_NONE);
    sort(nodes, count);
    for (size_t i = 0; i < count; i++) {
        struct hosttree_node *last = kept ? &nodes[kept - 1] : NULL;

        if (last && last->first == nodes[i].first &&
            last->bits == nodes[i].bits) {
            if (twin)
                twin(user, last->tag, nodes[i].tag);
            continue;
        }
        while (open != HOSTTREE_NONE && last_of(&nodes[open]) < nodes[i].first)
            open = nodes[open].around;
        nodes[kept] = nodes[i];
        nodes[kept].around = open;
        open = (uint32_t)kept++;
    }
    *t = (struct hosttree){ nodes, kept };
}

const struct hosttree_node *hosttree_find(const struct hosttree *t,
                                          const struct host_address *a)
{
    unsigned least = host_address_is_v4(a) ? V4_BITS : 0;
    unsigned __int128 host = number_of(a);
    size_t low = 0, high = t->count;
    uint32_t i;

    while (low < high) {
        size_t middle = low + (high - low) / 2;

        if (t->nodes[middle].first <= host)
            low = middle + 1;
        else
            high = middle;
    }
    i = low ? (uint32_t)(low - 1) : HOSTTREE_NONE;
    while (i != HOSTTREE_NONE && last_of(&t->nodes[i]) < host)
        i = t->nodes[i].around;
    return i != HOSTTREE_NONE && t->nodes[i].bits >= least ? &t->nodes[i]
                                                           : NULL;
}

/* Do they hold all from first to last, where the family's networks have at least so
 * many bits? */
static bool hold(const struct hosttree *t, unsigned least, const char *first,
                 const char *last)
{
    struct host_address a, b;
    unsigned __int128 next, end;

    if (!host_address_parse(span_of(first), &a) ||
        !host_address_parse(span_of(last), &b))
        return false;
    next = number_of(&a);
    end = number_of(&b);
    for (size_t i = 0; i < t->count && t->nodes[i].first <= next; i++) {
        const struct hosttree_node *n = &t->nodes[i];

        if (n->bits < least || last_of(n) < next)
            continue;
        if (last_of(n) >= end)
            return true;
        next = last_of(n) + 1;
    }
    return false;
}

bool hosttree_is_everything(const struct hosttree *t)
{
    return hold(t, V4_BITS, "1.0.0.0", "223.255.255.255") ||
           hold(t, 0, "2000::", "3fff:ffff:ffff:ffff:ffff:ffff:ffff:ffff");
}
