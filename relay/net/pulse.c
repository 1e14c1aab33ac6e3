/*
 * pulse - how long does a loop keep the others waiting?
 */
#include "relay/net/pulse.h"

#include "policy/vocabulary/error.h"

void pulse_start(uv_loop_t *loop)
{
    ASSERT(uv_loop_configure(loop, UV_METRICS_IDLE_TIME) == 0);
}

void pulse_beat(struct pulse *p, uv_loop_t *loop)
{
    uint64_t now = uv_hrtime(), idle = uv_metrics_idle_time(loop);
    uint64_t busy_us = (now - p->at_ns - (idle - p->idle_ns)) / 1000;
    unsigned us = busy_us < UINT32_MAX ? (unsigned)busy_us : UINT32_MAX;

    if (p->at_ns &&
        us > atomic_load_explicit(&p->recent_us, memory_order_relaxed))
        atomic_store(&p->recent_us, us);
    if (p->at_ns &&
        us > atomic_load_explicit(&p->most_us, memory_order_relaxed))
        atomic_store(&p->most_us, us);
    p->at_ns = now;
    p->idle_ns = idle;
}

unsigned pulse_most_us(const struct pulse *p)
{
    return atomic_load(&p->most_us);
}

unsigned pulse_recent_us(struct pulse *p)
{
    return atomic_exchange(&p->recent_us, 0);
}
