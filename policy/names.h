/*
 * names - is this name one of these?
 *
 *   joe             that name, without ASCII case
 *   *@example.org   a glob: each * stands for any characters, or none
 *   *               any name
 *
 * For logins and for names in certificates, which have no grammar of their own.
 * An empty name is nobody's and never one of them.
 */
#ifndef WAYPOST_NAMES_H
#define WAYPOST_NAMES_H

#include "policy/vocabulary/arena.h"

struct names {
    struct span *exact; /* lower case, sorted */
    struct span *globs; /* lower case */
    size_t exact_count, glob_count;
};

/* Copies what it needs into the arena. */
void names_init(struct names *n, struct arena *a, const struct span *all,
                size_t count);
bool names_have(const struct names *n, struct span name);
/* The same names, and the same globs in the same order? */
bool names_are_same(const struct names *a, const struct names *b);

#endif
