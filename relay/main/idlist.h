/*
 * idlist - the messages that a call names, one by one.
 */
#ifndef WAYPOST_IDLIST_H
#define WAYPOST_IDLIST_H

#include "policy/vocabulary/buffer.h"

#include <stdint.h>
#include <stdio.h>

struct idlist {
    uint64_t *all;
    size_t count, size;
    bool is_given; /* some were asked for, though none may have come */
};

void idlist_fini(struct idlist *l);

/* A word, as a person types it or mailq shows it ("*" or "!" behind it says how it stands).
 * False: it is no id. */
bool idlist_add(struct idlist *l, struct span word);

/* All words of a stream. False with one sentence in out_why: the first that is no id, or the
 * stream cannot be read. */
bool idlist_read(struct idlist *l, FILE *from, struct buffer *out_why);

/* Each of them once, oldest first. */
void idlist_sort(struct idlist *l);

#endif
