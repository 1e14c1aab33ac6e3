/*
 * titles - no two sections of a kind may have the same one.
 */
#ifndef WAYPOST_TITLES_H
#define WAYPOST_TITLES_H

#include "policy/config/keys.h"

struct title;

struct titles {
    struct title *all;
    struct arena arena; /* what the hash is made of */
};

/*
 * The title of a section, kept in the settings' arena; a fault when it has none
 * or another section had it. `what` names the kind: "rule".
 */
struct span titles_take(struct titles *t, struct reading *r, const char *what,
                        const struct syntax_entry *section);
void titles_fini(struct titles *t);

#endif
