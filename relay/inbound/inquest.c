/*
 * inquest - finds out what a session's rules and routes want to know.
 *
 * An errand is one question under way, known to its fetcher by a token; it
 * outlives the visit, if it must, and keeps the question so that the answer can
 * be put where it belongs.
 */
#include "relay/inbound/inquest.h"

#include "policy/vocabulary/memory.h"

#include <stdlib.h>

struct errand {
    struct errand *next, **here;
    uint64_t visit; /* token */
    uint64_t token;
    uint32_t round;
    enum evidence_kind kind;
    struct span key; /* behind it, on the same block */
};

/* ----------------------------------------------------------- mailboxes ---- */

static const struct route *find_route(const struct settings *s,
                                      struct span title)
{
    for (size_t i = 0; i < s->route_count; i++)
        if (span_is(s->routes[i].title, title))
            return &s->routes[i];
    return NULL;
}

static void on_called_out(void *worker, uint64_t token,
                          enum callout_answer answer, struct span reply)
{
    struct buffer text = { 0 };

    buffer_put_string(&text, answer == CALLOUT_YES ? "yes" : "no ");
    if (answer == CALLOUT_NO)
        buffer_put(&text, reply);
    inquest_answer(worker, token,
                   answer == CALLOUT_UNKNOWN ? EVIDENCE_FAILED
                                             : EVIDENCE_ANSWERED,
                   buffer_span(&text));
    buffer_fini(&text);
}

/* An address has no tab, whatever the route's title has. */
static bool fetch_mailbox(struct visit *v, const struct evidence_question *q,
                          uint64_t token)
{
    struct worker *w = v->intake->worker;
    struct settings *settings = session_settings(v->session);
    size_t tab = span_find_last(q->key, '\t');
    struct callout c = {
        .settings = settings,
        .route = find_route(settings, span_first(q->key, tab)),
        .recipient = span_skip(q->key, tab + 1),
        .done = on_called_out,
        .user = w,
        .token = token,
    };

    if (!c.route || !w->sides.call_out)
        return false;
    w->sides.call_out(w, &c);
    return true;
}

/* -------------------------------------------------------------- rounds ---- */

static inquest_fetch_fn *const fetchers[EVIDENCE_KINDS] = {
    [EVIDENCE_MAILBOX] = fetch_mailbox,
};

static struct errand *errand_new(struct visit *v,
                                 const struct evidence_question *q)
{
    struct intake *i = v->intake;
    struct errand *e = memory_zero(1, sizeof *e + q->key.len);

    if (q->key.len)
        memcpy(e + 1, q->key.at, q->key.len);
    e->key = span_make((const char *)(e + 1), q->key.len);
    e->kind = q->kind;
    e->visit = v->token;
    e->round = v->inquest;
    e->token = registry_put(&i->errands, e);
    e->next = i->first_errand;
    e->here = &i->first_errand;
    if (e->next)
        e->next->here = &e->next;
    i->first_errand = e;
    return e;
}

static void errand_free(struct intake *i, struct errand *e)
{
    registry_drop(&i->errands, e->token);
    *e->here = e->next;
    if (e->next)
        e->next->here = e->here;
    free(e);
}

/* Sends somebody after each question; answers how many were sent. */
static size_t begin(struct visit *v)
{
    size_t count, sent = 0;
    const struct evidence_question *all = session_questions(v->session, &count);

    v->inquest++;
    for (size_t n = 0; n < count; n++) {
        inquest_fetch_fn *fetch = fetchers[all[n].kind];
        struct errand *e = fetch ? errand_new(v, &all[n]) : NULL;

        if (!e)
            continue;
        if (fetch(v, &all[n], e->token))
            sent++;
        else
            errand_free(v->intake, e);
    }
    return sent;
}

void inquest_hold(struct visit *v)
{
    if (session_wants(v->session) != SESSION_ASKS)
        v->unanswered = 0; /* it did not wait, or is over */
    while (session_wants(v->session) == SESSION_ASKS && !v->unanswered) {
        v->unanswered = begin(v);
        if (!v->unanswered)
            session_answered(v->session, wall_ms());
    }
}

void inquest_answer(struct worker *w, uint64_t token, enum evidence_state state,
                    struct span answer)
{
    struct intake *i = w->intake;
    struct errand *e = registry_find(&i->errands, token);
    struct visit *v = e ? registry_find(&i->registry, e->visit) : NULL;
    bool is_awaited = v && v->unanswered && v->inquest == e->round &&
                      session_wants(v->session) == SESSION_ASKS;

    if (is_awaited)
        evidence_put(session_evidence(v->session), e->kind, e->key, state,
                     answer);
    if (e)
        errand_free(i, e);
    if (!is_awaited || --v->unanswered)
        return;
    session_answered(v->session, wall_ms());
    intake_pump_go_on(v);
}

void inquest_close(struct intake *i)
{
    while (i->first_errand)
        errand_free(i, i->first_errand);
    registry_fini(&i->errands);
}
