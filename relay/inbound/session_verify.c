/*
 * session_verify - is a recipient known where the mail would go?
 *
 * Asked when the rules have granted and there is room: of the list that the
 * route names, at once, or of the primary, by somebody else (EVIDENCE_MAILBOX).
 * Who cannot be asked about is accepted or put off, as the route says. So mail
 * that could only come back is never taken. RFC 5321 3.3.
 */
#include "relay/inbound/session_private.h"

#include "policy/route.h"
#include "policy/table.h"

static enum session_mailbox unsure(const struct route *r)
{
    return r->verify.unknown == VERIFY_UNKNOWN_ACCEPTS ? MAILBOX_KNOWN
                                                       : MAILBOX_UNSURE;
}

static enum session_mailbox ask_table(const struct route *r,
                                      const struct address *a)
{
    struct subject subject;

    subject_of_address(&subject, a);
    switch (table_has_subject(r->verify.table, &subject, NULL)) {
    case ANSWER_YES:
        return MAILBOX_KNOWN;
    case ANSWER_NO:
        return MAILBOX_NONE;
    case ANSWER_UNKNOWN:
        break;
    }
    return unsure(r);
}

/* "ROUTE\tLOCAL@domain", the domain as it is compared. */
static bool put_key(const struct route *r, const struct address *a,
                    struct buffer *key)
{
    buffer_put(key, r->title);
    buffer_put_byte(key, '\t');
    buffer_put(key, a->local);
    buffer_put_byte(key, '@');
    return domain_fold(a->domain, key) == 0;
}

static enum session_mailbox ask_primary(struct session *s,
                                        const struct route *r,
                                        const struct address *a,
                                        struct session_verification *out)
{
    const struct evidence *evidence = session_consult_evidence(s);
    enum session_mailbox answer = unsure(r);
    struct buffer key = { 0 };
    struct span said = { 0 }, rest;
    enum evidence_state state = EVIDENCE_FAILED;

    if (put_key(r, a, &key))
        state =
            evidence_find(evidence, EVIDENCE_MAILBOX, buffer_span(&key), &said);
    if (state == EVIDENCE_ANSWERED) {
        answer = span_is(span_split(said, ' ', &rest), SPAN("yes"))
                     ? MAILBOX_KNOWN
                     : MAILBOX_NONE;
        out->said = rest;
    } else if (state == EVIDENCE_NOT_ASKED && evidence) {
        answer = MAILBOX_ASKED;
        out->question = arena_take(&s->arena, sizeof *out->question);
        *out->question = (struct evidence_question){
            .kind = EVIDENCE_MAILBOX,
            .key = arena_copy(&s->arena, buffer_span(&key)),
        };
    }
    buffer_fini(&key);
    return answer;
}

enum session_mailbox session_verify(struct session *s, const struct address *a,
                                    struct session_verification *out)
{
    const struct route *r;

    if (!s->settings->verifies)
        return MAILBOX_KNOWN;
    r = route_find(s->settings, s->draft.sender.text, a);
    if (!r || r->verify.how == VERIFY_NOT)
        return MAILBOX_KNOWN;
    if (r->verify.how == VERIFY_TABLE)
        return ask_table(r, a);
    return ask_primary(s, r, a, out);
}
