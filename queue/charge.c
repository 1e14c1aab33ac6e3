/*
 * charge - all or nothing of several budgets.
 *
 *   asked --all are in memory--> decided --> over, or a trial: answered
 *     |             ^               |
 *     v             |               +--> taken --the disk has it--> answered
 *   waits to be read+                      |           ^
 *                                          +-- waits --+
 *
 * What was taken stays taken when it could not be written: the disk is full then and no
 * mail comes in.
 */
#include "queue/charge.h"

#include "policy/vocabulary/memory.h"
#include "queue/core.h"

#include <stdlib.h>

struct part {
    struct budget_wait wait; /* first */
    struct request *request;
    struct budget *budget;      /* pinned */
    struct queue_charge charge; /* its key is the budget's */
};

struct request {
    struct letter letter; /* first */
    bool is_trial;
    uint32_t waits;
    int rc;
    size_t over;
    queue_charge_fn *done;
    uint64_t token;
    struct queue_budget *answer;
    size_t count;
    struct part parts[];
};

/* --------------------------------------------------------- deciding ---- */

static bool take(struct budget *b, const struct queue_charge *c, int64_t now_ms)
{
    budget_advance(b, c->limit, c->period_ms, c->since_ms, now_ms);
    if (allowance_left(&b->is, c->limit) < c->amount)
        return false;
    allowance_take(&b->is, c->amount);
    b->taken++;
    return true;
}

static void give_back(struct budget *b, const struct queue_charge *c)
{
    allowance_undo(&b->is, c->amount);
    b->taken--;
}

static struct queue_budget look(const struct budget *b,
                                const struct queue_charge *c)
{
    return (struct queue_budget){
        .used = b->is.total,
        .left = allowance_left(&b->is, c->limit),
        .free_ms = allowance_free_ms(&b->is, c->amount, c->limit),
    };
}

static void request_answer(struct request *r)
{
    for (size_t i = 0; i < r->count; i++)
        r->parts[i].budget->pins--;
    port_post(&r->letter);
}

/* Nobody else looks while some are taken, to be given back. */
static size_t take_all(struct request *r, int64_t now_ms)
{
    size_t n = 0;

    while (n < r->count &&
           take(r->parts[n].budget, &r->parts[n].charge, now_ms))
        n++;
    for (size_t i = n; i-- > 0 && (r->is_trial || n < r->count);)
        give_back(r->parts[i].budget, &r->parts[i].charge);
    return n;
}

static void wait_for(struct request *r, struct part *p, uint64_t need)
{
    p->wait.need = need;
    STAILQ_INSERT_TAIL(&p->budget->waits, &p->wait, next);
    r->waits++;
}

static void request_decide(struct queue *q, struct request *r)
{
    int64_t now_ms = queue_now_ms(q);

    r->over = take_all(r, now_ms);
    for (size_t i = 0; i < r->count; i++) {
        struct part *p = &r->parts[i];
        const struct queue_charge *c = &p->charge;

        /* Those behind the one that is over were not looked at. */
        budget_advance(p->budget, c->limit, c->period_ms, c->since_ms, now_ms);
        r->answer[i] = look(p->budget, c);
        if (r->is_trial || r->over < r->count || !c->amount)
            continue;
        if (budget_is_uncovered(p->budget)) {
            wait_for(r, p, p->budget->writes + 1);
            budget_write(q, p->budget);
        } else {
            budget_renew(q, p->budget);
        }
    }
    if (r->waits == 0)
        request_answer(r);
}

void charge_go_on(struct queue *q, struct budget_wait *take_w, int rc)
{
    struct request *r = ((struct part *)take_w)->request;
    bool was_read = take_w->need == 0;

    if (rc < 0)
        r->rc = rc;
    if (--r->waits > 0)
        return;
    if (was_read && r->rc >= 0)
        request_decide(q, r);
    else
        request_answer(r);
}

/* ----------------------------------------------------------- asking ---- */

