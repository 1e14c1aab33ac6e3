/*
 * A customer who fetches a destination's mail over a connection of his own.
 */
#include "turn_world.h"

enum { MANY = 10000 };

/* ------------------------------------------------------------- the gist ---- */

static void a_customer_is_given_the_mail_of_his_lanes_in_order_and_no_other(
    void **state)
{
    struct world *w = fetch_new(400); /* much less than there is */
    struct queue_slot *slot;

    (void)state;
    for (int i = 1; i <= MANY / 2; i += 500) {
        put_range(w, "b.away", i, i + 499);
        put_range(w, "a.away", i, i + 499);
    }
    slot = fetch(w, "a.away", NULL);
    queue_slot_connected(slot);
    assert_true(span_is(queue_slot_destination(slot), SPAN("away")));
    take_to_the_end(w, slot, 1, MANY / 2);
    queue_slot_close(slot);
    assert_false(queue_lane_waits(w->q, SPAN("a.away")));
    assert_int_equal(look(w, "away").row.waiting, MANY / 2);
    assert_int_equal(look(w, "away").row.state, DESTINATION_OFFLINE);
    slot = fetch(w, NULL, NULL);
    take_to_the_end(w, slot, 1, MANY / 2);
    queue_slot_close(slot);
    assert_int_equal(w->slot_count, 0);
    assert_int_equal(world_count(w, 0).recipients, 0);
    world_free(w);
}

static void nothing_happens_between_the_reservation_and_the_first_question(
    void **state)
{
    struct world *w = fetch_new(0);
    struct queue_slot *slot;
    struct queue_stats stats;

    (void)state;
    put_range(w, "a.away", 1, 20);
    slot = fetch(w, NULL, NULL);
    world_settle_down(w);
    put(w, "a.away", 21);
    world_settle_down(w);
    queue_stats(w->q, &stats);
    assert_int_equal(stats.active, 0);
    assert_int_equal(stats.cached_bytes, 0);
    assert_int_equal(stats.slots, 1);
    assert_int_equal(ended_count, 0);
    assert_true(look(w, "away").row.is_fetched);
    assert_int_equal(look(w, "away").row.state, DESTINATION_OFFLINE);
    take_to_the_end(w, slot, 1, 21);
    queue_slot_close(slot);
    assert_false(look(w, "away").row.is_fetched);
    world_free(w);
}

static void a_reservation_given_back_unused_changes_nothing(void **state)
{
    struct world *w = fetch_new(0);

    (void)state;
    put_range(w, "a.away", 1, 20);
    queue_slot_close(fetch(w, "a.away", NULL));
    world_settle_down(w);
    assert_int_equal(active(w), 0);
    assert_int_equal(look(w, "away").row.state, DESTINATION_OFFLINE);
    assert_int_equal(look(w, "away").row.last_good_ms, 0);
    assert_int_equal(look(w, "away").row.waiting, 20);
    world_free(w);
}

static void who_has_no_mail_is_told_so(void **state)
{
    struct world *w = fetch_new(0);
    struct queue_slot *slot = NULL;

    (void)state;
    world_settle_down(w);
    assert_int_equal(turn(w, "away", NULL, NULL, &slot), QUEUE_TURN_EMPTY);
    put(w, "a.away", 1);
    put(w, "b.group", 2);
    assert_int_equal(turn(w, "away", "b.away", NULL, &slot), QUEUE_TURN_EMPTY);
    assert_int_equal(turn(w, "away", "b.group", NULL, &slot), QUEUE_TURN_EMPTY);
    assert_int_equal(turn(w, "nobody", NULL, NULL, &slot), QUEUE_TURN_EMPTY);
    assert_int_equal(turn(w, "nobody", "a.away", NULL, &slot),
                     QUEUE_TURN_EMPTY);
    assert_null(slot);
    slot = fetch(w, "b.away", "a.away");
    take_to_the_end(w, slot, 1, 1);
    queue_slot_close(slot);
    assert_int_equal(turn(w, "away", NULL, NULL, &slot), QUEUE_TURN_EMPTY);
    world_free(w);
}

static void of_two_customers_the_second_is_told_that_it_is_taken(void **state)
{
    struct world *w = fetch_new(0);
    struct queue_slot *first, *second = NULL;

    (void)state;
    put(w, "a.away", 1);
    put(w, "b.away", 1);
    first = fetch(w, "a.away", NULL);
    assert_int_equal(turn(w, "away", "a.away", NULL, &second),
                     QUEUE_TURN_TAKEN);
    assert_int_equal(turn(w, "away", "b.away", NULL, &second),
                     QUEUE_TURN_TAKEN);
    assert_int_equal(turn(w, "away", NULL, NULL, &second), QUEUE_TURN_TAKEN);
    take_to_the_end(w, first, 1, 1);
    assert_int_equal(turn(w, "away", "b.away", NULL, &second),
                     QUEUE_TURN_TAKEN);
    queue_slot_close(first);
    take_to_the_end(w, second = fetch(w, "b.away", NULL), 1, 1);
    queue_slot_close(second);
    world_free(w);
}

