/*
 * delegation - asking a policy server: Postfix's protocol of names and values.
 *
 * Writes the request and reads the answer; the socket is somebody else's. A request is
 * lines "name=value" and an empty one, an answer "action=ACTION TEXT" and an empty line, of
 * which here is what stands behind "action=". See SMTPD_POLICY_README(5) of Postfix.
 */
#ifndef WAYPOST_DELEGATION_H
#define WAYPOST_DELEGATION_H

#include "policy/judge.h"

/* client_name: as EVIDENCE_NAME says it; empty: none. No value breaks a line. */
void delegation_write(struct buffer *out, const struct facts *facts,
                      struct span client_name);

enum delegation_action {
    DELEGATION_UNKNOWN, /* none we know, or without what it needs: 451 */
    DELEGATION_GOES_ON, /* DUNNO; OK and PERMIT too, for nothing but relay grants */
    DELEGATION_REJECT, /* reply */
    DELEGATION_DEFER,  /* reply */
    DELEGATION_DEFER_IF_PERMIT,
    DELEGATION_DEFER_IF_REJECT, /* reply */
    DELEGATION_HOLD,
    DELEGATION_DISCARD,
    DELEGATION_PREPEND,  /* text: "Name: value" */
    DELEGATION_REDIRECT, /* text: an address */
    DELEGATION_BCC,      /* text: an address */
    DELEGATION_LOG,      /* WARN, INFO; text */
};

struct delegation_answer {
    enum delegation_action action;
    struct reply reply; /* the text without what stands in front of it */
    struct span text;
};

/* Borrows from answer. */
struct delegation_answer delegation_read(struct span answer);

#endif