static void open_request(struct letter *take_l, bool is_dropped)
{
    struct request *r = (struct request *)take_l;

    if (!is_dropped)
        r->done(r->letter.port->user, r->token, r->rc, r->over, r->answer);
    free(r->answer);
    free(r);
}

void queue_charge(struct queue_port *p, const struct queue_charge *charges,
                  size_t count, bool is_trial, queue_charge_fn *done,
                  uint64_t token)
{
    struct request *r = memory_zero(1, sizeof(*r) + count * sizeof(*r->parts));
    struct queue *q = p->queue;

    ASSERT(is_trial || !q->read_only);
    r->letter.port = p;
    r->letter.open = open_request;
    r->is_trial = is_trial;
    r->done = done;
    r->token = token;
    r->answer = NEW_ARRAY(struct queue_budget, count ? count : 1);
    r->count = count;
    pthread_mutex_lock(&q->budgets.lock);
    for (size_t i = 0; i < count; i++) {
        struct part *one = &r->parts[i];

        one->request = r;
        one->budget = budget_get(q, charges[i].key);
        one->charge = charges[i];
        one->charge.key = budget_key(one->budget);
        one->budget->pins++;
        if (one->budget->state == BUDGET_ABSENT)
            budget_load(q, one->budget);
        if (one->budget->state == BUDGET_LOADING)
            wait_for(r, one, 0);
    }
    if (r->waits == 0)
        request_decide(q, r);
    pthread_mutex_unlock(&q->budgets.lock);
}

/* Takes until one is over; false: it is more than the disk has. */
static bool try_all(struct queue *q, const struct queue_charge *charges,
                    size_t count, bool is_trial, int64_t now_ms,
                    size_t *out_taken)
{
    bool is_covered = true;
    size_t n = 0;

    while (n < count && is_covered) {
        struct budget *b = budget_find(&q->budgets, charges[n].key);

        if (!take(b, &charges[n], now_ms))
            break;
        is_covered = is_trial || !charges[n].amount || !budget_is_uncovered(b);
        n++;
    }
    *out_taken = n;
    return is_covered;
}

static bool is_in_memory(struct queue *q, const struct queue_charge *charges,
                         size_t count)
{
    for (size_t i = 0; i < count; i++) {
        struct budget *b = budget_find(&q->budgets, charges[i].key);

        if (!b || b->state != BUDGET_KNOWN)
            return false;
    }
    return true;
}

/* What is left of them now that all is said. */
static void look_at_all(struct queue *q, const struct queue_charge *charges,
                        size_t count, bool is_taken, int64_t now_ms,
                        struct queue_budget *out_budgets)
{
    for (size_t i = 0; i < count; i++) {
        const struct queue_charge *c = &charges[i];
        struct budget *b = budget_find(&q->budgets, c->key);

        budget_advance(b, c->limit, c->period_ms, c->since_ms, now_ms);
        out_budgets[i] = look(b, c);
        if (is_taken && c->amount)
            budget_renew(q, b);
    }
}

bool queue_charge_try(struct queue *q, const struct queue_charge *charges,
                      size_t count, bool is_trial, size_t *out_over,
                      struct queue_budget *out_budgets)
{
    struct budgets *t = &q->budgets;
    bool is_told = false, is_taken;
    size_t taken = 0;
    int64_t now_ms;

    ASSERT(is_trial || !q->read_only);
    pthread_mutex_lock(&t->lock);
    now_ms = queue_now_ms(q);
    if (is_in_memory(q, charges, count))
        is_told = try_all(q, charges, count, is_trial, now_ms, &taken);
    is_taken = is_told && !is_trial && taken == count;
    for (size_t i = taken; i-- > 0 && !is_taken;)
        give_back(budget_find(t, charges[i].key), &charges[i]);
    if (is_told) {
        look_at_all(q, charges, count, is_taken, now_ms, out_budgets);
        *out_over = taken;
    }
    pthread_mutex_unlock(&t->lock);
    return is_told;
}