static void several_destinations_are_reserved_and_worked_through(void **state)
{
    struct world *w = fetch_new(0);
    struct queue_slot *slot[3];

    (void)state;
    w->connections = 1;
    put_range(w, "a.away", 1, 10);
    assert_true(
        queue_suspend(w->q, SPAN("b.group"), INT64_MAX, SPAN("nothing")));
    put_range(w, "x.org", 1,
              3); /* its slot was told of, and has asked nothing */
    put_range(w, "b.group", 1, 10);
    slot[0] = fetch(w, NULL, NULL);
    assert_int_equal(turn(w, "group", NULL, NULL, &slot[1]), QUEUE_TURNED);
    assert_int_equal(turn(w, "x.org", NULL, NULL, &slot[2]), QUEUE_TURNED);
    take_to_the_end(w, slot[0], 1, 10);
    queue_slot_close(slot[0]);
    take_to_the_end(w, slot[1], 1, 10);
    queue_slot_close(slot[1]);
    take_to_the_end(w, slot[2], 1, 3);
    queue_slot_close(slot[2]);
    world_free(w);
}

static void mail_that_arrives_meanwhile_goes_out_if_it_is_of_his_lanes(
    void **state)
{
    struct world *w = fetch_new(0);
    struct queue_slot *slot;
    struct queue_work *work;

    (void)state;
    put(w, "a.away", 1);
    slot = fetch(w, "a.away", "new.away");
    work = next(w, slot);
    put(w, "b.away", 99);
    put(w, "a.away", 2);
    put(w, "new.away", 3);
    world_settle(w, work, OUTCOME_DELIVERED, 0);
    take_to_the_end(w, slot, 2, 3);
    put(w, "a.away", 4); /* too late for him */
    assert_null(queue_slot_next(slot, 50));
    queue_slot_close(slot);
    world_settle_down(w);
    assert_int_equal(look(w, "away").row.waiting, 2);
    assert_int_equal(active(w), 0);
    slot = fetch(w, "a.away", NULL);
    take_to_the_end(w, slot, 4, 4);
    queue_slot_close(slot);
    world_free(w);
}

static void a_message_for_two_lanes_is_fetched_in_two_parts(void **state)
{
    static const char *const lanes[] = { "a.away", "b.away", "a.away" };
    struct world *w = fetch_new(0);
    struct queue_slot *slot;
    struct queue_work *work;

    (void)state;
    world_put_many(w, "one.test", lanes, 3, "1", INT64_MAX);
    world_until(w, &w->puts_ok, 1);
    slot = fetch(w, "a.away", NULL);
    work = next(w, slot);
    assert_int_equal(work->count, 2);
    assert_int_equal(work->recipients[1].number, 2);
    world_put_many(w, "one.test", lanes, 3, "2", INT64_MAX);
    world_until(w, &w->puts_ok, 2);
    world_settle(w, work, OUTCOME_DELIVERED, 0);
    take_to_the_end(w, slot, 2, 2);
    queue_slot_close(slot);
    slot = fetch(w, "b.away", NULL);
    take_to_the_end(w, slot, 1, 2);
    queue_slot_close(slot);
    world_free(w);
}

static void what_he_defers_does_not_keep_him_and_is_his_when_he_asks_again(
    void **state)
{
    struct world *w = fetch_new(0);
    struct queue_slot *slot;

    (void)state;
    put_range(w, "a.away", 1, 2);
    for (int again = 0; again < 3; again++) {
        slot = fetch(w, NULL, NULL);
        world_settle(w, next(w, slot), OUTCOME_DEFERRED,
                     world_clock() + 60000);
        if (again == 0)
            take(w, slot, 2);
        assert_null(next(w, slot)); /* not before he asks */
        world_until(w, &ended_count, 1);
        ended_count = 0;
        queue_slot_close(slot);
        assert_true(queue_lane_waits(w->q, SPAN("a.away")));
    }
    slot = fetch(w, NULL, NULL);
    take_to_the_end(w, slot, 1, 1);
    queue_slot_close(slot);
    world_free(w);
}

