/*
 * Slots: how many, for whom, and what happens when a destination does not answer.
 */
#include "queue_world.h"

static int64_t backoff(void *user, unsigned n)
{
    struct world *w = user;

    w->got[n]++;
    return 60000 * (int64_t)n;
}

static void no_answer(struct world *w, struct queue_slot *slot)
{
    w->answers++;
    queue_slot_failed(slot, SPAN("4.4.1 no answer"), backoff, w);
    world_close_slot(w, slot);
}

static void open_is_five_at_first_and_grows_while_all_are_busy(void **state)
{
    struct world *w = world_new(0, true);
    struct queue_work *work;

    (void)state;
    for (int i = 0; i < 40; i++)
        world_put(w, "one.test", "example.org", "x");
    world_until(w, &w->puts_ok, 40);
    world_until(w, &w->slot_count, 5);
    assert_int_equal(w->slot_count, 5);
    for (int i = 0; i < 5; i++) {
        work = queue_slot_next(w->slots[0], 50);
        world_settle(w, work, OUTCOME_DELIVERED, 0);
    }
    world_until(w, &w->slot_count, 6);
    assert_int_equal(w->slot_count, 6);
    world_free(w);
}

static void a_parked_slot_is_woken_before_another_is_opened(void **state)
{
    struct world *w = world_new(0, true);

    (void)state;
    w->opened = w->ready = world_take_all;
    world_put(w, "one.test", "example.org", "1");
    world_until(w, &w->settles, 1);
    for (uint32_t i = 2; i <= 20; i++) {
        world_put(w, "one.test", "example.org", "1");
        world_until(w, &w->settles, i);
    }
    assert_int_equal(w->slot_count, 1);
    world_free(w);
}

/* The sender of each work, in the order in which they go out through one slot. */
static void take_turns(struct world *w, char *out, size_t n)
{
    world_until(w, &w->slot_count, 1);
    for (size_t i = 0; i < n; i++) {
        struct queue_work *work = queue_slot_next(w->slots[0], 50);

        assert_non_null(work);
        out[i] = work->envelope.client.at[0];
        world_settle(w, work, OUTCOME_DELIVERED, 0);
    }
    out[n] = '\0';
}

static void senders_take_turns_each_in_order_of_arrival(void **state)
{
    struct world *w = world_new(0, true);
    uint64_t last = 0;
    char turns[8];

    (void)state;
    w->connections = 1;
    for (int i = 0; i < 4; i++)
        world_put(w, "a", "example.org", "x");
    world_put(w, "b", "example.org", "x");
    world_put(w, "c", "example.org", "x");
    world_until(w, &w->puts_ok, 6);
    take_turns(w, turns, 4);
    assert_string_equal(turns, "abca");
    for (int i = 0; i < 2; i++) {
        struct queue_work *work = queue_slot_next(w->slots[0], 50);

        assert_true(work->message > last);
        last = work->message;
        world_settle(w, work, OUTCOME_DELIVERED, 0);
    }
    world_until(w, &w->settles, 6);
    world_free(w);
}

static void priority_goes_first_and_nobody_starves(void **state)
{
    static const struct {
        const char *who;
        int priority, count;
    } puts[] = { { "n", 0, 3 }, { "l", -3, 1 }, { "u", 4, 8 } };
    struct world *w = world_new(0, true);
    char turns[16];

    (void)state;
    w->connections = 1;
    for (size_t i = 0; i < 3; i++) {
        w->priority = puts[i].priority;
        for (int k = 0; k < puts[i].count; k++)
            world_put(w, puts[i].who, "example.org", "x");
    }
    world_until(w, &w->puts_ok, 12);
    take_turns(w, turns, 12);
    assert_string_equal(turns, "uuuuuuulunnn"); /* each eighth from below */
    world_until(w, &w->settles, 12);
    world_free(w);
}

