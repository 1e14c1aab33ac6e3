/*
 * timers - what comes next? A heap of points in time that live in their owners.
 *
 * Not locked; times are whatever clock the caller uses.
 */
#ifndef WAYPOST_TIMERS_H
#define WAYPOST_TIMERS_H

#include <stddef.h>
#include <stdint.h>

#define TIMER_NEVER INT64_MAX

struct timer {
    int64_t due_ms;  /* TIMER_NEVER (or zeroed with position 0): not set */
    size_t position; /* in the heap, from 1; 0: not in it */
    int kind;        /* the owner's, to tell owners apart */
};

/* A zeroed one is empty. */
struct timers {
    struct timer **heap;
    size_t count, size;
};

/* Sets, moves, or with TIMER_NEVER takes it out. */
void timers_set(struct timers *t, struct timer *timer, int64_t due_ms);
/* Sooner only: a later time than the one set is ignored. */
void timers_advance(struct timers *t, struct timer *timer, int64_t due_ms);
static inline int64_t timer_due(const struct timer *timer)
{
    return timer->position ? timer->due_ms : TIMER_NEVER;
}
/* The earliest that is due by now, taken out, or NULL. */
struct timer *timers_take(struct timers *t, int64_t now_ms);
/* When the earliest is due, or TIMER_NEVER. */
int64_t timers_next(const struct timers *t);
void timers_fini(struct timers *t);

#endif
