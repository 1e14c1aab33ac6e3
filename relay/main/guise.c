/*
 * guise - root as the owner of a folder, for a while.
 */
#include "relay/main/guise.h"

#include "policy/vocabulary/span.h"

#include <grp.h>
#include <libgen.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

void guise_put_on(struct guise *g, const char *path)
{
    char *copy = span_dup(span_of(path));
    struct stat st;

    *g = (struct guise){ .uid = geteuid(), .gid = getegid() };
    g->group_count = getgroups(GUISE_GROUPS, g->groups);
    /* Where root may not be somebody else (no such capability) it goes on as root. */
    if (g->uid == 0 && g->group_count >= 0 && stat(dirname(copy), &st) == 0 &&
        st.st_uid != 0 && setgroups(0, NULL) == 0) {
        g->is_on = true;
        if (setegid(st.st_gid) < 0 || seteuid(st.st_uid) < 0)
            guise_take_off(g);
    }
    free(copy);
}

void guise_take_off(struct guise *g)
{
    if (!g->is_on)
        return;
    /* We were root: this cannot fail. */
    if (seteuid(g->uid) < 0 || setegid(g->gid) < 0 ||
        setgroups((size_t)g->group_count, g->groups) < 0)
        abort();
    g->is_on = false;
}
