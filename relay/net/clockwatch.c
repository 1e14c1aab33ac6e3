/*
 * clockwatch - has somebody set the clock?
 */
#include "relay/net/clockwatch.h"

int64_t clockwatch_look(struct clockwatch *w, int64_t wall_ms,
                        int64_t steady_ms)
{
    int64_t apart_ms = wall_ms - steady_ms;
    int64_t jump_ms = w->has_looked ? apart_ms - w->apart_ms : 0;

    if (w->has_looked && jump_ms > -CLOCKWATCH_LEAST_MS &&
        jump_ms < CLOCKWATCH_LEAST_MS)
        jump_ms = 0; /* it may drift as far as it likes, slowly */
    w->has_looked = true;
    w->apart_ms = apart_ms;
    return jump_ms;
}
