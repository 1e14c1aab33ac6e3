/*
 * mailbox - is a recipient known where the mail would go?
 *
 * Asked when the rules have granted and there is room: of the list that the route names, at
 * once, or of the primary, by somebody else (EVIDENCE_MAILBOX). Who cannot be asked about is
 * accepted or put off, as the route says. So mail that could only come back is never taken.
 * Pure. RFC 5321 3.3.
 */
#ifndef WAYPOST_MAILBOX_H
#define WAYPOST_MAILBOX_H

#include "policy/destinies.h"

enum mailbox_answer {
    MAILBOX_KNOWN,
    MAILBOX_NONE,
    MAILBOX_UNSURE,               /* cannot be told now, and is not accepted unseen */
    MAILBOX_ASKED,                /* the question is to be answered first */
};

struct mailbox_verification {
    struct evidence_question *questions; /* ASKED; in the arena */
    size_t count;
    struct span said;             /* NONE: by the primary; until there is other evidence */
};

/* Of several that one address became: it is known when one of them is. evidence: as of the
 * judge. */
enum mailbox_answer mailbox_verify(const struct destiny *all, size_t count,
                                   const struct evidence *evidence,
                                   struct arena *arena,
                                   struct mailbox_verification *out);

#endif
