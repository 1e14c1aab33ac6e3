/*
 * mailbox - is a recipient known where the mail would go?
 */
#include "policy/mailbox.h"

#include "policy/table.h"

enum {
    ASKED_MOST = 20
}; /* of one that became many: some of them will be known */

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
static bool put_key(const struct destiny *d, struct buffer *key)
{
    buffer_put(key, d->route->title);
    buffer_put_byte(key, '\t');
    buffer_put(key, d->address.local);
    buffer_put_byte(key, '@');
    return domain_fold(d->address.domain, key) == 0;
}

static enum mailbox_answer ask_primary(const struct destiny *d,
                                       const struct evidence *evidence,
                                       struct arena *arena,
                                       struct mailbox_verification *out)
{
    enum mailbox_answer answer = unsure(d->route);
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
            .key = arena_copy(arena, buffer_span(&key)),
        };
    }
    buffer_fini(&key);
    return answer;
}

static enum mailbox_answer ask_one(const struct destiny *d,
                                   const struct evidence *evidence,
                                   struct arena *arena,
                                   struct mailbox_verification *out)
{
    if (!d->route || d->route->verify.how == VERIFY_NOT)
        return MAILBOX_KNOWN;
    if (d->route->verify.how == VERIFY_TABLE)
        return ask_table(d->route, &d->address);
    return ask_primary(d, evidence, arena, out);
}

enum mailbox_answer mailbox_verify(const struct destiny *all, size_t count,
                                   const struct evidence *evidence,
                                   struct arena *arena,
                                   struct mailbox_verification *out)
{
    enum mailbox_answer answer = MAILBOX_NONE;

    if (count > ASKED_MOST)
        return MAILBOX_KNOWN;
    out->questions = arena_take(arena, count * sizeof *out->questions);
    for (size_t i = 0; i < count; i++) {
        enum mailbox_answer one = ask_one(&all[i], evidence, arena, out);

        if (one == MAILBOX_KNOWN)
            return one;
        if (one == MAILBOX_UNSURE)
            answer = one;
    }
    return out->count ? MAILBOX_ASKED : answer;
}
