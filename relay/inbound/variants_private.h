/*
 * variants_private - between variants.c and variants_admit.c.
 */
#ifndef WAYPOST_VARIANTS_PRIVATE_H
#define WAYPOST_VARIANTS_PRIVATE_H

#include "relay/inbound/variants.h"

#define VARIANTS_HASH UINT64_C(14695981039346656037) /* FNV-1a's beginning */

/* Of texts one after the other, each with its end. */
static inline uint64_t variants_hash(uint64_t h, struct span s)
{
    for (size_t i = 0; i < s.len; i++)
        h = (h ^ (unsigned char)s.at[i]) * 1099511628211u;
    return (h ^ s.len) * 1099511628211u;
}

#endif
