/*
 * errand_memory - what the queue remembers: notes, budgets, counts; and what
 * is taken of them.
 *
 * Budgets are mostly told from memory at once. Nothing is called off: a charge
 * that was begun is taken, whether or not somebody waits for the answer.
 */
#include "relay/inbound/inquest.h"

#include "policy/vocabulary/memory.h"
#include "queue/queue.h"
#include "relay/inbound/intake_private.h"

#include <stdlib.h>
#include <time.h>

/* A local day has up to 25 hours. */
enum { LOCAL_DAY_MS = 25 * 3600 * 1000 };

/* --------------------------------------------------------------- notes ---- */

static void on_recalled(void *user, uint64_t token, int rc, struct span value)
{
    inquest_answer(user, token, rc < 0 ? EVIDENCE_FAILED : EVIDENCE_ANSWERED,
                   rc < 0 ? SPAN("") : value);
}

bool errand_memory_note(struct errand *e)
{
    struct span key, kind = span_split(e->key, '\t', &key);

    queue_recall(e->worker->port, kind, key, on_recalled, e->token);
    return true;
}

/* -------------------------------------------------------------- charges ---- */

static int64_t midnight_ms(int64_t now_ms)
{
    time_t now = (time_t)(now_ms / 1000);
    struct tm t;

    ASSERT(localtime_r(&now, &t));
    t.tm_hour = t.tm_min = t.tm_sec = 0;
    t.tm_isdst = -1;
    return (int64_t)mktime(&t) * 1000;
}

static bool is_count(struct span key)
{
    return span_is(span_first(key, span_find(key, '\t')), SPAN("today"));
}

/* False: the rule has no such rate. */
static bool make_charge(const struct errand *e, uint64_t amount,
                        struct queue_charge *out)
{
    const struct evidence_question *q = e->question;

    if (is_count(e->key)) {
        *out = (struct queue_charge){ .key = e->key,
                                      .amount = amount,
                                      .limit = UINT64_MAX,
                                      .period_ms = LOCAL_DAY_MS,
                                      .since_ms = midnight_ms(wall_ms()) };
        return true;
    }
    if (!q->rule || q->rate >= q->rule->limit.rate_count)
        return false;
    *out = (struct queue_charge){ .key = e->key,
                                  .amount = amount,
                                  .limit = q->rule->limit.rates[q->rate].amount,
                                  .period_ms =
                                      q->rule->limit.rates[q->rate].period_ms };
    return true;
}

static void answer_number(struct worker *w, uint64_t token, int rc, uint64_t n)
{
    struct buffer text = { 0 };

    buffer_printf(&text, "%llu", (unsigned long long)n);
    inquest_answer(w, token, rc < 0 ? EVIDENCE_FAILED : EVIDENCE_ANSWERED,
                   buffer_span(&text));
    buffer_fini(&text);
}

static void on_left(void *user, uint64_t token, int rc, size_t over,
                    const struct queue_budget *budgets)
{
    (void)over;
    answer_number(user, token, rc, rc < 0 ? 0 : budgets->left);
}

static void on_used(void *user, uint64_t token, int rc, size_t over,
                    const struct queue_budget *budgets)
{
    (void)over;
    answer_number(user, token, rc, rc < 0 ? 0 : budgets->used);
}

/* Nothing is taken: how much is there? */
static bool look(struct errand *e, queue_charge_fn *done)
{
    struct worker *w = e->worker;
    struct queue_charge charge;
    struct queue_budget budget;
    size_t over;

    if (!make_charge(e, 0, &charge))
        return false;
    if (queue_charge_try(w->queue, &charge, 1, true, &over, &budget))
        done(w, e->token, 0, over, &budget);
    else
        queue_charge(w->port, &charge, 1, true, done, e->token);
    return true;
}

bool errand_memory_budget(struct errand *e)
{
    return look(e, on_left);
}

bool errand_memory_count(struct errand *e)
{
    return look(e, on_used);
}

/* token: of the first; with the last the session goes on. */
static void on_charged(void *user, uint64_t token, int rc, size_t over,
                       const struct queue_budget *budgets)
{
    struct worker *w = user;
    struct errand *e = registry_find(&w->intake->errands, token), *next;
    size_t count = 0, n = 0;

    (void)budgets;
    for (next = e; next; next = next->beside)
        count++;
    for (; e; e = next, n++) {
        next = e->beside;
        if (rc < 0)
            inquest_answer(w, e->token, EVIDENCE_FAILED, SPAN(""));
        else if (over >= count)
            inquest_answer(w, e->token, EVIDENCE_ANSWERED, SPAN("taken"));
        else
            inquest_answer(w, e->token, EVIDENCE_ANSWERED,
                           n == over ? SPAN("over") : SPAN(""));
    }
}

bool errand_memory_charge(struct errand *e)
{
    struct worker *w = e->worker;
    size_t count = 0, n = 0, over;
    struct queue_charge *charges;
    struct queue_budget *budgets;
    bool is_well = true;

    for (struct errand *one = e; one; one = one->beside)
        count++;
    charges = NEW_ARRAY(struct queue_charge, count);
    budgets = NEW_ARRAY(struct queue_budget, count);
    for (struct errand *one = e; one && is_well; one = one->beside, n++)
        is_well = make_charge(one, one->question->amount, &charges[n]);
    if (is_well &&
        queue_charge_try(w->queue, charges, count, false, &over, budgets))
        on_charged(w, e->token, 0, over, budgets);
    else if (is_well)
        queue_charge(w->port, charges, count, false, on_charged, e->token);
    free(charges);
    free(budgets);
    return is_well;
}
