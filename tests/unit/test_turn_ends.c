/*
 * How fetching ends before it is done, and what goes on besides.
 */
#include "turn_world.h"

enum { MANY = 10000 };

/* ------------------------------------------------------------- accidents ---- */

static void a_customer_that_vanishes_in_the_middle_loses_nothing(void **state)
{
    struct world *w = fetch_new(0);
    struct queue_slot *slot;
    struct queue_work *held;
    struct seen s;

    (void)state;
    put_range(w, "a.away", 1, 100);
    slot = fetch(w, "a.away", NULL);
    queue_slot_connected(slot);
    take(w, slot, 1);
    take(w, slot, 2);
    held = next(w, slot);
    assert_int_equal(number_of(held), 3);
    queue_slot_failed(slot, SPAN("4.4.2 connection lost"), backoff, w);
    assert_null(queue_slot_next(slot, 50));
    world_settle(w, held, OUTCOME_FREED, 0);
    queue_slot_close(slot);
    world_settle_down(w);
    s = look(w, "away");
    assert_int_equal(s.row.state, DESTINATION_OFFLINE);
    assert_int_equal(s.row.downs, 0);
    assert_string_equal(s.error, "4.4.1 waits for pick-up");
    assert_int_equal(s.row.last_good_ms, world_clock());
    assert_int_equal(s.row.waiting, 98);
    assert_int_equal(active(w), 0);
    slot = fetch(w, "a.away", NULL);
    take_to_the_end(w, slot, 3, 100);
    queue_slot_close(slot);
    world_free(w);
}

static void a_slot_may_be_closed_while_its_last_word_is_being_written(
    void **state)
{
    struct world *w = fetch_new(0);

    (void)state;
    put_range(w, "a.away", 1, 300);
    for (uint64_t n = 1; n <= 300; n++) {
        struct queue_slot *slot = fetch(w, "a.away", NULL);
        struct queue_work *work = next(w, slot);

        /* Its removal may be on its way still: then it is the next. */
        assert_non_null(work);
        assert_int_equal(number_of(work), n);
        world_settle(w, work, OUTCOME_DELIVERED, 0);
        queue_slot_close(slot);
    }
    world_until(w, &w->settles, 300);
    assert_int_equal(world_count(w, 0).recipients, 0);
    assert_false(look(w, "away").row.is_fetched);
    world_free(w);
}

static void a_failure_before_anything_was_asked_for_is_none(void **state)
{
    struct world *w = fetch_new(0);
    struct queue_slot *slot;

    (void)state;
    put_range(w, "a.away", 1, 3);
    for (int i = 0; i < 10; i++) {
        slot = fetch(w, NULL, NULL);
        queue_slot_failed(slot, SPAN("4.4.2 no greeting"), backoff, w);
        queue_slot_close(slot);
    }
    assert_int_equal(look(w, "away").row.downs, 0);
    assert_int_equal(look(w, "away").row.last_good_ms, 0);
    slot = fetch(w, NULL, NULL);
    take_to_the_end(w, slot, 1, 3);
    queue_slot_close(slot);
    world_free(w);
}

static void when_he_was_seen_is_remembered(void **state)
{
    struct world *w = fetch_new(0);
    struct queue_slot *slot;
    int64_t seen_ms = world_clock();

    (void)state;
    put_range(w, "a.away", 1, 2);
    slot = fetch(w, NULL, NULL);
    queue_slot_connected(slot);
    take(w, slot, 1);
    queue_slot_close(slot);
    atomic_fetch_add(&world_now_ms, 5000);
    world_reopen(w);
    world_settle_down(w); /* its lanes are read */
    assert_int_equal(look(w, "away").row.last_good_ms, seen_ms);
    world_free(w);
}

