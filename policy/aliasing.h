/*
 * aliasing - where the mail of a local name goes.
 *
 * An address is local when its domain is hostname, origin or localhost, or when it has none. Its
 * name is looked up in the aliases, and what is found there in turn, until addresses are left;
 * a name that comes back to itself stands for the mailbox at origin. Without an alias
 *
 *   postmaster, MAILER-DAEMON, root    go to postmaster, where that is set
 *   any name at localhost              goes to the name at origin
 *   other names                        stay as they are
 *
 * Bounces of an alias NAME go to owner-NAME, where that is one address. aliases(5). Where a list
 * among what is found cannot be read, all of it waits: nobody has the mail twice afterwards.
 *
 * Owns nothing; what comes out is in the arena.
 */
#ifndef WAYPOST_ALIASING_H
#define WAYPOST_ALIASING_H

#include "policy/settings.h"
#include "policy/vocabulary/address.h"
#include "policy/vocabulary/arena.h"

enum { ALIASING_MOST = 1000 };    /* addresses of one name */

enum aliasing_said {
    ALIASING_NONE,                /* it stays as it is */
    ALIASING_LEADS,
    ALIASING_NOWHERE,             /* to /dev/null alone */
    ALIASING_CANNOT,              /* to programs and files alone */
    ALIASING_TOO_MANY,
    ALIASING_LATER,               /* a list that it leads to cannot be read now */
};

struct aliasing {
    struct span *all;             /* LEADS: addresses, each once */
    size_t count;
    struct span owner;            /* of bounces; empty: the sender */
};

enum aliasing_said aliasing_find(const struct settings *s,
                                 const struct address *a, struct arena *arena,
                                 struct aliasing *out);

#endif
