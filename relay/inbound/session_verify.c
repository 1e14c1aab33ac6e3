/*
 * session_verify - is a recipient known where the mail would go?
 *
 * Asked when the rules have granted and there is room: of the list that the
 * route names, at once, or of the primary, by somebody else (EVIDENCE_MAILBOX).
 * Who cannot be asked about is accepted or put off, as the route says. So mail
 * that could only come back is never taken. RFC 5321 3.3.
 */
#include "relay/inbound/session_private.h"

#include "policy/table.h"

enum {
    ASKED_MOST = 20
}; /* of one that became many: some of them will be known */

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
static bool put_key(const struct destiny *d, struct buffer *key)
{
    buffer_put(key, d->route->title);
    buffer_put_byte(key, '\t');
    buffer_put(key, d->address.local);
    buffer_put_byte(key, '@');
    return domain_fold(d->address.domain, key) == 0;
}

static enum session_mailbox ask_primary(struct session *s,
                                        const struct destiny *d,
                                        struct session_verification *out)
{
    const struct evidence *evidence = session_consult_evidence(s);
    enum session_mailbox answer = unsure(d->route);
    struct buffer key = { 0 };
    struct span said = { 0 }, rest;
    enum evidence_state state = EVIDENCE_FAILED;

    if (put_key(d, &key))
        state =
            evidence_find(evidence, EVIDENCE_MAILBOX, buffer_span(&key), &said);
    if (state == EVIDENCE_ANSWERED) {
        answer = span_is(span_split(said, ' ', &rest), SPAN("yes"))
                     ? MAILBOX_KNOWN
                     : MAILBOX_NONE;
        out->said = rest;
    } else if (state == EVIDENCE_NOT_ASKED && evidence) {
        answer = MAILBOX_ASKED;
        out->questions[out->count++] = (struct evidence_question){
            .kind = EVIDENCE_MAILBOX,
            .key = arena_copy(&s->arena, buffer_span(&key)),
        };
    }
    buffer_fini(&key);
    return answer;
}

static enum session_mailbox ask_one(struct session *s, const struct destiny *d,
                                    struct session_verification *out)
{
    if (!d->route || d->route->verify.how == VERIFY_NOT)
        return MAILBOX_KNOWN;
    if (d->route->verify.how == VERIFY_TABLE)
        return ask_table(d->route, &d->address);
    return ask_primary(s, d, out);
}

enum session_mailbox session_verify(struct session *s,
                                    const struct destiny *all, size_t count,
                                    struct session_verification *out)
{
    enum session_mailbox answer = MAILBOX_NONE;

    if (!s->settings->verifies || count > ASKED_MOST)
        return MAILBOX_KNOWN;
    out->questions = arena_take(&s->arena, count * sizeof *out->questions);
    for (size_t i = 0; i < count; i++) {
        enum session_mailbox one = ask_one(s, &all[i], out);

        if (one == MAILBOX_KNOWN)
            return one;
        if (one == MAILBOX_UNSURE)
            answer = one;
    }
    return out->count ? MAILBOX_ASKED : answer;
}