static void no_two_slots_hold_the_same_recipient(void **state)
{
    struct world *w = world_new(0, true);
    struct queue_work *held[20];
    size_t n = 0;

    (void)state;
    for (int i = 0; i < 20; i++)
        world_put(w, "a", "example.org", "x");
    world_until(w, &w->puts_ok, 20);
    world_until(w, &w->slot_count, 5);
    for (size_t i = 0; i < 20; i++)
        if ((held[n] = queue_slot_next(w->slots[i % 5], 50)))
            n++;
    assert_int_equal(n, 20);
    for (size_t i = 0; i < n; i++)
        for (size_t j = 0; j < i; j++)
            assert_int_not_equal(held[i]->message, held[j]->message);
    assert_int_equal(world_count(w, STATE_ACTIVE).recipients, 20);
    for (size_t i = 0; i < n; i++)
        world_settle(w, held[i], OUTCOME_DELIVERED, 0);
    world_until(w, &w->settles, 20);
    world_free(w);
}

static void a_cohort_of_failures_makes_it_rest_then_one_probe(void **state)
{
    struct world *w = world_new(0, true);
    struct queue_stats stats;

    (void)state;
    w->opened = no_answer;
    for (int i = 0; i < 50; i++)
        world_put(w, "a", "example.org", "1");
    world_until(w, &w->answers, 5);
    world_until(w, &w->puts_ok, 50);
    queue_stats(w->q, &stats);
    assert_int_equal(stats.destinations_down, 1);
    assert_int_equal(stats.slots, 0);
    assert_int_equal(w->got[1], 1);
    /* First probe: rests longer. Each is alone. */
    w->opened = NULL;
    atomic_fetch_add(&world_now_ms, 60001);
    world_until(w, &w->slot_count, 1);
    assert_non_null(queue_slot_lane(w->slots[0]).at);
    (void)world_count(w, 0);
    assert_int_equal(w->slot_count, 1);
    no_answer(w, w->slots[0]);
    assert_int_equal(w->got[2], 1);
    /* Second probe: one work, and with its greeting all wakes. */
    atomic_fetch_add(&world_now_ms, 120001);
    world_until(w, &w->slot_count, 1);
    w->opened = w->ready = world_take_all;
    world_take_all(w, w->slots[0]);
    world_until(w, &w->settles, 50);
    queue_stats(w->q, &stats);
    assert_int_equal(stats.destinations_down, 0);
    world_free(w);
}

static void the_probe_is_given_one_work_until_it_is_greeted(void **state)
{
    struct world *w = world_new(0, true);
    struct queue_work *work;

    (void)state;
    w->connections = 1;
    w->opened = no_answer;
    world_put(w, "a", "example.org", "1");
    world_put(w, "a", "example.org", "1");
    world_until(w, &w->puts_ok, 2);
    world_until(w, &w->answers, 1);
    w->opened = NULL;
    atomic_fetch_add(&world_now_ms, 60001);
    world_until(w, &w->slot_count, 1);
    work = queue_slot_next(w->slots[0], 50);
    assert_non_null(work);
    assert_null(queue_slot_next(w->slots[0], 50));
    world_settle(w, work, OUTCOME_FREED, 0);
    queue_slot_connected(w->slots[0]);
    w->ready = world_take_all;
    world_take_all(w, w->slots[0]);
    world_until(w, &w->settles, 3);
    world_free(w);
}

static void a_rest_survives_a_restart(void **state)
{
    struct world *w = world_new(0, true);
    struct queue_stats stats;

    (void)state;
    w->connections = 1;
    w->opened = no_answer;
    world_put(w, "a", "example.org", "1");
    world_until(w, &w->answers, 1);
    world_until(w, &w->puts_ok, 1);
    world_reopen(w);
    queue_stats(w->q, &stats);
    assert_int_equal(stats.destinations_down, 1);
    (void)world_count(w, 0);
    assert_int_equal(w->answers, 2);
    atomic_fetch_add(&world_now_ms, 60001);
    w->opened = w->ready = world_take_all;
    world_until(w, &w->settles, 1);
    world_free(w);
}

