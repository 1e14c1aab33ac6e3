/*
 * profile - an account, copied out of its configuration.
 *
 * Fetches outlive the configuration they were asked with, so the desk works on copies.
 * The key is a digest of what the account shows and where that comes from: accounts of two
 * configurations that are written alike have the same key, whatever their titles.
 */
#ifndef WAYPOST_PROFILE_H
#define WAYPOST_PROFILE_H

#include "policy/settings.h"

enum { PROFILE_KEY_SIZE = 32 };

struct profile {
    struct arena arena;
    struct account account; /* its spans end in NUL; its place is empty */
    struct span
        authorities; /* file, or "": the system's; not part of the key */
    unsigned char key[PROFILE_KEY_SIZE];
};

struct profile *profile_new(const struct account *a, struct span authorities);
void profile_free(struct profile *p);
/* For the log: its title, else its user, else "account". */
void profile_put_name(struct buffer *b, const struct profile *p);

#endif
