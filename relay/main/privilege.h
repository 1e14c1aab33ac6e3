/*
 * privilege - whom the relay becomes when root starts it.
 *
 *   root: folders and the log are made and given to the account [privilege_prepare]
 *         ports under 1024 are opened, keys read [station]
 *         -> the account, with its groups alone, without capabilities, for good
 *            [privilege_drop]
 *
 * All of it before there is a second thread. What somebody else starts stays as it is.
 */
#ifndef WAYPOST_PRIVILEGE_H
#define WAYPOST_PRIVILEGE_H

#include "policy/settings.h"
#include "relay/main/sources.h"

#include <sys/types.h>

struct privilege {
    bool is_given; /* there is somebody to become */
    char *name;    /* of the account; NULL: none */
    uid_t uid;
    gid_t gid;
};

/* Whom these settings mean. On failure (ERROR_CONFIG: there is no such account) out_why has a
 * sentence. is_given stays false where we are not root, or shall stay so. */
MUST int privilege_find(struct privilege *out_p, const struct settings *s,
                        struct buffer *out_why);
void privilege_fini(struct privilege *p);

/* Makes what is missing of the folders that the relay writes to, and its log; what is there
 * stays as it is. */
MUST int privilege_prepare(const struct privilege *p, const struct settings *s,
                           struct buffer *out_why);
/* On failure the process must end. */
MUST int privilege_drop(const struct privilege *p, struct buffer *out_why);
/* Can that account write where the relay must? ERROR_CONFIG: no. After the drop. */
MUST int privilege_try(const struct privilege *p, const struct settings *s,
                       struct buffer *out_why);
/* Nothing started from here gets more than we have, no core is left behind, and nobody but
 * root looks into us. */
void privilege_close_doors(void);

/* For `waypost check`, when root runs it: a line for each file that the account cannot
 * read. */
void privilege_check(const struct settings *s, const char *config,
                     const struct sources *sources, struct buffer *out_faults,
                     struct buffer *out_warnings);
/* The same of who we are, for the log. */
void privilege_look(const struct settings *s, const char *config,
                    const struct sources *sources, struct buffer *out_warnings);

#endif
