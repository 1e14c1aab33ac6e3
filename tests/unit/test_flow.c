/*
 * test_flow - what flows and what waits, second by second.
 */
#include "policy/vocabulary/error.h"
#include "relay/admin/flow.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

/* Seconds are given by hand; the first sample is the one that flow_open takes. */
struct world {
    uv_loop_t loop;
    struct flow *flow;
    struct flow_totals totals;
    int64_t now_ms;
};

static void ask(void *user, struct flow_totals *out)
{
    *out = ((struct world *)user)->totals;
}

static void world_open(struct world *w)
{
    *w = (struct world){ 0 };
    ASSERT(uv_loop_init(&w->loop) == 0);
    w->flow = flow_open(&w->loop, ask, w);
    w->now_ms = (int64_t)(uv_hrtime() / 1000000);
}

static void world_close(struct world *w)
{
    flow_close(w->flow);
    (void)uv_run(&w->loop, UV_RUN_DEFAULT);
    ASSERT(uv_loop_close(&w->loop) == 0);
}

static void pass(struct world *w, int seconds, uint64_t accepted_each)
{
    for (int i = 0; i < seconds; i++) {
        w->totals.at[FLOW_ACCEPTED] += accepted_each;
        w->now_ms += 1000;
        flow_sample(w->flow, w->now_ms);
    }
}

static double now(struct world *w, const char *name)
{
    json_t *o = flow_now(w->flow);
    double value = json_number_value(json_object_get(o, name));

    json_decref(o);
    return value;
}

/* The point that many steps ago; 0: the newest. */
static double point(struct world *w, const char *name, size_t ago)
{
    json_t *o = flow_hour(w->flow, 1), *list;
    const json_t *v;
    double value;

    list = json_object_get(json_object_get(o, "series"), name);
    assert_int_equal(json_array_size(list), FLOW_POINTS);
    v = json_array_get(list, FLOW_POINTS - 1 - ago);
    value = json_is_null(v) ? -1 : json_number_value(v);
    json_decref(o);
    return value;
}

static void near(double a, double b)
{
    assert_true(a > b - 0.06 && a < b + 0.06);
}

static void rates_are_those_of_the_last_ten_seconds(void **state)
{
    struct world w;

    (void)state;
    world_open(&w);
    assert_true(now(&w, "accepted") == 0);
    pass(&w, 4, 8);
    near(now(&w, "accepted"), 8);
    pass(&w, 5, 0);
    near(now(&w, "accepted"), 32 / 9.0);
    pass(&w, 20, 3);
    near(now(&w, "accepted"), 3);
    w.totals.at[FLOW_HELD] = 7;
    pass(&w, 1, 3);
    assert_true(now(&w, "held") == 7);
    assert_true(now(&w, "refused") == 0);
    world_close(&w);
}

static void ten_seconds_are_a_point_and_none_is_before_the_start(void **state)
{
    struct world w;

    (void)state;
    world_open(&w);
    pass(&w, 9, 5);
    assert_true(point(&w, "accepted", 0) == -1);
    w.totals.at[FLOW_READY] = 40;
    pass(&w, 1, 5);
    near(point(&w, "accepted", 0), 5);
    assert_true(point(&w, "ready", 0) == 40);
    assert_true(point(&w, "accepted", 1) == -1);
    pass(&w, 10, 0);
    assert_true(point(&w, "accepted", 0) == 0);
    near(point(&w, "accepted", 1), 5);
    world_close(&w);
}

static void an_hour_is_kept_and_no_more(void **state)
{
    struct world w;

    (void)state;
    world_open(&w);
    pass(&w, 10, 100);
    pass(&w, (FLOW_POINTS - 1) * FLOW_STEP_S, 1);
    near(point(&w, "accepted", FLOW_POINTS - 1), 100);
    pass(&w, 10, 1);
    near(point(&w, "accepted", FLOW_POINTS - 1), 1);
    near(point(&w, "accepted", 0), 1);
    world_close(&w);
}

static void a_loop_that_was_late_does_not_make_a_peak(void **state)
{
    struct world w;

    (void)state;
    world_open(&w);
    pass(&w, 9, 10);
    w.now_ms += 10000; /* a minute's snapshot of the machine, say */
    pass(&w, 1, 110);
    near(point(&w, "accepted", 0), 10);
    near(now(&w, "accepted"), 10);
    world_close(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rates_are_those_of_the_last_ten_seconds),
        cmocka_unit_test(ten_seconds_are_a_point_and_none_is_before_the_start),
        cmocka_unit_test(an_hour_is_kept_and_no_more),
        cmocka_unit_test(a_loop_that_was_late_does_not_make_a_peak),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
