/*
 * budget - the budgets that are in use, in memory, and their way to the disk.
 */
#include "queue/budget.h"

#include "policy/vocabulary/memory.h"
#include "queue/charge.h"
#include "queue/core.h"

#include <stdlib.h>

enum {
    BUDGETS_MOST = 100 * 1000,
    LEAVE_TRIES = 8, /* looked at, for one that comes in */
    BUSY = 2,        /* taken so often in a turn, it is written ahead */
    AHEAD = 100,     /* a hundredth */
};

static const struct span budget_notes = SPAN_INIT("budget");

void budgets_init(struct budgets *t)
{
    pthread_mutex_init(&t->lock, NULL);
    TAILQ_INIT(&t->use);
}

static void budget_free(struct budgets *t, struct budget *b)
{
    ASSERT(!b->pins && !b->is_writing && STAILQ_EMPTY(&b->waits));
    TAILQ_REMOVE(&t->use, b, use);
    buckets_remove(&t->table, &b->link);
    free(b);
}

void budgets_fini(struct budgets *t)
{
    struct budget *b;

    while ((b = TAILQ_FIRST(&t->use)))
        budget_free(t, b);
    buckets_fini(&t->table);
    buffer_fini(&t->scratch);
    pthread_mutex_destroy(&t->lock);
}

/* ---------------------------------------------------------- writing ---- */

