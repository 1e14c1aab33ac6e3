/*
 * fence - the files of this machine that can still be reached (landlock(7)).
 *
 *   OPEN -> rules are added [fence_allow] -> CLOSED, for good [fence_close]
 *
 * Rights belong to what is there now: a file that takes another's place is another file, so
 * that folders are what to allow. What is open stays open. stat(2) and unix sockets are not
 * restricted by it. Before there is a second thread.
 */
#ifndef WAYPOST_FENCE_H
#define WAYPOST_FENCE_H

#include "policy/vocabulary/error.h"

#include <stdbool.h>

struct fence {
    int fd;
    unsigned version; /* of the kernel's Landlock; what we need came with 2 */
};

/* -ENOSYS, -EOPNOTSUPP: this kernel has none. */
MUST int fence_open(struct fence *f);
/* A file, or a folder with all beneath it; what is not there is passed over. */
MUST int fence_allow(struct fence *f, const char *path, bool writes);
/* Needs PR_SET_NO_NEW_PRIVS. */
MUST int fence_close(struct fence *f);
/* Without one. */
void fence_fini(struct fence *f);

#endif
