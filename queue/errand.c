/*
 * errand - small writes: destination memory, events that the history has, content that is
 * damaged. Nobody waits for them, but whoever asks whether a destination is remembered as it
 * stands now (queue_remember): what is known of it is written once more, and he is told by
 * the commit.
 */
#include "policy/vocabulary/arena.h"
#include "policy/vocabulary/memory.h"
#include "queue/core.h"
#include "queue/destination.h"

#include <stdlib.h>

enum { REMEMBER_SLICE = 500 };

struct errand {
    struct job job; /* first */
    struct arena arena;
    struct store_destination destination;
    int64_t last_event;
    uint64_t message;
    struct buffer notes; /* for the roll */
};

static void open_letter(struct letter *take_l, bool is_dropped)
{
    struct errand *e = (struct errand *)take_l;

    (void)is_dropped;
    arena_reset(&e->arena);
    buffer_fini(&e->notes);
    free(e);
}

static struct errand *errand_new(const struct job_kind *kind)
{
    struct errand *e = NEW(struct errand);

    e->job.kind = kind;
    e->job.letter.open = open_letter;
    return e;
}

static int run_destination(struct queue *q, struct job *j)
{
    return store_destination_put(q->writer.store,
                                 &((struct errand *)j)->destination);
}

static const struct job_kind destination_kind = {
    .name = "destination",
    .run = run_destination,
};

static void describe(const struct queue *q, const struct destination *d,
                     struct arena *a, struct store_destination *out)
{
    *out = (struct store_destination){
        .name = arena_copy(a, destination_span(d)),
        .due_ms = d->state == DESTINATION_RESTING ? d->due_ms : 0,
        .downs = d->downs,
        .window = d->feedback.window,
        .last_good_ms = d->last_good_ms,
        .last_error = arena_copy(a, span_of(d->last_error)),
        .at_ms = queue_now_ms(q),
        .suspended_ms = d->state == DESTINATION_SUSPENDED ? d->due_ms : 0,
        .suspend_why = arena_copy(a, span_of(d->suspend_why)),
        .is_on_demand = d->is_on_demand,
    };
}

void writer_save_destination(struct queue *q, struct destination *d)
{
    struct errand *e = errand_new(&destination_kind);

    describe(q, d, &e->arena, &e->destination);
    d->is_dirty = false;
    writer_submit(&q->writer, &e->job);
}

/* ---------------------------------------- destinations that are waited for ---- */

struct remembering {
    struct job job; /* first */
    struct arena arena;
    struct span *names;
    size_t count, done_count, slice; /* slice: of this transaction */
    queue_remember_fn *done;
    uint64_t token;
};

/* As it stands when it is written, which is never older than when it was asked. */
static int write_one(struct queue *q, struct span name)
{
    struct store_destination known;
    struct arena arena = { 0 };
    struct destination *d;
    int rc = 0;

    queue_lock(q);
    d = destination_find(q, name);
    if (d)
        describe(q, d, &arena, &known);
    queue_unlock(q);
    if (d)
        rc = store_destination_put(q->writer.store, &known);
    arena_reset(&arena);
    return rc;
}

static int run_remember(struct queue *q, struct job *j)
{
    struct remembering *m = (struct remembering *)j;
    size_t left = m->count - m->done_count;
    int rc = 0;

    m->slice = left < REMEMBER_SLICE ? left : REMEMBER_SLICE;
    for (size_t i = 0; i < m->slice && rc == 0; i++)
        rc = write_one(q, m->names[m->done_count + i]);
    return rc;
}

static bool finish_remember(struct queue *q, struct job *j)
{
    struct remembering *m = (struct remembering *)j;

    m->done_count += m->slice;
    if (j->rc < 0 || m->done_count == m->count)
        return true;
    writer_submit(&q->writer, j);
    return false;
}

static void open_remember(struct letter *take_l, bool is_dropped)
{
    struct remembering *m = (struct remembering *)take_l;

    if (!is_dropped)
        m->done(take_l->port->user, m->token, m->job.rc);
    arena_reset(&m->arena);
    free(m->names);
    free(m);
}

static const struct job_kind remember_kind = {
    .name = "remember",
    .run = run_remember,
    .finish = finish_remember,
};

void queue_remember(struct queue_port *p, const struct span *destinations,
                    size_t count, queue_remember_fn *done, uint64_t token)
{
    struct remembering *m = NEW(struct remembering);

    m->job.kind = &remember_kind;
    m->job.letter.port = p;
    m->job.letter.open = open_remember;
    m->names = NEW_ARRAY(struct span, count + 1);
    for (size_t i = 0; i < count; i++)
        m->names[i] = arena_copy(&m->arena, destinations[i]);
    m->count = count;
    m->done = done;
    m->token = token;
    writer_submit(&p->queue->writer, &m->job);
}

/* --------------------------------------------------------- the other ones ---- */

static int run_events_done(struct queue *q, struct job *j)
{
    return store_events_done(q->writer.store, ((struct errand *)j)->last_event);
}

static const struct job_kind events_done_kind = {
    .name = "events done",
    .run = run_events_done,
};

void writer_events_done(struct queue *q, int64_t last_event)
{
    struct errand *e = errand_new(&events_done_kind);

    e->last_event = last_event;
    writer_submit(&q->writer, &e->job);
}

static int run_hold(struct queue *q, struct job *j)
{
    struct errand *e = (struct errand *)j;
    struct queue_filter f = { .id = e->message };
    struct queue_count count = { 0 };
    struct store_change change = {
        .filter = &f,
        .change = CHANGE_HOLD,
        .who = SPAN("checksum"),
        .why = SPAN("its content is not what was received"),
        .now_ms = queue_now_ms(q),
    };
    uint64_t last;
    int rc = store_change(q->writer.store, &change, 0, 1, &count, &last);

    buffer_clear(&e->notes);
    if (rc >= 0)
        rc = roll_read_again(q->writer.store, e->message, &e->notes);
    return rc;
}

static void committed_hold(struct queue *q, struct job *j)
{
    roll_again(&q->roll, &((struct errand *)j)->notes);
}

static const struct job_kind hold_kind = {
    .name = "hold",
    .run = run_hold,
    .committed = committed_hold,
};

void writer_hold_damaged(struct queue *q, uint64_t message)
{
    struct errand *e = errand_new(&hold_kind);

    e->message = message;
    writer_submit(&q->writer, &e->job);
}
