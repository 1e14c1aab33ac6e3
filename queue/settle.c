/*
 * settle - what came of a work, and the reports about it, in one transaction (Q2).
 *
 * Settles go ahead of puts in every batch (Q4). A work that was not attempted after
 * all changes nothing on disk and goes back to its line at once.
 */
#include "policy/vocabulary/memory.h"
#include "queue/active.h"
#include "queue/claim.h"
#include "queue/put.h"
#include "queue/quota.h"
#include "queue/reading.h"

#include <stdlib.h>

struct settle_job {
    struct job job; /* first */
    struct bundle *bundle;
    struct queue_result *results; /* on this block, text behind them */
    struct put *reports;
    size_t report_count;
    int64_t now_ms;
    uint64_t message;
    uint32_t events;
    bool is_removed, has_file;
    queue_settle_fn *done;
    uint64_t token;
};

static int run(struct queue *q, struct job *j)
{
    struct settle_job *s = (struct settle_job *)j;
    int rc = 0;

    s->is_removed = s->has_file = false;
    for (size_t i = 0; i < s->bundle->work.count && rc >= 0; i++) {
        bool is_removed = false, has_file = false;

        rc = store_settle(q->writer.store, &s->bundle->work, i, &s->results[i],
                          s->now_ms, &is_removed, &has_file);
        s->is_removed |= is_removed;
        s->has_file |= has_file;
    }
    for (size_t i = 0; i < s->report_count && rc >= 0; i++)
        rc = put_run(q, &s->reports[i]);
    return rc;
}

/* The recipient's row stays and is not in memory: when is it looked for again? */
static void stays(struct queue *q, struct lane *l, int64_t due_ms,
                  int64_t now_ms)
{
    if (due_ms > now_ms)
        lane_due_at(q, l, due_ms);
    else
        lane_restart(q, l);
}

static void leave(struct queue *q, struct bundle *take_b,
                  const struct queue_result *results)
{
    int64_t now_ms = queue_now_ms(q);

    for (size_t i = 0; i < take_b->work.count; i++) {
        struct lane *l = take_b->lanes[i].lane;
        const struct queue_work *w = &take_b->work;

        switch (results[i].outcome) {
        case OUTCOME_DEFERRED:
            lane_due_at(q, l, results[i].due_ms);
            break;
        case OUTCOME_FREED:
        case OUTCOME_WARNED:
            if (w->is_alarm && w->recipients[i].due_ms <= now_ms)
                active_stand_behind(q, l);
            stays(q, l, take_b->work.recipients[i].due_ms, now_ms);
            break;
        case OUTCOME_DELIVERED:
        case OUTCOME_FAILED:
        case OUTCOME_EXPIRED:
        case OUTCOME_DISCARDED:
        case OUTCOME_RETURNED:
            quota_gone(q, l, w->message, w->recipients[i].number,
                       w->envelope.size_bytes);
            roll_gone(&q->roll, w->message, w->recipients[i].number);
            break;
        case OUTCOME_HELD:
            if (!w->recipients[i].is_returned)
                roll_held(&q->roll, w->message, w->recipients[i].number, true);
            break;
        }
    }
    active_remove(q, take_b);
}

static void committed(struct queue *q, struct job *j)
{
    struct settle_job *s = (struct settle_job *)j;

    leave(q, s->bundle, s->results);
    s->bundle = NULL;
    for (size_t i = 0; i < s->report_count; i++)
        put_committed(q, &s->reports[i]);
    atomic_fetch_add(&q->settles, 1);
    atomic_fetch_add(&q->events, s->events);
}

static bool finish(struct queue *q, struct job *j)
{
    struct settle_job *s = (struct settle_job *)j;

    if (s->is_removed && s->has_file)
        body_unlink(q, s->message);
    return true;
}

