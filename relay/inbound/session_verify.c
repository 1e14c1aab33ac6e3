/*
 * session_verify - is a recipient known where the mail would go? See policy/mailbox.h.
 */
#include "relay/inbound/session_private.h"

enum mailbox_answer session_verify(struct session *s,
                                   const struct destiny *all, size_t count,
                                   struct mailbox_verification *out)
{
    if (!s->settings->verifies)
        return MAILBOX_KNOWN;
    return mailbox_verify(all, count, session_consult_evidence(s), &s->arena,
                          out);
}
