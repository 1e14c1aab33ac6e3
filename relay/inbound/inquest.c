/*
 * inquest - finds out what rules and routes want to know.
 *
 * The table says who answers which kind of question. An errand is freed when it
 * is answered or called off, whatever comes first, and with it its token.
 */
#include "relay/inbound/inquest.h"

#include "policy/vocabulary/memory.h"
#include "relay/inbound/intake_private.h"

#include <stdlib.h>

enum {
    DNS_MS = 5000,
    SERVER_MS = 10000,
};

/* The queue answers from memory or disk; a mailbox has its own time. */
static const struct fetcher {
    inquest_fetch_fn *fetch;
    int64_t most_ms;  /* 0: as long as who asks waits */
    bool is_together; /* all of a round at once */
} fetchers[EVIDENCE_KINDS] = {
    /* clang-format off */
    [EVIDENCE_NAME]      = { errand_dns_name,      DNS_MS,    false },
    [EVIDENCE_ADDRESSES] = { errand_dns_addresses, DNS_MS,    false },
    [EVIDENCE_NOTE]      = { errand_memory_note,   0,         false },
    [EVIDENCE_BUDGET]    = { errand_memory_budget, 0,         false },
    [EVIDENCE_COUNT]     = { errand_memory_count,  0,         false },
    [EVIDENCE_SERVER]    = { errand_server,        SERVER_MS, false },
    [EVIDENCE_MAILBOX]   = { errand_mailbox,       0,         false },
    [EVIDENCE_CHARGE]    = { errand_memory_charge, 0,         true },
    /* clang-format on */
};

/* ------------------------------------------------------------- errands ---- */

static struct errand *errand_new(struct inquest *n,
                                 const struct evidence_question *q)
{
    struct errand *e = memory_zero(1, sizeof *e + q->key.len);
    int64_t most_ms = fetchers[q->kind].most_ms;

    if (q->key.len)
        memcpy(e + 1, q->key.at, q->key.len);
    e->key = span_make((const char *)(e + 1), q->key.len);
    e->kind = q->kind;
    e->question = q;
    e->by = n;
    e->worker = n->worker;
    e->until_ms = most_ms ? wall_ms() + most_ms : 0;
    e->token = registry_put(&n->worker->intake->errands, e);
    e->next = n->errands;
    e->here = &n->errands;
    if (e->next)
        e->next->here = &e->next;
    n->errands = e;
    return e;
}

static void errand_free(struct errand *e)
{
    registry_drop(&e->worker->intake->errands, e->token);
    *e->here = e->next;
    if (e->next)
        e->next->here = e->here;
    free(e);
}

static void call_off(struct errand *e)
{
    if (e->cancel)
        e->cancel(e);
    e->cancel = NULL;
}

/* What is called off answers nobody: the next is there still. */
static void call_all_off(struct inquest *n)
{
    for (struct errand *e = n->errands, *next; e; e = next) {
        next = e->next;
        call_off(e);
        errand_free(e);
    }
}

/* -------------------------------------------------------------- rounds ---- */

void inquest_init(struct inquest *n)
{
    struct intake *i = n->worker->intake;

    n->errands = NULL;
    n->is_beginning = false;
    n->next = i->inquests;
    n->here = &i->inquests;
    if (n->next)
        n->next->here = &n->next;
    i->inquests = n;
}

void inquest_fini(struct inquest *n)
{
    call_all_off(n);
    *n->here = n->next;
    if (n->next)
        n->next->here = n->here;
}

/* What cannot be asked is gone, with those beside it. */
static void fetch(struct errand *e)
{
    const struct registry *all = &e->worker->intake->errands;
    uint64_t token = e->token;
    struct errand *next;

    if (fetchers[e->kind].fetch(e)) {
        for (e = registry_find(all, token); e; e = e->beside)
            e->question = NULL;
        return;
    }
    for (; e; e = next) {
        next = e->beside;
        errand_free(e);
    }
}

/* Those of a kind that is fetched together, in their order. */
static void fetch_together(struct inquest *n, enum evidence_kind kind,
                           const struct evidence_question *all, size_t count)
{
    struct errand *first = NULL, **end = &first;

    for (size_t i = 0; i < count; i++) {
        if (all[i].kind != kind)
            continue;
        *end = errand_new(n, &all[i]);
        end = &(*end)->beside;
    }
    if (first)
        fetch(first);
}

bool inquest_begin(struct inquest *n, struct settings *s,
                   const struct evidence_question *all, size_t count)
{
    call_all_off(n);
    n->settings = s;
    n->is_beginning = true;
    for (size_t i = 0; i < count; i++)
        if (!fetchers[all[i].kind].is_together)
            fetch(errand_new(n, &all[i]));
    for (unsigned kind = 0; kind < EVIDENCE_KINDS; kind++)
        if (fetchers[kind].is_together)
            fetch_together(n, kind, all, count);
    n->is_beginning = false;
    return n->errands;
}

void inquest_answer(struct worker *w, uint64_t token, enum evidence_state state,
                    struct span answer)
{
    struct errand *e = registry_find(&w->intake->errands, token);
    struct inquest *n = e ? e->by : NULL;
    struct evidence *into = n ? n->evidence(n) : NULL;

    if (into)
        evidence_put(into, e->kind, e->key, state, answer);
    if (e)
        errand_free(e);
    if (into && !n->errands && !n->is_beginning)
        n->answered(n);
}

static void fail_late(struct inquest *n, int64_t now_ms)
{
    struct worker *w = n->worker;
    const struct registry *all = &w->intake->errands;
    struct errand *e = n->errands;

    while (e) {
        uint64_t next = e->next ? e->next->token : 0;

        if (e->until_ms && now_ms >= e->until_ms) {
            call_off(e);
            inquest_answer(w, e->token, EVIDENCE_FAILED, SPAN(""));
        }
        e = next ? registry_find(all, next) : NULL;
    }
}

void inquest_tick(struct intake *i, int64_t now_ms)
{
    for (struct inquest *n = i->inquests, *next; n; n = next) {
        next = n->next;
        if (n->errands)
            fail_late(n, now_ms);
    }
}

void inquest_close(struct intake *i)
{
    ASSERT(!i->inquests);
    registry_fini(&i->errands);
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
        call_all_off(&v->inquest); /* it did not wait, or is over */
    while (session_wants(v->session) == SESSION_ASKS && !v->inquest.errands) {
        size_t count;
        const struct evidence_question *all =
            session_questions(v->session, &count);

        if (!inquest_begin(&v->inquest, session_settings(v->session), all,
                           count))
            session_answered(v->session, wall_ms());
    }
}