static void open_letter(struct letter *take_l, bool is_dropped)
{
    struct settle_job *s = (struct settle_job *)take_l;

    if (!is_dropped && s->done)
        s->done(take_l->port->user, s->token, s->job.rc, s->message,
                s->is_removed);
    for (size_t i = 0; i < s->report_count; i++)
        put_fini(&s->reports[i]);
    free(s->reports);
    free(s);
}

static const struct job_kind settle_kind = {
    .name = "settle",
    .goes_first = true,
    .is_vital = true,
    .run = run,
    .committed = committed,
    .finish = finish,
};

static void copy_text(char **text, struct span *s)
{
    if (s->len)
        memcpy(*text, s->at, s->len);
    s->at = *text;
    *text += s->len;
}

/* Is it the dialogue of the one in front? */
static bool is_told_before(const struct queue_result *results, size_t i)
{
    return i && results[i].dialogue.len &&
           results[i].dialogue.at == results[i - 1].dialogue.at;
}

static struct settle_job *settle_new(const struct queue_result *results,
                                     size_t n)
{
    size_t fixed = sizeof(struct settle_job) + n * sizeof(struct queue_result);
    size_t len = 0;
    struct settle_job *s;
    char *text;

    for (size_t i = 0; i < n; i++)
        len += results[i].reply.len + results[i].host.len +
               (is_told_before(results, i) ? 0 : results[i].dialogue.len);
    s = memory_take(fixed + len);
    *s = (struct settle_job){ 0 };
    s->results = (void *)(s + 1);
    text = (char *)s + fixed;
    for (size_t i = 0; i < n; i++) {
        s->results[i] = results[i];
        copy_text(&text, &s->results[i].reply);
        copy_text(&text, &s->results[i].host);
        if (is_told_before(results, i))
            s->results[i].dialogue = s->results[i - 1].dialogue;
        else
            copy_text(&text, &s->results[i].dialogue);
    }
    return s;
}

static size_t how_many(const struct queue_result *results, size_t n,
                       enum queue_outcome outcome)
{
    size_t found = 0;

    for (size_t i = 0; i < n; i++)
        found += results[i].outcome == outcome;
    return found;
}

static size_t take_reports(struct settle_job *s,
                           const struct queue_message *reports, size_t n)
{
    size_t bytes = 0;

    s->reports = n ? NEW_ARRAY(struct put, n) : NULL;
    s->report_count = n;
    for (size_t i = 0; i < n; i++) {
        put_init(&s->reports[i], &reports[i]);
        bytes += (size_t)reports[i].envelope.size_bytes;
    }
    return bytes;
}

void queue_settle(struct queue_port *p, struct queue_work *take_work,
                  const struct queue_result *results,
                  const struct queue_message *take_reports_,
                  size_t report_count, queue_settle_fn *done, uint64_t token)
{
    struct queue *q = p->queue;
    struct bundle *b = bundle_of(take_work);
    size_t n = take_work->count;
    size_t freed = how_many(results, n, OUTCOME_FREED);
    struct settle_job *s = settle_new(results, n);

    s->job.letter.port = p;
    s->job.letter.open = open_letter;
    s->job.kind = &settle_kind;
    s->job.bytes = take_reports(s, take_reports_, report_count);
    s->message = take_work->message;
    s->now_ms = queue_now_ms(q);
    s->events = (uint32_t)(n - freed - how_many(results, n, OUTCOME_DEFERRED) -
                           how_many(results, n, OUTCOME_HELD) -
                           how_many(results, n, OUTCOME_WARNED));
    s->done = done;
    s->token = token;
    reading_close(q, b);
    queue_lock(q);
    ASSERT(b->state == BUNDLE_CLAIMED);
    claim_settled(q, b, how_many(results, n, OUTCOME_DELIVERED) > 0);
    if (freed == n && report_count == 0) {
        if (take_work->is_alarm)
            leave(q, b, results);
        else
            active_unclaim(q, b);
        queue_unlock(q);
        port_post(&s->job.letter);
        return;
    }
    b->state = BUNDLE_SETTLING;
    s->bundle = b;
    queue_unlock(q);
    writer_submit(&q->writer, &s->job);
}