static void others_deferrals_are_not_hastened_for_him(void **state)
{
    struct world *w = fetch_new(0);
    struct queue_slot *slot;

    (void)state;
    put_range(w, "a.away", 1, 1);
    put_range(w, "b.away", 2, 2);
    slot = fetch(w, NULL, NULL);
    for (int i = 0; i < 2; i++)
        world_settle(w, next(w, slot), OUTCOME_DEFERRED,
                     world_clock() + 60000);
    assert_null(next(w, slot));
    world_until(w, &ended_count, 1);
    queue_slot_close(slot);
    ended_count = 0;
    slot = fetch(w, "a.away", NULL);
    take_to_the_end(w, slot, 1, 1);
    queue_slot_close(slot);
    ended_count = 0;
    slot = fetch(w, "b.away", NULL);
    take_to_the_end(w, slot, 2, 2);
    queue_slot_close(slot);
    world_free(w);
}

static void a_release_makes_due_what_was_deferred(void **state)
{
    struct world *w = fetch_new(0);
    struct queue_slot *slot;

    (void)state;
    put_range(w, "a.away", 1, 1);
    slot = fetch(w, NULL, NULL);
    world_settle(w, next(w, slot), OUTCOME_DEFERRED, world_clock() + 60000);
    assert_null(next(w, slot));
    world_until(w, &ended_count, 1);
    queue_slot_close(slot);
    world_settle_down(w);
    w->opened = w->ready = others_take_all;
    assert_true(queue_release(w->q, SPAN("away")));
    world_until(w, &w->removed, 1);
    wait_offline(w);
    world_free(w);
}

/* ----------------------------------------------------------- other paths ---- */

static void no_release_or_probe_opens_a_second_path(void **state)
{
    struct world *w = fetch_new(0);
    struct queue_slot *slot;

    (void)state;
    w->probe_ms = 600000;
    put_range(w, "a.away", 1, 5);
    put_range(w, "b.away", 1, 5);
    slot = fetch(w, "a.away", NULL);
    atomic_fetch_add(&world_now_ms, 600001);
    world_settle_down(w);
    take(w, slot, 1);
    assert_true(queue_probe(w->q, SPAN("away")));
    atomic_fetch_add(&world_now_ms, 600001);
    world_settle_down(w);
    assert_int_equal(w->slot_count, 0);
    assert_in_range(active(w), 0, 5);
    take_to_the_end(w, slot, 2, 5);
    queue_slot_close(slot);
    world_settle_down(w);
    assert_int_equal(w->slot_count, 0);
    assert_int_equal(look(w, "away").row.due_ms, world_clock() + 600000);
    w->opened = w->ready = others_take_all;
    atomic_fetch_add(&world_now_ms, 600001);
    world_until(w, &w->settles, 10);
    world_free(w);
}

static void a_release_meanwhile_counts_when_he_is_gone(void **state)
{
    struct world *w = fetch_new(0);
    struct queue_slot *slot;

    (void)state;
    put_range(w, "a.away", 1, 5);
    put_range(w, "b.away", 1, 5);
    slot = fetch(w, "a.away", NULL);
    take(w, slot, 1);
    assert_true(queue_release(w->q, SPAN("away")));
    world_settle_down(w);
    assert_int_equal(w->slot_count, 0);
    take_to_the_end(w, slot, 2, 5);
    w->opened = w->ready = others_take_all;
    queue_slot_close(slot);
    world_until(w, &w->settles, 10);
    wait_offline(w);
    world_free(w);
}

static void a_release_under_way_ends_when_he_comes(void **state)
{
    struct world *w = fetch_new(0);
    struct queue_work *work;
    struct queue_slot *slot, *other;

    (void)state;
    w->connections = 1;
    put_range(w, "a.away", 1, 10);
    assert_true(queue_release(w->q, SPAN("away")));
    world_until(w, &w->slot_count, 1);
    other = w->slots[0];
    queue_slot_connected(other);
    work = queue_slot_next(other, 50);
    assert_non_null(work);
    slot = fetch(w, NULL, NULL);
    take(w, slot, 2);
    world_settle(w, work, OUTCOME_DELIVERED, 0);
    assert_null(queue_slot_next(other, 50));
    world_settle_down(w);
    assert_int_equal(w->slot_count, 0); /* it was told to go */
    take(w, slot, 3);
    queue_slot_close(slot);
    world_settle_down(w);
    assert_int_equal(w->slot_count, 0);
    assert_int_equal(look(w, "away").row.state, DESTINATION_OFFLINE);
    assert_int_equal(look(w, "away").row.waiting, 7);
    slot = fetch(w, NULL, NULL);
    take_to_the_end(w, slot, 4, 10);
    queue_slot_close(slot);
    world_free(w);
}