static void a_dead_destination_does_not_stop_another(void **state)
{
    struct world *w = world_new(100, true);
    struct queue_stats stats;

    (void)state;
    w->connections = 1;
    w->opened = no_answer;
    world_put(w, "a", "dead.test", "1");
    world_until(w, &w->answers, 1);
    for (int i = 0; i < 500; i++)
        world_put(w, "a", "dead.test", "1");
    world_until(w, &w->puts_ok, 501);
    queue_stats(w->q, &stats);
    assert_true(stats.active <= 50);
    w->opened = w->ready = world_take_all;
    for (int i = 0; i < 20; i++)
        world_put(w, "a", "alive.test", "2");
    world_until(w, &w->settles, 20);
    assert_int_equal(w->got[2], 20);
    assert_int_equal(world_count(w, 0).messages, 501);
    world_free(w);
}

static void a_retry_by_hand_ends_the_rest(void **state)
{
    struct world *w = world_new(0, true);
    struct queue_filter f = { .domain = SPAN("example.org") };

    (void)state;
    w->connections = 1;
    w->opened = no_answer;
    world_put(w, "a", "example.org", "1");
    world_until(w, &w->answers, 1);
    world_until(w, &w->puts_ok, 1);
    w->opened = w->ready = world_take_all;
    world_order(w, &f, CHANGE_RETRY);
    world_until(w, &w->settles, 1);
    world_free(w);
}

/* example.org is down with n messages; nothing is ever tried for them. */
static struct world *world_with_rest(int n)
{
    struct world *w = world_new(0, true);

    w->connections = 1;
    w->opened = no_answer;
    for (int i = 0; i < n; i++)
        world_put(w, i % 2 ? "b" : "a", "example.org", "1");
    world_until(w, &w->answers, 1);
    world_until(w, &w->puts_ok, (size_t)n);
    return w;
}

static struct queue_count count_of(struct world *w, struct queue_filter f)
{
    queue_count(w->p, &f, world_on_count, 1);
    world_until(w, &w->answers, w->answers + 1);
    assert_int_equal(w->last_rc, 0);
    return w->count;
}

static struct queue_count retry_of(struct world *w, struct queue_filter f)
{
    world_order(w, &f, CHANGE_RETRY);
    world_until(w, &w->answers, w->answers + 1);
    assert_int_equal(w->last_rc, 0);
    return w->count;
}

static void on_resting_page(void *user, uint64_t token, int rc,
                            const struct queue_row *rows, size_t count,
                            uint64_t next_id)
{
    struct world *w = user;

    (void)token;
    assert_int_equal(rc, 0);
    assert_int_equal(next_id, 0);
    assert_int_equal(count, 3);
    for (size_t i = 0; i < count; i++) {
        const struct queue_row_recipient *r = rows[i].recipients;

        assert_int_equal(rows[i].state, STATE_DEFERRED);
        assert_int_equal(r->state, STATE_DEFERRED);
        assert_int_equal(r->attempts, 0);
        assert_int_equal(r->due_ms, world_clock() + 60000);
        assert_true(span_is(r->reason, SPAN("4.4.1 no answer")));
    }
    w->answers++;
}

static void mail_shows_why_it_waits_for_what_is_down(void **state)
{
    struct world *w = world_with_rest(3);
    struct queue_filter all = { 0 };

    (void)state;
    queue_list(w->p, &all, 0, 10, on_resting_page, 0);
    world_until(w, &w->answers, w->answers + 1);
    assert_int_equal(world_count(w, STATE_READY).messages, 0);
    assert_int_equal(world_count(w, STATE_DEFERRED).messages, 3);
    assert_int_equal(
        count_of(w, (struct queue_filter){ .reason = SPAN("*No Answer*") })
            .messages,
        3);
    assert_int_equal(
        count_of(w, (struct queue_filter){ .reason = SPAN("*refused*") })
            .messages,
        0);
    w->opened = w->ready = world_take_all;
    assert_int_equal(retry_of(w, all).messages, 3);
    world_until(w, &w->settles, 3);
    assert_int_equal(world_count(w, 0).messages, 0);
    world_free(w);
}

/* More than a slice of the order: the rest ends only after the last one. */
static void a_retry_by_reason_finds_all_that_its_preview_counted(void **state)
{
    struct world *w = world_with_rest(450);
    struct queue_filter f = { .reason = SPAN("4.4.1*"),
                              .states = STATE_DEFERRED };

    (void)state;
    assert_int_equal(count_of(w, f).messages, 450);
    w->opened = w->ready = world_take_all;
    assert_int_equal(retry_of(w, f).messages, 450);
    world_until(w, &w->settles, 450);
    world_free(w);
}

