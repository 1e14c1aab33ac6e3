/*
 * session_consult - a command that stops to ask, and goes on with the answers.
 *
 *   (any) --consult--> CONSULTING --answered, or the time is over--> (the same)
 *                           ^                                           |
 *                           +------ it asks again ----------- resume ---+
 *
 * Who wants to know something says what, and how to go on: the same step once
 * more, from its top, with what was learnt in the session's evidence. It may
 * stop again; all of a command's waiting together has CONSULT_MS. A question
 * that has no answer by then has failed, and so has each one after it. Should
 * the asking still not end (evidence is bounded, so what was told may be asked
 * again) nothing can be asked any more.
 *
 * Input waits meanwhile. What was asked, and what goes on, lives in the
 * draft's arena, which nothing resets while it waits. Owns the evidence, until
 * session_free; made when there is first an answer to keep.
 */
#include "relay/inbound/session_private.h"

#include "policy/vocabulary/memory.h"

#include <stdlib.h>

enum {
    CONSULT_MS = 30000,
    ROUNDS_MOST = 200, /* of questions, for one command */
};

struct consultation {
    const struct evidence_question *questions;
    size_t count;
    session_resume_fn *resume;
    void *what;
    enum session_state back;
    int64_t until_ms;
    unsigned rounds;
    bool is_over; /* the time is; all that is asked has failed */
};

void session_consult(struct session *s,
                     const struct evidence_question *questions, size_t count,
                     session_resume_fn *resume, void *what, int64_t now_ms)
{
    struct consultation *c = s->consultation;

    ASSERT(count > 0);
    if (!c) {
        c = s->consultation = NEW(struct consultation);
        c->until_ms = now_ms + CONSULT_MS;
    }
    c->questions = questions;
    c->count = count;
    c->resume = resume;
    c->what = what;
    c->back = s->state;
    c->rounds++;
    s->deadline_ms = c->until_ms;
    session_move(s, AT_CONSULTING);
}

const struct evidence *session_consult_evidence(const struct session *s)
{
    if (s->consultation && s->consultation->rounds >= ROUNDS_MOST)
        return NULL;
    return s->evidence ? s->evidence : evidence_none();
}

void session_consult_end_mail(struct session *s)
{
    static const enum evidence_kind moving[] = { EVIDENCE_NOTE, EVIDENCE_BUDGET,
                                                 EVIDENCE_COUNT,
                                                 EVIDENCE_SERVER,
                                                 EVIDENCE_MAILBOX };

    if (!s->evidence)
        return;
    for (size_t i = 0; i < sizeof moving / sizeof moving[0]; i++)
        evidence_forget(s->evidence, moving[i]);
}

void session_consult_drop(struct session *s)
{
    free(s->consultation);
    evidence_free(s->evidence);
    s->consultation = NULL;
    s->evidence = NULL;
}

enum session_state session_consult_place(const struct session *s)
{
    return s->state == AT_CONSULTING ? s->consultation->back : s->state;
}

/* So that the same is never asked forever. */
static void fail_the_rest(struct session *s)
{
    const struct consultation *c = s->consultation;
    struct span ignored;

    for (size_t i = 0; i < c->count; i++) {
        const struct evidence_question *q = &c->questions[i];

        if (evidence_find(session_evidence(s), q->kind, q->key, &ignored) ==
            EVIDENCE_NOT_ASKED)
            evidence_put(s->evidence, q->kind, q->key, EVIDENCE_FAILED,
                         SPAN(""));
    }
}

/* A name that a rule wanted to know is good for the trace line and the log as well. */
static void learn_name(struct session *s)
{
    struct span name, old = s->client_name;
    struct envelope *e = &s->draft.envelope;

    if (!span_is(old, SPAN("unknown")) ||
        evidence_find(s->evidence, EVIDENCE_NAME, s->client_text, &name) !=
            EVIDENCE_ANSWERED ||
        name.len == 0)
        return;
    s->client_name = span_make(span_dup(name), name.len);
    if (e->client_name.at == old.at)
        e->client_name = s->client_name;
    free((char *)old.at);
}

static void go_on(struct session *s, int64_t now_ms)
{
    struct consultation *c = s->consultation;

    learn_name(s);
    do {
        fail_the_rest(s);
        s->deadline_ms = now_ms + s->settings->limits.silence_ms;
        session_move(s, c->back);
        c->resume(s, c->what, now_ms);
    } while (s->state == AT_CONSULTING && c->is_over);
    if (s->state == AT_CONSULTING)
        return;
    free(c);
    s->consultation = NULL;
}

void session_consult_timeout(struct session *s, int64_t now_ms)
{
    s->consultation->is_over = true;
    go_on(s, now_ms);
}

/* ------------------------------------------------------ the host's side ---- */

const struct evidence_question *session_questions(const struct session *s,
                                                  size_t *out_count)
{
    ASSERT(s->state == AT_CONSULTING);
    *out_count = s->consultation->count;
    return s->consultation->questions;
}

struct evidence *session_evidence(struct session *s)
{
    if (!s->evidence)
        s->evidence = evidence_new();
    return s->evidence;
}

void session_answered(struct session *s, int64_t now_ms)
{
    if (s->state == AT_CONSULTING)
        go_on(s, now_ms);
}
