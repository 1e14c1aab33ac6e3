/*
 * timers - what comes next? A binary heap, earliest on top.
 */
#include "queue/timers.h"

#include "policy/vocabulary/memory.h"

#include <stdlib.h>

static void timers_place(struct timers *t, struct timer *timer, size_t at)
{
    t->heap[at - 1] = timer;
    timer->position = at;
}

static void timers_up(struct timers *t, struct timer *timer, size_t at)
{
    while (at > 1 && t->heap[at / 2 - 1]->due_ms > timer->due_ms) {
        timers_place(t, t->heap[at / 2 - 1], at);
        at /= 2;
    }
    timers_place(t, timer, at);
}

static void timers_down(struct timers *t, struct timer *timer, size_t at)
{
    size_t child;

    while ((child = at * 2) <= t->count) {
        if (child < t->count &&
            t->heap[child]->due_ms < t->heap[child - 1]->due_ms)
            child++;
        if (t->heap[child - 1]->due_ms >= timer->due_ms)
            break;
        timers_place(t, t->heap[child - 1], at);
        at = child;
    }
    timers_place(t, timer, at);
}

static void timers_remove(struct timers *t, struct timer *timer)
{
    size_t at = timer->position;
    struct timer *last = t->heap[--t->count];

    timer->position = 0;
    if (last == timer)
        return;
    timers_place(t, last, at);
    timers_up(t, last, at);
    timers_down(t, last, last->position);
}

void timers_set(struct timers *t, struct timer *timer, int64_t due_ms)
{
    if (timer->position) {
        if (timer->due_ms == due_ms)
            return;
        timers_remove(t, timer);
    }
    if (due_ms == TIMER_NEVER)
        return;
    if (t->count == t->size) {
        t->size = t->size ? t->size * 2 : 64;
        t->heap = memory_grow(t->heap, t->size * sizeof(void *));
    }
    timer->due_ms = due_ms;
    t->count++;
    timers_up(t, timer, t->count);
}

void timers_advance(struct timers *t, struct timer *timer, int64_t due_ms)
{
    if (due_ms < timer_due(timer))
        timers_set(t, timer, due_ms);
}

struct timer *timers_take(struct timers *t, int64_t now_ms)
{
    struct timer *first = t->count ? t->heap[0] : NULL;

    if (!first || first->due_ms > now_ms)
        return NULL;
    timers_remove(t, first);
    return first;
}

int64_t timers_next(const struct timers *t)
{
    return t->count ? t->heap[0]->due_ms : TIMER_NEVER;
}

void timers_fini(struct timers *t)
{
    free(t->heap);
    *t = (struct timers){ 0 };
}
