/*
 * session_verify - is a recipient known where the mail would go? See policy/mailbox.h.
 */
#include "relay/inbound/session_private.h"

#include "policy/route.h"

enum mailbox_answer session_verify(struct session *s, const struct address *a,
                                   struct mailbox_verification *out)
{
    if (!s->settings->verifies)
        return MAILBOX_KNOWN;
    return mailbox_verify(route_find(s->settings, s->draft.sender.text, a), a,
                          session_consult_evidence(s), &s->arena, out);
}
