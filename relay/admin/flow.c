/*
 * flow - what flows and what waits, now and over the last hour.
 */
#include "relay/admin/flow.h"

#include "policy/vocabulary/memory.h"
#include "relay/admin/request.h"

#include <math.h>
#include <stdlib.h>

enum { SECOND_MS = 1000, SAMPLES = FLOW_STEP_S + 1 };

struct sample {
    int64_t at_ms;
    struct flow_totals totals;
};

struct flow {
    uv_timer_t timer;
    flow_ask_fn *ask;
    void *user;
    struct sample samples[SAMPLES]; /* a ring: the last ten seconds */
    unsigned count, newest;
    unsigned seconds;                        /* since the last point */
    struct sample begun;                     /* the point that is being made */
    double points[FLOW_POINTS][FLOW_SERIES]; /* a ring; NAN: there was none */
    unsigned next;
};

static const char *const names[FLOW_SERIES] = {
    "accepted", "refused", "delivered", "deferred",
    "returned", "ready",   "waiting",   "held",
};

/* A level, or a rate between the two. */
static double value_of(const struct sample *from, const struct sample *to,
                       unsigned which)
{
    double s = (double)(to->at_ms - from->at_ms) / 1000;
    uint64_t more = to->totals.at[which] - from->totals.at[which];

    if (which >= FLOW_RATES)
        return (double)to->totals.at[which];
    return s > 0 ? round((double)more / s * 100) / 100 : 0;
}

static void end_point(struct flow *f, const struct sample *now)
{
    for (unsigned i = 0; i < FLOW_SERIES; i++)
        f->points[f->next][i] = value_of(&f->begun, now, i);
    f->next = (f->next + 1) % FLOW_POINTS;
    f->begun = *now;
    f->seconds = 0;
}

void flow_sample(struct flow *f, int64_t now_ms)
{
    struct sample now = { .at_ms = now_ms };

    f->ask(f->user, &now.totals);
    f->newest = (f->newest + 1) % SAMPLES;
    f->samples[f->newest] = now;
    if (f->count < SAMPLES)
        f->count++;
    if (f->count == 1)
        f->begun = now;
    else if (++f->seconds == FLOW_STEP_S)
        end_point(f, &now);
}

static void on_second(uv_timer_t *timer)
{
    /* by a clock that nobody sets */
    flow_sample(timer->data, (int64_t)(uv_hrtime() / 1000000));
}

struct flow *flow_open(uv_loop_t *loop, flow_ask_fn *ask, void *user)
{
    struct flow *f = NEW(struct flow);

    f->ask = ask;
    f->user = user;
    for (unsigned i = 0; i < FLOW_POINTS; i++)
        for (unsigned k = 0; k < FLOW_SERIES; k++)
            f->points[i][k] = NAN;
    (void)uv_timer_init(loop, &f->timer);
    f->timer.data = f;
    on_second(&f->timer);
    (void)uv_timer_start(&f->timer, on_second, SECOND_MS, SECOND_MS);
    return f;
}

static void on_closed(uv_handle_t *handle)
{
    free(handle->data);
}

void flow_close(struct flow *take_f)
{
    if (take_f)
        uv_close((uv_handle_t *)&take_f->timer, on_closed);
}

/* ------------------------------------------------------------- telling ---- */

static json_t *number(double value)
{
    if (isnan(value))
        return json_null();
    return value == floor(value) ? json_integer((json_int_t)value)
                                 : json_real(value);
}

json_t *flow_now(const struct flow *f)
{
    const struct sample *last = &f->samples[f->newest];
    const struct sample *first =
        &f->samples[(f->newest + SAMPLES + 1 - f->count) % SAMPLES];
    json_t *o = json_object();

    for (unsigned i = 0; i < FLOW_SERIES; i++)
        ASSERT(json_object_set_new(o, names[i],
                                   number(value_of(first, last, i))) == 0);
    return o;
}

static json_t *series_of(const struct flow *f, unsigned which)
{
    json_t *list = json_array();

    for (unsigned i = 0; i < FLOW_POINTS; i++)
        ASSERT(json_array_append_new(
                   list,
                   number(f->points[(f->next + i) % FLOW_POINTS][which])) == 0);
    return list;
}

json_t *flow_hour(const struct flow *f, int64_t now_ms)
{
    json_t *series = json_object();

    for (unsigned i = 0; i < FLOW_SERIES; i++)
        ASSERT(json_object_set_new(series, names[i], series_of(f, i)) == 0);
    return json_pack("{s:I, s:i, s:i, s:o, s:o}", "now_ms", (json_int_t)now_ms,
                     "step_s", FLOW_STEP_S, "points", FLOW_POINTS, "series",
                     series, "now", flow_now(f));
}

void flow_get(struct request *r)
{
    request_answer_json(r, flow_hour(request_flow(r), request_now_ms(r)));
}