static void what_another_slot_frees_goes_to_him(void **state)
{
    struct world *w = fetch_new(0);
    struct queue_work *work;
    struct queue_slot *slot;

    (void)state;
    w->connections = 1;
    put_range(w, "a.away", 1, 2);
    assert_true(queue_release(w->q, SPAN("away")));
    world_until(w, &w->slot_count, 1);
    work = queue_slot_next(w->slots[0], 50);
    assert_non_null(work);
    slot = fetch(w, NULL, NULL);
    take(w, slot, 2);
    world_settle(w, work, OUTCOME_FREED, 0);
    world_close_slot(w, w->slots[0]);
    take_to_the_end(w, slot, 1, 1);
    queue_slot_close(slot);
    world_free(w);
}

static void what_need_not_be_fetched_goes_on_as_before_when_he_is_gone(
    void **state)
{
    struct world *w = fetch_new(0);
    struct queue_slot *slot;

    (void)state;
    w->is_on_demand = false;
    put_range(w, "a.away", 1, 20);
    put_range(w, "b.away", 1, 20);
    world_until(w, &w->slot_count, 5);
    slot = fetch(w, "a.away", NULL);
    queue_slot_connected(w->slots[0]);
    assert_null(queue_slot_next(w->slots[0], 50));
    assert_null(queue_slot_next(w->slots[1], 50));
    world_settle_down(w);
    assert_int_equal(w->slot_count, 3);
    take(w, slot, 1);
    put(w, "b.away", 21);
    take(w, slot, 2);
    world_settle_down(w);
    assert_int_equal(active(w), 18); /* of b.away there is nothing */
    w->opened = w->ready = others_take_all;
    assert_int_equal(w->slot_count, 3);
    queue_slot_close(slot);
    while (w->slot_count)
        world_close_slot(w, w->slots[0]);
    world_until(w, &w->settles, 41);
    assert_int_equal(look(w, "away").row.waiting, 0);
    world_free(w);
}

static void slots_that_nobody_was_told_of_are_taken_back(void **state)
{
    struct world *w = fetch_new(0);
    struct queue_slot *slot;

    (void)state;
    put_range(w, "a.away", 1, 3);
    assert_true(queue_release(w->q, SPAN("away")));
    for (int i = 0; look(w, "away").row.slots < 3; i++) {
        struct timespec t = { .tv_nsec = 1000000 };

        assert_true(i < WORLD_PATIENCE_S * 1000);
        nanosleep(&t, NULL); /* and nobody is told */
    }
    slot = fetch(w, NULL, NULL);
    assert_int_equal(look(w, "away").row.slots, 1);
    world_settle_down(w);
    assert_int_equal(w->slot_count, 0);
    queue_slot_close(slot);
    world_free(w);
}

static void what_rests_is_fetched_and_rests_on(void **state)
{
    struct world *w = fetch_new(0);
    struct queue_slot *slot;

    (void)state;
    w->is_on_demand = false;
    w->connections = 1;
    put_range(w, "a.away", 1, 20);
    world_until(w, &w->slot_count, 1);
    queue_slot_failed(w->slots[0], SPAN("4.4.1 no answer"), backoff, w);
    world_close_slot(w, w->slots[0]);
    assert_int_equal(look(w, "away").row.state, DESTINATION_RESTING);
    slot = fetch(w, NULL, NULL);
    queue_slot_connected(slot);
    take(w, slot, 1);
    atomic_fetch_add(&world_now_ms, 60001);
    world_settle_down(w);
    assert_int_equal(w->slot_count, 0);
    take(w, slot, 2);
    queue_slot_close(slot);
    w->opened = w->ready = others_take_all;
    world_until(w, &w->settles, 20);
    assert_int_equal(w->got[3], 1);
    world_free(w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define T(name) cmocka_unit_test(name)
        T(a_customer_is_given_the_mail_of_his_lanes_in_order_and_no_other),
        T(nothing_happens_between_the_reservation_and_the_first_question),
        T(a_reservation_given_back_unused_changes_nothing),
        T(who_has_no_mail_is_told_so),
        T(of_two_customers_the_second_is_told_that_it_is_taken),
        T(several_destinations_are_reserved_and_worked_through),
        T(mail_that_arrives_meanwhile_goes_out_if_it_is_of_his_lanes),
        T(a_message_for_two_lanes_is_fetched_in_two_parts),
        T(what_he_defers_does_not_keep_him_and_is_his_when_he_asks_again),
        T(others_deferrals_are_not_hastened_for_him),
        T(a_release_makes_due_what_was_deferred),
        T(no_release_or_probe_opens_a_second_path),
        T(a_release_meanwhile_counts_when_he_is_gone),
        T(a_release_under_way_ends_when_he_comes),
        T(what_another_slot_frees_goes_to_him),
        T(what_need_not_be_fetched_goes_on_as_before_when_he_is_gone),
        T(slots_that_nobody_was_told_of_are_taken_back),
        T(what_rests_is_fetched_and_rests_on),
#undef T
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