static void going_down_ends_him(void **state)
{
    struct world *w = fetch_new(0);
    struct queue_slot *begun, *reserved;
    struct queue_work *work;

    (void)state;
    put_range(w, "a.away", 1, 5);
    assert_true(queue_suspend(w->q, SPAN("x.org"), INT64_MAX, SPAN("")));
    put_range(w, "x.org", 1, 5);
    assert_true(queue_resume(w->q, SPAN("x.org")));
    assert_int_equal(turn(w, "x.org", NULL, NULL, &reserved), QUEUE_TURNED);
    begun = fetch(w, NULL, NULL);
    work = next(w, begun);
    queue_stop_claims(w->q);
    world_settle(w, work, OUTCOME_DELIVERED, 0);
    assert_null(next(w, begun));
    assert_ptr_equal(ended, begun);
    assert_null(next(w, reserved));
    assert_ptr_equal(ended, reserved);
    queue_slot_close(begun);
    queue_slot_close(reserved);
    assert_int_equal(ended_count, 2);
    world_reopen(w);
    world_settle_down(w);
    assert_int_equal(look(w, "away").row.waiting, 4);
    assert_int_equal(world_count(w, 0).recipients, 9);
    world_free(w);
}

/* A slot that is parked, with a work of it on its way through the writer at most. */
static struct queue_slot *parked(struct world *w, struct queue_work **out_held)
{
    struct queue_slot *slot;

    put_range(w, "a.away", 1, 5);
    slot = fetch(w, NULL, NULL);
    *out_held = next(w, slot);
    assert_non_null(*out_held);
    return slot;
}

static void a_suspension_ends_him_and_refuses_the_next(void **state)
{
    struct world *w = fetch_new(0);
    struct queue_work *held;
    struct queue_slot *slot = parked(w, &held);

    (void)state;
    assert_true(queue_suspend(w->q, SPAN("away"), INT64_MAX, SPAN("a fault")));
    assert_int_equal(active(w), 1); /* what is under way goes on */
    world_settle(w, held, OUTCOME_DELIVERED, 0);
    assert_null(next(w, slot));
    assert_int_equal(look(w, "away").row.state, DESTINATION_SUSPENDED);
    assert_int_equal(turn(w, "away", NULL, NULL, &slot), QUEUE_TURN_TAKEN);
    queue_slot_close(slot);
    assert_int_equal(turn(w, "away", NULL, NULL, &slot), QUEUE_TURN_SUSPENDED);
    assert_int_equal(look(w, "away").row.state, DESTINATION_SUSPENDED);
    world_settle_down(w);
    assert_int_equal(active(w), 0);
    world_free(w);
}

static void a_suspension_ends_him_when_he_has_not_begun(void **state)
{
    struct world *w = fetch_new(0);
    struct queue_slot *slot;

    (void)state;
    put_range(w, "a.away", 1, 5);
    slot = fetch(w, NULL, NULL);
    assert_true(queue_suspend(w->q, SPAN("away"), INT64_MAX, SPAN("")));
    assert_true(queue_resume(w->q, SPAN("away")));
    assert_null(next(w, slot));
    w->opened = w->ready = others_take_all;
    queue_slot_close(slot);
    world_until(w, &w->settles, 5); /* that is what a person wanted */
    world_free(w);
}

/* All lanes of "away" lead to "elsewhere", or only a.away. */
static bool is_all_moved;

static void moved_route(void *user, struct span lane,
                        struct queue_destination *out)
{
    world_route(user, lane, out);
    if (!span_is(buffer_span(&out->name), SPAN("away")) ||
        (!is_all_moved && !span_is(lane, SPAN("a.away"))))
        return;
    buffer_clear(&out->name);
    buffer_put_string(&out->name, "elsewhere");
    out->is_on_demand = false;
}

static void a_lane_that_leads_elsewhere_now_is_his_no_more(void **state)
{
    struct world *w = fetch_new(0);
    struct queue_slot *slot;

    (void)state;
    w->opened = w->ready = others_take_all;
    put_range(w, "a.away", 11, 15);
    put_range(w, "b.away", 1, 5);
    slot = fetch(w, "a.away", "b.away");
    world_settle(w, next(w, slot), OUTCOME_FREED, 0);
    is_all_moved = false;
    queue_reroute(w->q, moved_route, w);
    world_until(w, &w->settles, 6);
    assert_int_equal(w->got[11], 1);
    take_to_the_end(w, slot, 1, 5);
    /* and back again, while he is there still */
    put(w, "b.away", 6);
    queue_reroute(w->q, world_route, w);
    put(w, "a.away", 16);
    world_settle_down(w);
    assert_int_equal(w->got[16], 0);
    queue_slot_close(slot);
    slot = fetch(w, "a.away", NULL);
    take_to_the_end(w, slot, 16, 16);
    queue_slot_close(slot);
    world_free(w);
}

