/*
 * sendmail_options - what a call of sendmail asks for.
 *
 * One table says of each letter whether it takes a value and what is done with it; letters that
 * mean something to other mail systems and nothing to a relay are accepted and ignored, since
 * programs give them without a thought. sendmail(1) of Postfix is what is followed.
 */
#ifndef WAYPOST_SENDMAIL_OPTIONS_H
#define WAYPOST_SENDMAIL_OPTIONS_H

#include "policy/vocabulary/buffer.h"

enum sendmail_mode {
    SENDMAIL_SUBMITS,
    SENDMAIL_SPEAKS,              /* -bs */
    SENDMAIL_LISTS,               /* -bp */
    SENDMAIL_ALIASES,             /* -bi, -I */
    SENDMAIL_FLUSHES,             /* -q */
};

struct sendmail_options {
    enum sendmail_mode mode;
    bool gathers;                 /* -t */
    bool ignores_dots;            /* -i, -oi */
    bool says_8bit, says_7bit;    /* -B */
    const char *sender;           /* -f, -r; NULL: who calls */
    const char *full_name;        /* -F; NULL: what is known of him */
    const char *notify;           /* -N */
    const char *ret;              /* -R */
    const char *envid;            /* -V */
    const char *config;           /* -C; NULL: not given */
    const char *queue_id;         /* -qI */
    const char *site;             /* -qR, -qS */
    int first;                    /* of the arguments that are recipients */
};

/* 0, or EX_USAGE and a sentence. */
int sendmail_options_read(struct sendmail_options *o, int argc, char **argv,
                          struct buffer *out_why);

#endif
