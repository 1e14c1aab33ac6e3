/*
 * budget - the budgets that are in use, in memory, and their way to the disk.
 *
 * What the disk has is never less than what was said yes to. The state of a key is a note
 * of kind "budget", which expires when the budget is full again, so idle keys vanish.
 * A table holds the keys used last; others are read when they are asked for.
 *
 *   absent --charge--> LOADING --read--> KNOWN --long unused--> absent
 *                                         | ^
 *                        more than the    v |  committed: who waits is answered
 *                        disk has taken  job
 *
 * A busy key is written ahead by up to a hundredth of its limit, which a crash forfeits.
 */
#ifndef WAYPOST_BUDGET_H
#define WAYPOST_BUDGET_H

#include "queue/allowance.h"
#include "queue/buckets.h"
#include "queue/writer.h"

#include <sys/queue.h>

enum budget_state { BUDGET_ABSENT, BUDGET_LOADING, BUDGET_KNOWN };

/* What waits for a budget; see charge.c. */
struct budget_wait {
    STAILQ_ENTRY(budget_wait) next;
    uint64_t need; /* the write that is awaited; 0: it is to be read */
};

/* All under the table's lock. */
struct budget {
    struct job job; /* first */
    struct bucket_link link;
    TAILQ_ENTRY(budget) use;
    STAILQ_HEAD(, budget_wait) waits;
    enum budget_state state;
    struct allowance is;
    uint64_t limit;   /* of the latest charge */
    uint64_t turn;    /* slots begun */
    uint64_t taken;   /* times, in this turn */
    uint64_t on_disk; /* at least so much of this turn is */
    uint64_t writes;  /* begun */
    uint64_t written, written_ahead, written_turn; /* by the latest */
    uint32_t pins;                                 /* charges that point here */
    bool is_writing; /* the job is with the writer */
    bool is_high;    /* the disk has more of earlier turns than was taken */
    bool is_leaving; /* the disk shall have no more than was taken */
    size_t key_len;
    char key[];
};

static inline struct span budget_key(const struct budget *b)
{
    return span_make(b->key, b->key_len);
}

struct budgets {
    pthread_mutex_t lock;
    struct buckets table;
    TAILQ_HEAD(, budget) use; /* longest unused first */
    struct buffer scratch;    /* the writer's thread */
};

void budgets_init(struct budgets *t);
/* The reader has stopped: what was written ahead is given back by the writer's last jobs. */
void budgets_flush(struct queue *q);
/* The writer has too. */
void budgets_fini(struct budgets *t);

/* NULL: it is not in memory. */
struct budget *budget_find(struct budgets *t, struct span key);
/* Made when it is not. It may be long unused ones that leave. */
struct budget *budget_get(struct queue *q, struct span key);
/* It is to be read; who waits is told by charge_go_on. */
void budget_load(struct queue *q, struct budget *b);
/* As of now; limit and period are the asker's. */
void budget_advance(struct budget *b, uint64_t limit, int64_t period_ms,
                    int64_t since_ms, int64_t now_ms);
/* Is more taken than the disk has? */
bool budget_is_uncovered(const struct budget *b);
/* Shall be on disk; nobody need wait for it. */
void budget_write(struct queue *q, struct budget *b);
/* A busy one that comes near to what the disk has. */
void budget_renew(struct queue *q, struct budget *b);

#endif
