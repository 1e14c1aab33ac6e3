/*
 * userfile_change - one line of a users file, replaced, added or taken out.
 *
 * The file is written anew beside the old one, fsynced and renamed over it, so that a
 * reader sees the one or the other whole, and a crash leaves one of them. Comments, order
 * and the lines of others stay. It keeps its owner and mode; a new one is 0600.
 */
#ifndef WAYPOST_USERFILE_CHANGE_H
#define WAYPOST_USERFILE_CHANGE_H

#include "relay/inbound/userfile.h"

enum userfile_changed {
    USERFILE_ADDED,
    USERFILE_REPLACED,
    USERFILE_REMOVED,
    USERFILE_ABSENT, /* there was nothing to take out */
};

/* rest: what is to follow "LOGIN:"; NULL: the login's line is taken out. Of the files of
 * kind VERIFIERS and CRAM. A number above, or a negative error with a sentence. */
MUST int userfile_change(const char *path, struct span login,
                         const struct span *rest, struct buffer *out_why);

#endif
