/*
 * mailbox - is a recipient known where the mail would go?
 */
#include "policy/mailbox.h"

#include "policy/table.h"

static enum mailbox_answer unsure(const struct route *r)
{
    return r->verify.unknown == VERIFY_UNKNOWN_ACCEPTS ? MAILBOX_KNOWN
                                                       : MAILBOX_UNSURE;
}

static enum mailbox_answer ask_table(const struct route *r,
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

static enum mailbox_answer ask_primary(const struct route *r,
                                       const struct address *a,
                                       const struct evidence *evidence,
                                       struct arena *arena,
                                       struct mailbox_verification *out)
{
    enum mailbox_answer answer = unsure(r);
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
        out->question = arena_take(arena, sizeof *out->question);
        *out->question = (struct evidence_question){
            .kind = EVIDENCE_MAILBOX,
            .key = arena_copy(arena, buffer_span(&key)),
        };
    }
    buffer_fini(&key);
    return answer;
}

enum mailbox_answer mailbox_verify(const struct route *r,
                                   const struct address *a,
                                   const struct evidence *evidence,
                                   struct arena *arena,
                                   struct mailbox_verification *out)
{
    if (!r || r->verify.how == VERIFY_NOT)
        return MAILBOX_KNOWN;
    if (r->verify.how == VERIFY_TABLE)
        return ask_table(r, a);
    return ask_primary(r, a, evidence, arena, out);
}