static void other_routes_end_him_who_waits_to_be_read_for(void **state)
{
    struct world *w = fetch_new(100);
    struct queue_slot *slot;

    (void)state;
    put_range(w, "a.away", 1, 5);
    put_range(w, "b.away", 1, 5);
    put_range(w, "x.org", 1, 60); /* fills the half that the reader may */
    put_range(w, "y.org", 1, 60);
    slot = fetch(w, "a.away", NULL);
    assert_null(queue_slot_next(slot, 50));
    world_settle_down(w);
    assert_int_equal(ended_count, 0);
    assert_null(queue_slot_next(slot, 50));
    is_all_moved = false;
    queue_reroute(w->q, moved_route, w);
    world_until(w, &ended_count, 1); /* without asking again */
    queue_slot_close(slot);
    world_free(w);
}

static void routes_that_leave_nothing_end_him(void **state)
{
    struct world *w = fetch_new(0);
    struct queue_work *held;
    struct queue_slot *slot = parked(w, &held);

    (void)state;
    w->opened = w->ready = others_take_all;
    is_all_moved = true;
    queue_reroute(w->q, moved_route, w);
    world_settle(w, held, OUTCOME_FREED, 0);
    assert_null(next(w, slot));
    world_until(w, &w->settles, 6);
    queue_slot_close(slot);
    queue_reroute(w->q, world_route, w);
    assert_int_equal(world_count(w, 0).recipients, 0);
    world_free(w);
}

static void a_window_that_opens_waits_until_he_is_gone(void **state)
{
    struct world *w = fetch_new(0);
    struct queue_slot *slot;

    (void)state;
    w->opened = w->ready = others_take_all;
    put_range(w, "a.away", 1, 5);
    put_range(w, "b.away", 11, 15);
    slot = fetch(w, "a.away", NULL);
    take(w, slot, 1);
    w->is_on_demand = false;
    queue_reroute(w->q, world_route, w);
    put(w, "b.away", 16);
    world_settle_down(w);
    assert_int_equal(w->slot_count, 0);
    take(w, slot, 2);
    queue_slot_close(slot);
    world_until(w, &w->settles, 11);
    world_free(w);
}

static void a_window_that_closes_does_not_disturb_him(void **state)
{
    struct world *w = fetch_new(0);
    struct queue_slot *slot;

    (void)state;
    w->is_on_demand = false;
    w->opened = NULL;
    put_range(w, "a.away", 1, 5);
    slot = fetch(w, NULL, NULL);
    take(w, slot, 1);
    w->is_on_demand = true;
    queue_reroute(w->q, world_route, w);
    take_to_the_end(w, slot, 2, 5);
    put(w, "a.away", 6);
    queue_slot_close(slot);
    world_settle_down(w);
    assert_int_equal(look(w, "away").row.state, DESTINATION_OFFLINE);
    assert_int_equal(active(w), 0);
    world_free(w);
}

/* -------------------------------------------------- restarts and alarms ---- */

static void after_a_restart_he_gets_what_is_found_meanwhile(void **state)
{
    struct world *w = fetch_new(0);
    struct queue_slot *slot = NULL;

    (void)state;
    put_range(w, "b.away", 1001, 2000);
    put_range(w, "a.away", 1, 1000);
    for (int i = 0; i < 3; i++) {
        enum queue_turn answer;

        world_reopen(w);
        answer = turn(w, "away", "a.away", NULL, &slot);
        assert_int_equal(answer, QUEUE_TURNED);
        take(w, slot, 1 + (uint64_t)i);
        queue_slot_close(slot);
    }
    world_reopen(w);
    slot = fetch(w, "a.away", NULL);
    put(w, "a.away", 1001);
    take_to_the_end(w, slot, 4, 1001);
    queue_slot_close(slot);
    assert_false(queue_lane_waits(w->q, SPAN("a.away")));
    assert_true(queue_lane_waits(w->q, SPAN("b.away")));
    world_free(w);
}

