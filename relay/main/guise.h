/*
 * guise - root as the owner of a folder, for a while.
 *
 * What root makes in the queue's folder would be root's, and the relay, which has an account
 * of its own, could not open it. For anybody else nothing changes.
 */
#ifndef WAYPOST_GUISE_H
#define WAYPOST_GUISE_H

#include <stdbool.h>
#include <sys/types.h>

enum { GUISE_GROUPS = 64 };

struct guise {
    uid_t uid; /* to be again */
    gid_t gid;
    gid_t groups[GUISE_GROUPS];
    int group_count;
    bool is_on;
};

/* As the owner of the folder that this path is in. */
void guise_put_on(struct guise *g, const char *path);
void guise_take_off(struct guise *g);

#endif