static uint64_t least(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

static uint64_t budget_ahead(const struct budget *b)
{
    uint64_t of = b->limit == UINT64_MAX ? b->is.total : b->limit;

    if (b->taken < BUSY || b->is_leaving)
        return 0;
    of = least(of / AHEAD, b->is.taken[0]);
    return least(of, allowance_left(&b->is, b->limit));
}

bool budget_is_uncovered(const struct budget *b)
{
    return b->is.taken[0] > b->on_disk;
}

/* While it is on its way the disk may have this or what it had before. */
static int run_write(struct queue *q, struct job *j)
{
    struct budgets *t = &q->budgets;
    struct budget *b = (struct budget *)j;
    int64_t expire_ms;
    uint64_t ahead;

    pthread_mutex_lock(&t->lock);
    ahead = budget_ahead(b);
    b->writes++;
    b->written = b->is.taken[0] + ahead;
    b->written_ahead = ahead;
    b->written_turn = b->turn;
    b->on_disk = least(b->on_disk, b->written);
    buffer_clear(&t->scratch);
    allowance_write(&b->is, ahead, &t->scratch);
    expire_ms = allowance_expire_ms(&b->is);
    pthread_mutex_unlock(&t->lock);
    return store_note_put(q->writer.store, budget_notes, budget_key(b),
                          buffer_span(&t->scratch), expire_ms);
}

/* Those who wait for this write or an earlier one, or for the reading. */
static void tell(struct queue *q, struct budget *b, uint64_t until, int rc)
{
    STAILQ_HEAD(, budget_wait) all = STAILQ_HEAD_INITIALIZER(all);
    struct budget_wait *w;

    STAILQ_CONCAT(&all, &b->waits);
    while ((w = STAILQ_FIRST(&all))) {
        STAILQ_REMOVE_HEAD(&all, next);
        if (w->need <= until)
            charge_go_on(q, w, rc);
        else
            STAILQ_INSERT_TAIL(&b->waits, w, next);
    }
}

static bool disk_has_more(const struct budget *b)
{
    return b->is_high || b->on_disk > b->is.taken[0];
}

static bool is_idle(const struct budget *b)
{
    return !b->pins && !b->is_writing && b->state != BUDGET_LOADING;
}

/* After the commit, or its failure; b is ours again. */
static bool finish_write(struct queue *q, struct job *j)
{
    struct budgets *t = &q->budgets;
    struct budget *b = (struct budget *)j;

    pthread_mutex_lock(&t->lock);
    b->is_writing = false;
    if (j->rc >= 0) {
        b->is_high = b->written_turn != b->turn && b->written_ahead;
        if (b->written_turn == b->turn)
            b->on_disk = b->written;
    }
    /* It may have failed before it was begun. */
    tell(q, b, j->rc < 0 ? UINT64_MAX : b->writes, j->rc);
    if (!STAILQ_EMPTY(&b->waits) ||
        (b->is_leaving && j->rc >= 0 && disk_has_more(b)))
        budget_write(q, b);
    if (b->is_leaving && is_idle(b))
        budget_free(t, b);
    pthread_mutex_unlock(&t->lock);
    return false;
}

static const struct job_kind write_kind = {
    .name = "budget",
    .run = run_write,
    .finish = finish_write,
};

void budget_write(struct queue *q, struct budget *b)
{
    if (b->is_writing)
        return;
    b->is_writing = true;
    b->job.kind = &write_kind;
    writer_submit(&q->writer, &b->job);
}

void budget_renew(struct queue *q, struct budget *b)
{
    if (b->on_disk - b->is.taken[0] < (budget_ahead(b) + 1) / 2)
        budget_write(q, b);
}

void budgets_flush(struct queue *q)
{
    struct budget *b;

    pthread_mutex_lock(&q->budgets.lock);
    TAILQ_FOREACH(b, &q->budgets.use, use)
    {
        b->is_leaving = true;
        if (disk_has_more(b))
            budget_write(q, b);
    }
    pthread_mutex_unlock(&q->budgets.lock);
}

/* ---------------------------------------------------------- reading ---- */

struct load {
    struct recall recall; /* first */
    struct queue *queue;
    struct budget *budget;
};

/* On the reader's thread. */
static void open_load(struct letter *take_l, bool is_dropped)
{
    struct load *l = (struct load *)take_l;
    struct queue *q = l->queue;
    struct budget *b = l->budget;
    bool is_well = true;
    int rc = l->recall.rc;

    (void)is_dropped;
    pthread_mutex_lock(&q->budgets.lock);
    b->state = rc < 0 ? BUDGET_ABSENT : BUDGET_KNOWN;
    if (rc >= 0 && l->recall.value.len)
        is_well = allowance_read(&b->is, buffer_span(&l->recall.value));
    b->on_disk = b->is.taken[0];
    tell(q, b, 0, rc);
    pthread_mutex_unlock(&q->budgets.lock);
    if (!is_well)
        queue_say(q, QUEUE_WARNING,
                  "what was used of a budget is not well formed: it is full");
    buffer_fini(&l->recall.value);
    free(l);
}

void budget_load(struct queue *q, struct budget *b)
{
    struct load *l = NEW(struct load);

    ASSERT(b->state == BUDGET_ABSENT);
    b->state = BUDGET_LOADING;
    l->recall.letter.open = open_load;
    l->recall.kind = budget_notes;
    l->recall.key = budget_key(b);
    l->queue = q;
    l->budget = b;
    reader_recall(&q->reader, &l->recall);
}

/* ------------------------------------------------------------ table ---- */

/* The one that was not used for longest, when nothing stands in the way. */
static void leave(struct queue *q)
{
    struct budgets *t = &q->budgets;

    for (int i = 0; i < LEAVE_TRIES; i++) {
        struct budget *b = TAILQ_FIRST(&t->use);

        if (is_idle(b) && !disk_has_more(b)) {
            budget_free(t, b);
            return;
        }
        TAILQ_REMOVE(&t->use, b, use);
        TAILQ_INSERT_TAIL(&t->use, b, use);
        b->is_leaving = true;
        if (is_idle(b))
            budget_write(q, b);
    }
}

struct budget *budget_find(struct budgets *t, struct span key)
{
    struct bucket_link *l = buckets_first(&t->table, buckets_hash(key));

    for (; l; l = buckets_next(l)) {
        struct budget *b = OWNER(l, struct budget, link);

        if (!span_is(budget_key(b), key))
            continue;
        b->is_leaving = false;
        TAILQ_REMOVE(&t->use, b, use);
        TAILQ_INSERT_TAIL(&t->use, b, use);
        return b;
    }
    return NULL;
}

struct budget *budget_get(struct queue *q, struct span key)
{
    struct budgets *t = &q->budgets;
    struct budget *b = budget_find(t, key);

    if (b)
        return b;
    if (t->table.count >= BUDGETS_MOST)
        leave(q);
    b = memory_zero(1, sizeof(*b) + key.len);
    STAILQ_INIT(&b->waits);
    b->key_len = key.len;
    if (key.len)
        memcpy(b->key, key.at, key.len);
    buckets_put(&t->table, &b->link, buckets_hash(key));
    TAILQ_INSERT_TAIL(&t->use, b, use);
    return b;
}

void budget_advance(struct budget *b, uint64_t limit, int64_t period_ms,
                    int64_t since_ms, int64_t now_ms)
{
    uint64_t before = b->is.taken[0];

    b->limit = limit;
    if (!allowance_advance(&b->is, period_ms, since_ms, now_ms))
        return;
    b->is_high |= b->on_disk > before;
    b->turn++;
    b->taken = 0;
    b->on_disk = 0;
}
