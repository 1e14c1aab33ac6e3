/*
 * submitter - our side of a conversation on the sendmail socket.
 *
 * Blocking, one command after the other, with a limit of time for each answer. RFC 5321.
 */
#ifndef WAYPOST_SUBMITTER_H
#define WAYPOST_SUBMITTER_H

#include "relay/main/missive.h"

struct submitter {
    int fd;                       /* borrowed */
    struct buffer in;             /* what was read and not used yet */
    struct buffer reply;          /* the last one: "550 5.1.1 text", lines joined by spaces */
};

void submitter_init(struct submitter *s, int fd);
void submitter_fini(struct submitter *s);

/* Connects to a socket; a descriptor or a negative error. */
MUST int submitter_connect(struct span path);

/* Each answers the code of the reply, or a negative error when the connection broke: */
/* The banner, then EHLO. */
int submitter_greet(struct submitter *s);
/* MAIL and RCPT for those that wait or were put off; their fates are told. The answer is that
 * to MAIL. */
int submitter_envelope(struct submitter *s, struct missive *m);
/* The content; the answer is that to the final dot, or to DATA when that is no. *out_is_doubtful:
 * it was lost behind the final dot. What was accepted is then sent, or has the reply's fate. */
int submitter_content(struct submitter *s, struct missive *m,
                      bool *out_is_doubtful);
void submitter_quit(struct submitter *s);

size_t submitter_count(const struct missive *m, enum missive_fate fate);

#endif
