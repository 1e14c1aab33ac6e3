/*
 * doorway - the unix socket by which people and programs of this machine come
 * in.
 */
#ifndef WAYPOST_DOORWAY_H
#define WAYPOST_DOORWAY_H

#include "policy/vocabulary/buffer.h"
#include "policy/vocabulary/error.h"

#include <sys/types.h>

struct doorway {
    int fd;       /* listens, nonblocking; -1: none */
    char *path;   /* NUL-terminated copy */
    dev_t device; /* which file we made, so that only that one is */
    ino_t inode;  /* removed in the end */
};

/* Who it is for. */
struct doorway_kind {
    const char *what; /* "the admin socket" */
    mode_t mode;
};

/*
 * Makes a listening socket of mode 0600, the admin socket. A socket that nobody answers on any
 * more is replaced; one that is answered is -EADDRINUSE; any other file is left
 * alone
 * (-EEXIST). On failure one sentence in out_why.
 */
MUST int doorway_open(struct doorway *d, struct span path,
                      struct buffer *out_why);

/* The same for another. */
MUST int doorway_open_as(struct doorway *d, struct span path,
                         const struct doorway_kind *kind,
                         struct buffer *out_why);

/* Removes the file when it is still ours; closes fd unless it was given away
 * (-1). */
void doorway_fini(struct doorway *d);

/* May the process at the other end use it? Only root and our own user may. The
 * user is put into out_uid. */
bool doorway_lets_in(int connected_fd, uid_t *out_uid);

#endif
