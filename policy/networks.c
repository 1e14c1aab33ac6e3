/*
 * networks - is this host in one of these networks?
 *
 * Owns nothing; the ranges are the arena's.
 */
#include "policy/networks.h"

#include <stdlib.h>

enum { ALL_BITS = 128 };

static unsigned __int128 number_of(const struct host_address *a)
{
    unsigned __int128 n = 0;

    for (size_t i = 0; i < sizeof a->bytes; i++)
        n = n << 8 | a->bytes[i];
    return n;
}

static struct host_range range_of(const struct network *n)
{
    struct host_range r = { .first = number_of(&n->base) };
    unsigned __int128 all = ~(unsigned __int128)0;

    r.last =
        r.first |
        (n->bits ? ((unsigned __int128)1 << (ALL_BITS - n->bits)) - 1 : all);
    return r;
}

static int by_first(const void *left, const void *right)
{
    const struct host_range *a = left, *b = right;

    return a->first < b->first ? -1 : a->first > b->first;
}

/* Sorts, and joins what overlaps or touches. Returns how many are left. */
static size_t merge(struct host_range *ranges, size_t count)
{
    size_t kept = 0;

    if (count == 0)
        return 0;
    qsort(ranges, count, sizeof *ranges, by_first);
    for (size_t i = 1; i < count; i++) {
        struct host_range *last = &ranges[kept];

        if (ranges[i].first > last->last && ranges[i].first - last->last > 1)
            ranges[++kept] = ranges[i];
        else if (ranges[i].last > last->last)
            last->last = ranges[i].last;
    }
    return kept + 1;
}

void networks_init(struct networks *n, struct arena *a,
                   const struct network *all, size_t count)
{
    *n = (struct networks){
        .v4 = arena_take(a, count * sizeof *n->v4),
        .v6 = arena_take(a, count * sizeof *n->v6),
    };
    for (size_t i = 0; i < count; i++) {
        /* fewer than 96 bits were written as IPv6 and mean IPv6 */
        if (all[i].bits >= 96 && host_address_is_v4(&all[i].base))
            n->v4[n->v4_count++] = range_of(&all[i]);
        else
            n->v6[n->v6_count++] = range_of(&all[i]);
    }
    n->v4_count = merge(n->v4, n->v4_count);
    n->v6_count = merge(n->v6, n->v6_count);
}

bool networks_have(const struct networks *n, const struct host_address *a)
{
    bool is_v4 = host_address_is_v4(a);
    const struct host_range *ranges = is_v4 ? n->v4 : n->v6;
    size_t low = 0, high = is_v4 ? n->v4_count : n->v6_count;
    unsigned __int128 host = number_of(a);

    while (low < high) {
        size_t middle = low + (high - low) / 2;

        if (ranges[middle].last < host)
            low = middle + 1;
        else
            high = middle;
    }
    return low < (is_v4 ? n->v4_count : n->v6_count) &&
           ranges[low].first <= host;
}

/* One range that holds all of this network? */
static bool hold(const struct host_range *ranges, size_t count,
                 const char *first, const char *last)
{
    struct host_address a, b;

    if (!host_address_parse(span_of(first), &a) ||
        !host_address_parse(span_of(last), &b))
        return false;
    for (size_t i = 0; i < count; i++)
        if (ranges[i].first <= number_of(&a) && ranges[i].last >= number_of(&b))
            return true;
    return false;
}

bool networks_are_everything(const struct networks *n)
{
    return hold(n->v4, n->v4_count, "1.0.0.0", "223.255.255.255") ||
           hold(n->v6, n->v6_count,
                "2000::", "3fff:ffff:ffff:ffff:ffff:ffff:ffff:ffff");
}

static bool ranges_are_same(const struct host_range *a, size_t a_count,
                            const struct host_range *b, size_t b_count)
{
    if (a_count != b_count)
        return false;
    for (size_t i = 0; i < a_count; i++)
        if (a[i].first != b[i].first || a[i].last != b[i].last)
            return false;
    return true;
}

bool networks_are_same(const struct networks *a, const struct networks *b)
{
    return ranges_are_same(a->v4, a->v4_count, b->v4, b->v4_count) &&
           ranges_are_same(a->v6, a->v6_count, b->v6, b->v6_count);
}