static void after_a_restart_a_name_without_mail_ends_at_once(void **state)
{
    struct world *w = fetch_new(0);
    struct queue_slot *slot = NULL;

    (void)state;
    put_range(w, "a.away", 1, 10);
    world_reopen(w);
    if (turn(w, "nobody", NULL, NULL, &slot) == QUEUE_TURNED) {
        assert_null(next(w, slot));
        queue_slot_close(slot);
    }
    world_settle_down(w);
    assert_false(look(w, "nobody").is_there);
    world_free(w);
}

static void expiry_goes_on_but_not_for_what_he_is_being_given(void **state)
{
    const char *lane = "a.away";
    struct world *w = fetch_new(0);
    struct queue_slot *slot;
    struct queue_work *held;

    (void)state;
    for (int i = 0; i < 10; i++)
        world_put_many(w, "one.test", &lane, 1, "7",
                       world_clock() + DAY_MS + i / 5);
    world_until(w, &w->puts_ok, 10);
    put(w, "a.away", 8);
    slot = fetch(w, NULL, NULL);
    held = next(w, slot);
    atomic_fetch_add(&world_now_ms, DAY_MS); /* five, but for one */
    world_until(w, &w->alarm_count, 4);
    world_settle_down(w);
    assert_int_equal(w->alarm_count, 4);
    for (int i = 0; i < 4; i++) {
        assert_int_not_equal(w->alarms[i]->message, held->message);
        world_settle(w, w->alarms[i], OUTCOME_EXPIRED, 0);
    }
    world_settle(w, held, OUTCOME_DELIVERED, 0);
    for (int i = 0; i < 5; i++)
        take(w, slot, 7);
    take_to_the_end(w, slot, 8, 8);
    queue_slot_close(slot);
    assert_int_equal(world_count(w, 0).recipients, 0);
    world_free(w);
}

static void when_the_rest_expires_he_is_done(void **state)
{
    const char *lane = "a.away";
    struct world *w = fetch_new(0);
    struct queue_slot *slot;
    struct queue_work *held;

    (void)state;
    for (int i = 0; i < 5; i++)
        world_put_many(w, "one.test", &lane, 1, "7", world_clock() + DAY_MS);
    world_until(w, &w->puts_ok, 5);
    slot = fetch(w, NULL, NULL);
    held = next(w, slot);
    atomic_fetch_add(&world_now_ms, DAY_MS);
    world_until(w, &w->alarm_count, 4);
    world_settle(w, held, OUTCOME_DELIVERED, 0);
    for (int i = 0; i < 4; i++)
        world_settle(w, w->alarms[i], OUTCOME_EXPIRED, 0);
    assert_null(next(w, slot));
    queue_slot_close(slot);
    world_until(w, &w->settles, 5);
    assert_int_equal(world_count(w, 0).recipients, 0);
    world_free(w);
}

static void what_a_person_deletes_or_retries_is_not_lost_track_of(void **state)
{
    struct world *w = fetch_new(0);
    struct queue_filter f = { .to = SPAN("*@a.away") };
    struct queue_slot *slot;
    struct queue_work *held;

    (void)state;
    put_range(w, "a.away", 1, 9);
    put_range(w, "b.away", 21, 22);
    slot = fetch(w, "a.away", "b.away");
    held = next(w, slot);
    world_order(w, &f, CHANGE_HOLD);
    world_until(w, &w->answers, 1);
    assert_int_equal(w->count.messages, 8);
    world_settle(w, held, OUTCOME_DELIVERED, 0);
    take(w, slot, 21);
    world_order(w, &f, CHANGE_RELEASE);
    world_until(w, &w->answers, 2);
    world_order(w, &f, CHANGE_RETRY);
    world_until(w, &w->answers, 3);
    for (int i = 0; i < 9; i++) {
        held = next(w, slot);
        w->got[number_of(held)]++;
        world_settle(w, held, OUTCOME_DELIVERED, 0);
    }
    for (int i = 2; i <= 9; i++)
        assert_int_equal(w->got[i], 1);
    assert_null(next(w, slot));
    queue_slot_close(slot);
    world_settle_down(w);
    assert_int_equal(w->slot_count, 0);
    world_free(w);
}

