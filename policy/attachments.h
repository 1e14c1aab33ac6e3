/*
 * attachments - the names and types of a message's parts, each once.
 *
 * As many as LIMIT_ATTACHMENTS, of names that are too long the end, where the extension is.
 */
#ifndef WAYPOST_ATTACHMENTS_H
#define WAYPOST_ATTACHMENTS_H

#include "policy/digest.h"
#include "policy/vocabulary/arena.h"

enum { ATTACHMENTS_SLOTS = 2048 }; /* a power of two, over LIMIT_ATTACHMENTS */

struct attachments {
    struct arena arena;
    struct attachment *all;
    size_t count, room;
    bool has_more; /* others were left out */
    uint16_t
        slots[ATTACHMENTS_SLOTS]; /* number of an attachment + 1; by hash */
};

/* Zeroed it is empty. Both are copied. */
void attachments_add(struct attachments *a, struct span name, struct span type);
void attachments_fini(struct attachments *a);

#endif
