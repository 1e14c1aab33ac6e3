/*
 * pulse - how long does a loop keep the others waiting?
 *
 * The longest time that one turn of a loop was busy, waiting for the kernel not counted:
 * so long may a byte lie there unheard. Beats on the loop's thread, is read from any.
 */
#ifndef WAYPOST_PULSE_H
#define WAYPOST_PULSE_H

#include <stdatomic.h>
#include <uv.h>

struct pulse {
    uint64_t at_ns, idle_ns; /* at the last beat; 0: there was none */
    atomic_uint most_us, recent_us;
};

/* Before the loop runs. */
void pulse_start(uv_loop_t *loop);
/* Once a turn, when its events have been heard. */
void pulse_beat(struct pulse *p, uv_loop_t *loop);
/* Since the start; and since this was asked last. */
unsigned pulse_most_us(const struct pulse *p);
unsigned pulse_recent_us(struct pulse *p);

#endif