static void a_retry_does_not_begin_what_is_only_reserved(void **state)
{
    struct world *w = fetch_new(0);
    struct queue_filter f = { .to = SPAN("*@a.away") };
    struct queue_slot *slot;

    (void)state;
    put_range(w, "a.away", 1, 3);
    slot = fetch(w, NULL, NULL);
    world_order(w, &f, CHANGE_RETRY);
    world_until(w, &w->answers, 1);
    world_settle_down(w);
    assert_int_equal(active(w), 0);
    take_to_the_end(w, slot, 1, 3);
    queue_slot_close(slot);
    world_free(w);
}

/* ----------------------------------------------------------------- pace ---- */

static double now_s(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static void drain(struct world *w, struct queue_slot *slot)
{
    struct queue_work *work;

    while ((work = queue_slot_next(slot, 50)))
        world_settle(w, work, OUTCOME_DELIVERED, 0);
}

static void a_fetched_backlog_leaves_as_fast_as_any(void **state)
{
    struct world *w = fetch_new(0);
    struct queue_slot *slot;
    double t0, t1, t2;

    (void)state;
    w->connections = 1;
    put_range(w, "b.away", 1, MANY);
    put_range(w, "a.away", 1, MANY);
    world_reopen(w);
    world_settle_down(w);
    w->opened = w->ready = drain;
    t0 = now_s();
    slot = fetch(w, "a.away", NULL);
    drain(w, slot);
    world_until(w, &w->settles, 1);
    t1 = now_s();
    world_until(w, &ended_count, 1);
    t2 = now_s();
    world_until(w, &w->settles, MANY);
    print_message("fetched: the first within %.1f ms, %.0f a second\n",
                  (t1 - t0) * 1e3, MANY / (t2 - t0));
    queue_slot_close(slot);
    t0 = now_s();
    assert_true(queue_release(w->q, SPAN("away")));
    world_until(w, &w->settles, MANY + 1);
    t1 = now_s();
    world_until(w, &w->settles, 2 * MANY);
    t2 = now_s();
    print_message("released: the first within %.1f ms, %.0f a second\n",
                  (t1 - t0) * 1e3, MANY / (t2 - t0));
    world_free(w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define T(name) cmocka_unit_test(name)
        T(a_customer_that_vanishes_in_the_middle_loses_nothing),
        T(a_slot_may_be_closed_while_its_last_word_is_being_written),
        T(a_failure_before_anything_was_asked_for_is_none),
        T(when_he_was_seen_is_remembered),
        T(going_down_ends_him),
        T(a_suspension_ends_him_and_refuses_the_next),
        T(a_suspension_ends_him_when_he_has_not_begun),
        T(a_lane_that_leads_elsewhere_now_is_his_no_more),
        T(other_routes_end_him_who_waits_to_be_read_for),
        T(routes_that_leave_nothing_end_him),
        T(a_window_that_opens_waits_until_he_is_gone),
        T(a_window_that_closes_does_not_disturb_him),
        T(after_a_restart_he_gets_what_is_found_meanwhile),
        T(after_a_restart_a_name_without_mail_ends_at_once),
        T(expiry_goes_on_but_not_for_what_he_is_being_given),
        T(when_the_rest_expires_he_is_done),
        T(what_a_person_deletes_or_retries_is_not_lost_track_of),
        T(a_retry_does_not_begin_what_is_only_reserved),
        T(a_fetched_backlog_leaves_as_fast_as_any),
#undef T
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
