/*
 * no_figures - a queue without figures, for tests that have no queue.
 */
#ifndef WAYPOST_NO_FIGURES_H
#define WAYPOST_NO_FIGURES_H

#include "queue/queue.h"

void queue_figures(struct queue *q, struct queue_figures *out)
{
    (void)q;
    *out = (struct queue_figures){ .reserve_bytes = 1000 };
}

struct queue_busy *queue_busy_new(size_t most)
{
    (void)most;
    return NULL;
}

void queue_busy_free(struct queue_busy *b)
{
    (void)b;
}

void queue_busy_look(struct queue *q, struct queue_busy *b)
{
    (void)q;
    (void)b;
}

void queue_busy_each(const struct queue_busy *b, queue_destination_fn *each,
                     void *user)
{
    const struct queue_destination_row row = { .name = SPAN("mx:a.test"),
                                               .waiting = 3 };

    (void)b;
    each(user, &row);
}

#endif
