/*
 * networks - is this host in one of these networks?
 *
 * Networks become ranges, sorted and merged, one list for each family; so a
 * look-up is a binary search, and "do they hold everybody?" needs no guessing.
 */
#ifndef WAYPOST_NETWORKS_H
#define WAYPOST_NETWORKS_H

#include "policy/vocabulary/arena.h"
#include "policy/vocabulary/network.h"

struct host_range {
    unsigned __int128 first, last;
};

struct networks {
    struct host_range *v4, *v6;
    size_t v4_count, v6_count;
};

void networks_init(struct networks *n, struct arena *a,
                   const struct network *all, size_t count);
bool networks_have(const struct networks *n, const struct host_address *a);
bool networks_are_same(const struct networks *a, const struct networks *b);
/* All public hosts of a family, in one network or in several together? */
bool networks_are_everything(const struct networks *n);

#endif