static void a_retry_ends_the_rest_of_what_it_means_only(void **state)
{
    struct world *w = world_with_rest(1);
    struct queue_stats stats;

    (void)state;
    world_put(w, "c", "other.test", "1");
    world_until(w, &w->answers, 2);
    world_until(w, &w->puts_ok, 2);
    queue_stats(w->q, &stats);
    assert_int_equal(stats.destinations_down, 2);
    w->opened = w->ready = world_take_all;
    assert_int_equal(
        retry_of(w, (struct queue_filter){ .from = SPAN("*@c") }).messages, 1);
    world_until(w, &w->settles, 1);
    queue_stats(w->q, &stats);
    assert_int_equal(stats.destinations_down, 1);
    assert_int_equal(world_count(w, STATE_DEFERRED).messages, 1);
    world_free(w);
}

/* One probe for an order, however many slices it takes. */
static void a_retry_in_vain_shows_the_new_rest(void **state)
{
    struct world *w = world_with_rest(450);
    size_t before;

    (void)state;
    before = w->answers;
    world_order(w, &(struct queue_filter){ 0 }, CHANGE_RETRY);
    world_until(w, &w->answers, before + 2);
    assert_int_equal(w->got[2], 1);
    assert_int_equal(world_count(w, STATE_DEFERRED).messages, 450);
    assert_int_equal(w->got[3], 0);
    world_free(w);
}

static void slots_go_to_the_port_with_the_fewest(void **state)
{
    struct world *w = world_new(0, true);
    struct world *other = NEW(struct world);

    (void)state;
    *other = *w;
    pthread_mutex_init(&other->lock, NULL);
    pthread_cond_init(&other->cond, NULL);
    other->p = queue_port_open(w->q, &world_events, other);
    for (int i = 0; i < 4; i++)
        world_put(w, "a", "example.org", "x");
    world_until(w, &w->puts_ok, 4);
    world_until(w, &w->slot_count, 2);
    world_until(other, &other->slot_count, 2);
    while (other->slot_count)
        world_close_slot(other, other->slots[0]);
    queue_port_close(other->p);
    free(other);
    world_free(w);
}

static void reroute_moves_what_waits(void **state)
{
    struct world *w = world_new(0, true);

    (void)state;
    w->connections = 1;
    world_put(w, "a", "x.other", "1");
    world_put(w, "a", "x.group", "1");
    world_until(w, &w->slot_count, 2);
    world_until(w, &w->puts_ok, 2);
    w->opened = w->ready = world_take_all;
    w->connections = 7;
    queue_reroute(w->q, world_route, w);
    while (w->slot_count)
        world_close_slot(w, w->slots[0]);
    world_until(w, &w->settles, 2);
    world_free(w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(open_is_five_at_first_and_grows_while_all_are_busy),
        cmocka_unit_test(a_parked_slot_is_woken_before_another_is_opened),
        cmocka_unit_test(senders_take_turns_each_in_order_of_arrival),
        cmocka_unit_test(priority_goes_first_and_nobody_starves),
        cmocka_unit_test(no_two_slots_hold_the_same_recipient),
        cmocka_unit_test(a_cohort_of_failures_makes_it_rest_then_one_probe),
        cmocka_unit_test(the_probe_is_given_one_work_until_it_is_greeted),
        cmocka_unit_test(a_rest_survives_a_restart),
        cmocka_unit_test(a_dead_destination_does_not_stop_another),
        cmocka_unit_test(a_retry_by_hand_ends_the_rest),
        cmocka_unit_test(mail_shows_why_it_waits_for_what_is_down),
        cmocka_unit_test(a_retry_by_reason_finds_all_that_its_preview_counted),
        cmocka_unit_test(a_retry_ends_the_rest_of_what_it_means_only),
        cmocka_unit_test(a_retry_in_vain_shows_the_new_rest),
        cmocka_unit_test(slots_go_to_the_port_with_the_fewest),
        cmocka_unit_test(reroute_moves_what_waits),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
