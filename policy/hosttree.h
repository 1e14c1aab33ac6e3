/*
 * hosttree - the narrowest of many networks that holds a host.
 *
 * A prefix tree in an array: networks sorted by their first host, the wider one first, each
 * with the number of the narrowest one around it. So a look-up is a binary search and a few
 * steps outwards, a million networks take 32 MB, and they are sorted in a fraction of a
 * second. networks.h answers only yes or no; this one says which.
 */
#ifndef WAYPOST_HOSTTREE_H
#define WAYPOST_HOSTTREE_H

#include "policy/vocabulary/network.h"

struct hosttree_node {
    unsigned __int128 first; /* host of the network */
    uint32_t tag;       /* the caller's; of equal networks the smallest stays */
    uint32_t around;    /* the narrowest one that holds this; HOSTTREE_NONE */
    unsigned char bits; /* as in struct network */
};

#define HOSTTREE_NONE UINT32_MAX

struct hosttree {
    struct hosttree_node *nodes;
    size_t count;
};

struct hosttree_node hosttree_node(const struct network *n, uint32_t tag);

/* Tells of a network that stands twice: the tag that stays and the one that does not. */
typedef void hosttree_twin_fn(void *user, uint32_t kept, uint32_t dropped);

/* Takes over the array, which is reordered; twin may be NULL. */
void hosttree_init(struct hosttree *t, struct hosttree_node *nodes,
                   size_t count, hosttree_twin_fn *twin, void *user);
/* NULL: none holds it. What was written as IPv6 holds no IPv4 host. */
const struct hosttree_node *hosttree_find(const struct hosttree *t,
                                          const struct host_address *a);
/* All public hosts of a family, in one network or in several together? */
bool hosttree_is_everything(const struct hosttree *t);

#endif
