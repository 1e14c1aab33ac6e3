/*
 * linefile - one line of a file of KEY:REST lines, replaced, added or taken out.
 *
 * The file is written anew beside the old one, fsynced and renamed over it, so that a
 * reader sees the one or the other whole, and a crash leaves one of them. Comments, order
 * and the lines of others stay. It keeps its owner and mode; a new one is 0600. What it
 * held is wiped from memory.
 */
#ifndef WAYPOST_LINEFILE_H
#define WAYPOST_LINEFILE_H

#include "policy/vocabulary/buffer.h"
#include "policy/vocabulary/error.h"

enum linefile_changed {
    LINEFILE_ADDED,
    LINEFILE_REPLACED,
    LINEFILE_REMOVED,
    LINEFILE_ABSENT, /* there was nothing to take out */
};

/* rest: what is to follow "KEY:"; NULL: the key's line is taken out. A number above, or a
 * negative error with a sentence. */
MUST int linefile_change(const char *path, struct span key,
                         const struct span *rest, struct buffer *out_why);

/* The same, where a new file made by root is to belong to the owner of this file or
 * folder. */
MUST int linefile_change_for(const char *heir, const char *path,
                             struct span key, const struct span *rest,
                             struct buffer *out_why);

#endif
