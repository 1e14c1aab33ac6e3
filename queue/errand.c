/*
 * errand - small writes that nobody waits for: destination memory, events that
 * the history has, content that is damaged.
 */
#include "policy/vocabulary/arena.h"
#include "policy/vocabulary/memory.h"
#include "queue/core.h"

#include <stdlib.h>

struct errand {
    struct job job; /* first */
    struct arena arena;
    struct store_destination destination;
    int64_t last_event;
    uint64_t message;
};

static void open_letter(struct letter *take_l, bool is_dropped)
{
    struct errand *e = (struct errand *)take_l;

    (void)is_dropped;
    arena_reset(&e->arena);
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

void writer_save_destination(struct queue *q, struct destination *d)
{
    struct errand *e = errand_new(&destination_kind);

    e->destination = (struct store_destination){
        .name = arena_copy(&e->arena, destination_span(d)),
        .due_ms = d->state == DESTINATION_RESTING ? d->due_ms : 0,
        .downs = d->downs,
        .window = d->feedback.window,
        .last_good_ms = d->last_good_ms,
        .last_error = arena_copy(&e->arena, span_of(d->last_error)),
        .at_ms = queue_now_ms(q),
        .suspended_ms = d->state == DESTINATION_SUSPENDED ? d->due_ms : 0,
        .suspend_why = arena_copy(&e->arena, span_of(d->suspend_why)),
        .is_on_demand = d->is_on_demand,
    };
    d->is_dirty = false;
    writer_submit(&q->writer, &e->job);
}

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
        .now_ms = queue_now_ms(q),
    };
    uint64_t last;

    return store_change(q->writer.store, &change, 0, 1, &count, &last);
}

static const struct job_kind hold_kind = {
    .name = "hold",
    .run = run_hold,
};

void writer_hold_damaged(struct queue *q, uint64_t message)
{
    struct errand *e = errand_new(&hold_kind);

    e->message = message;
    writer_submit(&q->writer, &e->job);
}
