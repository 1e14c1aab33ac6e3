/*
 * maildir_path - which folder is meant by an address?
 *
 *   maildir:/srv/mail/%d/%u/Maildir       bob@Example.ORG
 *            --- ---- -- -- -------
 *            BASE     |  |  BELOW         what belongs to the user: may be made
 *                  BASE  USER             its absence says that there is no such user
 *
 * %u is the local part, without the quotes it may have been written in; %d the domain in
 * the form in which domains are compared: lower case, A-labels; %% a percent sign. What
 * stands in front of the first component with %u is the site's own and must be there; so is
 * all of it in a template without %u.
 *
 * An address can never lead out of its component: a local part or domain that is empty,
 * begins with a dot, has a slash, a control character or broken UTF-8, or makes a name of
 * over 255 bytes, means no folder at all. All else is kept as it is, UTF-8 too. Pure.
 */
#ifndef WAYPOST_MAILDIR_PATH_H
#define WAYPOST_MAILDIR_PATH_H

#include "policy/vocabulary/arena.h"

enum maildir_part { MAILDIR_BASE, MAILDIR_USER, MAILDIR_BELOW };

struct maildir_path {
    struct {
        const char *name;
        enum maildir_part part;
    } * components; /* below the root, in the arena */
    size_t count;
};

/* The spelling of %u. */
enum maildir_case { MAILDIR_AS_WRITTEN, MAILDIR_LOWER };

/* False: no folder can have such a name. */
bool maildir_path_make(struct arena *a, struct span template,
                       struct span address, enum maildir_case spelling,
                       struct maildir_path *out_path);

#endif
