/*
 * inquest - finds out what rules and routes want to know.
 *
 * An errand is one question under way, known to its fetcher by a token; it
 * outlives who asked, if it must, and keeps the question so that the answer can
 * be put where it belongs.
 */
#include "relay/inbound/inquest.h"

#include "policy/vocabulary/memory.h"
#include "relay/inbound/intake_private.h"

#include <stdlib.h>

struct errand {
    struct errand *next, **here;
    uint64_t by; /* token of the inquest */
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
static bool fetch_mailbox(struct worker *w, struct settings *settings,
                          const struct evidence_question *q, uint64_t token)
{
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

static struct errand *errand_new(const struct inquest *n,
                                 const struct evidence_question *q)
{
    struct intake *i = n->worker->intake;
    struct errand *e = memory_zero(1, sizeof *e + q->key.len);

    if (q->key.len)
        memcpy(e + 1, q->key.at, q->key.len);
    e->key = span_make((const char *)(e + 1), q->key.len);
    e->kind = q->kind;
    e->by = n->token;
    e->round = n->round;
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

void inquest_init(struct inquest *n)
{
    n->token = registry_put(&n->worker->intake->inquests, n);
}

void inquest_fini(struct inquest *n)
{
    registry_drop(&n->worker->intake->inquests, n->token);
}

size_t inquest_begin(struct inquest *n, struct settings *s,
                     const struct evidence_question *all, size_t count)
{
    size_t sent = 0;

    n->round++;
    for (size_t i = 0; i < count; i++) {
        inquest_fetch_fn *fetch = fetchers[all[i].kind];
        struct errand *e = fetch ? errand_new(n, &all[i]) : NULL;

        if (!e)
            continue;
        if (fetch(n->worker, s, &all[i], e->token))
            sent++;
        else
            errand_free(n->worker->intake, e);
    }
    n->unanswered = sent;
    return sent;
}

void inquest_answer(struct worker *w, uint64_t token, enum evidence_state state,
                    struct span answer)
{
    struct intake *i = w->intake;
    struct errand *e = registry_find(&i->errands, token);
    struct inquest *n = e ? registry_find(&i->inquests, e->by) : NULL;
    struct evidence *into =
        n && n->unanswered && n->round == e->round ? n->evidence(n) : NULL;

    if (into)
        evidence_put(into, e->kind, e->key, state, answer);
    if (e)
        errand_free(i, e);
    if (into && --n->unanswered == 0)
        n->answered(n);
}

/* ------------------------------------------------------------- visits ----- */

static struct evidence *visit_evidence(struct inquest *n)
{
    struct visit *v = n->user;

    return session_wants(v->session) == SESSION_ASKS
               ? session_evidence(v->session)
               : NULL;
}

static void visit_answered(struct inquest *n)
{
    struct visit *v = n->user;

    session_answered(v->session, wall_ms());
    intake_pump_go_on(v);
}

void inquest_attach(struct visit *v)
{
    v->inquest = (struct inquest){ .worker = v->intake->worker,
                                   .evidence = visit_evidence,
                                   .answered = visit_answered,
                                   .user = v };
    inquest_init(&v->inquest);
}

void inquest_hold(struct visit *v)
{
    if (session_wants(v->session) != SESSION_ASKS)
        v->inquest.unanswered = 0; /* it did not wait, or is over */
    while (session_wants(v->session) == SESSION_ASKS &&
           !v->inquest.unanswered) {
        size_t count;
        const struct evidence_question *all =
            session_questions(v->session, &count);

        if (!inquest_begin(&v->inquest, session_settings(v->session), all,
                           count))
            session_answered(v->session, wall_ms());
    }
}

void inquest_close(struct intake *i)
{
    while (i->first_errand)
        errand_free(i, i->first_errand);
    registry_fini(&i->errands);
    registry_fini(&i->inquests);
}
