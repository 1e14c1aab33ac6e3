/*
 * policyreply - what a policy server sends back, out of a stream of bytes.
 *
 *   reply     = *( attribute LF ) LF
 *   attribute = name "=" value
 *
 * Of the attributes only `action` counts, the first one. A CR before the LF is forgiven.
 */
#ifndef WAYPOST_POLICYREPLY_H
#define WAYPOST_POLICYREPLY_H

#include "policy/vocabulary/span.h"

enum { POLICYREPLY_MOST = 8 * 1024 }; /* bytes of a whole reply */

enum policyreply {
    POLICYREPLY_UNFINISHED,
    POLICYREPLY_WHOLE,            /* *out_action borrows from in, *out_used bytes of it */
    POLICYREPLY_GARBAGE,          /* too long, no attribute, no action, or a NUL */
};

enum policyreply policyreply_read(struct span in, struct span *out_action,
                                  size_t *out_used);

#endif
