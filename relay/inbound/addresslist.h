/*
 * addresslist - the addresses of a header field, one by one.
 *
 * Just enough of RFC 5322 3.4 to find where each stands: quoted strings,
 * comments, angle brackets, groups, domain literals. Display names, comments
 * and encoded words are looked past, never into. What cannot be followed makes
 * the list broken; then nothing should be done to it.
 */
#ifndef WAYPOST_ADDRESSLIST_H
#define WAYPOST_ADDRESSLIST_H

#include "policy/vocabulary/buffer.h"

struct addresslist {
    struct span value; /* borrowed */
    size_t at;
    struct buffer spec, phrase;
    bool is_broken;
    bool is_odd; /* another address stood for a display name or a group's name,
                    not quoted: other readers may take that one */
};

struct listed {
    struct span spec; /* "a@b" without comments and spaces; until the next one;
                         empty where it is no single address */
    bool is_bare;     /* a local part alone ... */
    size_t end;       /* ... which ends here in the value */
};

void addresslist_init(struct addresslist *l, struct span value);
void addresslist_fini(struct addresslist *l);
/* False at the end, or when it is broken. */
bool addresslist_next(struct addresslist *l, struct listed *out_listed);

#endif
