/*
 * flow - what flows and what waits, now and over the last hour.
 *
 *   GET /api/v1/flow   {"now_ms", "step_s": 10, "points": 360,
 *                       "series": {"accepted": [...], ...}, "now": {"accepted": 1.5, ...}}
 *
 * Sampled once a second on the loop; each ten seconds make a point. Rates (accepted,
 * refused, delivered, deferred, returned) are per second, of a point over its time and now
 * over the last ten seconds; levels (ready, waiting, held) are counts of recipients. Oldest
 * first; null: before the start.
 */
#ifndef WAYPOST_FLOW_H
#define WAYPOST_FLOW_H

#include <jansson.h>
#include <uv.h>

enum { FLOW_STEP_S = 10, FLOW_POINTS = 360 };

enum flow_series {
    FLOW_ACCEPTED, FLOW_REFUSED, FLOW_DELIVERED, FLOW_DEFERRED, FLOW_RETURNED,
    FLOW_READY, FLOW_WAITING, FLOW_HELD,
    FLOW_SERIES,
    FLOW_RATES = FLOW_READY,
};

/* How much it was in all so far, or is. */
struct flow_totals {
    uint64_t at[FLOW_SERIES];
};
typedef void flow_ask_fn(void *user, struct flow_totals *out);

struct flow;
struct request;

struct flow *flow_open(uv_loop_t *loop, flow_ask_fn *ask, void *user);
/* Nobody is asked any more; frees itself when the loop has let go of it. */
void flow_close(struct flow *take_f);
/* What the timer does each second. */
void flow_sample(struct flow *f, int64_t now_ms);

/* {"accepted": 1.5, ...} */
json_t *flow_now(const struct flow *f);
/* All of it. */
json_t *flow_hour(const struct flow *f, int64_t now_ms);
void flow_get(struct request *r);

#endif
