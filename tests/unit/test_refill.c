/*
 * A backlog larger than memory: everything is found on disk, once, in order.
 */
#include "queue_world.h"

#include <inttypes.h>

static void put_number(struct world *w, const char *sender, const char *lane,
                       int number)
{
    char text[16];

    (void)snprintf(text, sizeof(text), "%d", number);
    world_put(w, sender, lane, text);
}

static void assert_each_once(const struct world *w, int n)
{
    for (int i = 0; i < n; i++)
        assert_int_equal(w->got[i], 1);
}

static void q8_a_backlog_larger_than_memory_drains_once(void **state)
{
    static const char *const lanes[] = { "a.group", "b.group", "one.test",
                                         "two.test" };
    static const char *const senders[] = { "s1", "s2", "s3" };
    struct world *w = world_new(100, true);
    struct queue_stats stats;
    enum { N = 5000 };

    (void)state;
    for (int i = 0; i < N; i++)
        put_number(w, senders[i % 3], lanes[i % 4], i);
    world_until(w, &w->puts_ok, N);
    queue_stats(w->q, &stats);
    assert_true(stats.active <= 100);
    w->opened = w->ready = world_take_all;
    while (w->slot_count)
        world_close_slot(w, w->slots[0]);
    world_until(w, &w->settles, N);
    assert_int_equal(w->removed, N);
    assert_each_once(w, N);
    assert_int_equal(world_count(w, 0).messages, 0);
    queue_stats(w->q, &stats);
    assert_int_equal(stats.active, 0);
    assert_int_equal(stats.cached_bytes, 0);
    world_free(w);
}

static void q3_q8_a_backlog_drains_after_a_restart_while_more_comes(
    void **state)
{
    struct world *w = world_new(100, true);
    enum { N = 3000 };

    (void)state;
    w->connections = 3;
    for (int i = 0; i < N / 2; i++)
        put_number(w, "s1", "example.org", i);
    world_until(w, &w->puts_ok, N / 2);
    w->opened = w->ready = world_take_all;
    world_reopen(w);
    for (int i = N / 2; i < N; i++)
        put_number(w, i % 2 ? "s1" : "s2", "example.org", i);
    world_until(w, &w->settles, N);
    assert_each_once(w, N);
    world_free(w);
}

/* Takes all and notes that each sender's messages came in order. */
static void take_in_order(struct world *w, struct queue_slot *slot)
{
    struct queue_work *work;

    queue_slot_connected(slot);
    while ((work = queue_slot_next(slot, 50))) {
        uint64_t *last = w->user;
        size_t who = (size_t)(work->envelope.client.at[1] - '0');

        assert_true(work->message > last[who]);
        last[who] = work->message;
        world_settle(w, work, OUTCOME_DELIVERED, 0);
    }
}

static void order_holds_for_each_sender_through_disk_and_back(void **state)
{
    struct world *w = world_new(100, true);
    uint64_t last[10] = { 0 };
    enum { N = 2000 };

    (void)state;
    w->connections = 1;
    w->user = last;
    w->opened = w->ready = take_in_order;
    for (int i = 0; i < N; i++)
        put_number(w, i % 5 ? "s1" : "s2", "example.org", i);
    world_until(w, &w->puts_ok, N / 2);
    for (int i = 0; i < N; i++)
        put_number(w, i % 7 ? "s2" : "s3", "example.org", i);
    world_until(w, &w->settles, 2 * (size_t)N);
    world_free(w);
}

static void a_mass_sender_leaves_room_for_another(void **state)
{
    struct world *w = world_new(200, true);
    size_t before = 0;

    (void)state;
    w->connections = 1;
    for (int i = 0; i < 3000; i++)
        put_number(w, "mass", "example.org", i);
    world_until(w, &w->puts_ok, 3000);
    put_number(w, "small", "example.org", 99999);
    world_until(w, &w->puts_ok, 3001);
    while (w->got[99999] == 0 && before < 3001) {
        struct queue_work *work = queue_slot_next(w->slots[0], 50);
        uint64_t n;

        assert_non_null(work);
        assert_true(span_number(work->content, &n));
        w->got[n]++;
        world_settle(w, work, OUTCOME_DELIVERED, 0);
        before++;
    }
    assert_true(before <= 3);
    world_free(w);
}

/* Content in memory is capped; what does not fit is loaded when it is wanted. */
static void a_small_cache_only_costs_reading(void **state)
{
    struct world *w = world_new(0, true);
    struct queue_stats stats;
    enum { N = 2000 };

    (void)state;
    world_close_queue(w);
    w->options.cache_bytes = 200;
    world_open_queue(w);
    for (int i = 0; i < N; i++)
        put_number(w, "s1", "example.org", i);
    world_until(w, &w->puts_ok, N);
    queue_stats(w->q, &stats);
    assert_true(stats.cached_bytes <= 200);
    assert_int_equal(stats.active, N);
    w->opened = w->ready = world_take_all;
    while (w->slot_count)
        world_close_slot(w, w->slots[0]);
    world_until(w, &w->settles, N);
    assert_each_once(w, N);
    world_free(w);
}

static void defer_all(struct world *w, struct queue_slot *slot)
{
    struct queue_work *work;

    queue_slot_connected(slot);
    while ((work = queue_slot_next(slot, 50)))
        world_settle(w, work, OUTCOME_DEFERRED, world_clock() + 60000);
}

static void what_was_deferred_is_due_again_all_of_it(void **state)
{
    struct world *w = world_new(100, true);
    enum { N = 1000 };

    (void)state;
    w->opened = w->ready = defer_all;
    for (int i = 0; i < N; i++)
        put_number(w, "s1", i % 2 ? "a.group" : "example.org", i);
    world_until(w, &w->settles, N);
    assert_int_equal(world_count(w, STATE_DEFERRED).messages, N);
    w->opened = w->ready = world_take_all;
    atomic_fetch_add(&world_now_ms, 60001);
    world_until(w, &w->settles, 2 * (size_t)N);
    assert_each_once(w, N);
    world_free(w);
}

/* ---------------------------------------------------------- by hand ---- */

static struct queue_count change(struct world *w, const struct queue_filter *f,
                                 enum queue_change what)
{
    world_order(w, f, what);
    world_until(w, &w->answers, w->answers + 1);
    assert_int_equal(w->last_rc, 0);
    return w->count;
}

static void held_mail_waits_until_it_is_released(void **state)
{
    struct world *w = world_new(0, true);
    struct queue_filter f = { .domain = SPAN("example.org") };
    enum { N = 500 };

    (void)state;
    w->connections = 1;
    for (int i = 0; i < N; i++)
        put_number(w, "s1", i % 2 ? "example.org" : "other.test", i);
    world_until(w, &w->puts_ok, N);
    assert_int_equal(change(w, &f, CHANGE_HOLD).messages, N / 2);
    w->opened = w->ready = world_take_all;
    for (size_t i = 0; i < w->slot_count; i++)
        world_take_all(w, w->slots[i]);
    world_until(w, &w->settles, N / 2);
    assert_int_equal(world_count(w, STATE_HELD).messages, N / 2);
    assert_int_equal(world_count(w, 0).messages, N / 2);
    assert_int_equal(change(w, &f, CHANGE_RELEASE).messages, N / 2);
    world_until(w, &w->settles, N);
    assert_each_once(w, N);
    world_free(w);
}

static void deleted_mail_can_be_undeleted_and_what_is_sent_is_left_alone(
    void **state)
{
    struct world *w = world_new(0, true);
    struct queue_filter all = { .states = 0 };
    struct queue_filter gone = { .states = STATE_DELETED };
    struct queue_work *work;

    (void)state;
    w->connections = 1;
    for (int i = 0; i < 10; i++)
        put_number(w, "s1", "example.org", i);
    world_until(w, &w->puts_ok, 10);
    world_until(w, &w->slot_count, 1);
    work = queue_slot_next(w->slots[0], 50);
    assert_int_equal(change(w, &all, CHANGE_DELETE).messages, 9);
    assert_null(queue_slot_next(w->slots[0], 50));
    world_settle(w, work, OUTCOME_DELIVERED, 0);
    world_until(w, &w->settles, 1);
    assert_int_equal(world_count(w, 0).messages, 0);
    w->opened = w->ready = world_take_all;
    assert_int_equal(change(w, &gone, CHANGE_UNDELETE).messages, 9);
    world_until(w, &w->settles, 10);
    world_free(w);
}

static void a_retry_makes_everything_due(void **state)
{
    struct world *w = world_new(100, true);
    struct queue_filter f = { .from = SPAN("*@s1") };
    enum { N = 600 };

    (void)state;
    w->opened = w->ready = defer_all;
    for (int i = 0; i < N; i++)
        put_number(w, "s1", "example.org", i);
    world_until(w, &w->settles, N);
    w->opened = w->ready = world_take_all;
    assert_int_equal(change(w, &f, CHANGE_RETRY).messages, N);
    world_until(w, &w->settles, 2 * (size_t)N);
    assert_each_once(w, N);
    world_free(w);
}

/* For later.test it is always too early. Of the others a fifth is deferred once and due
 * again at once, which has its lane read again. */
static void take_or_defer(struct world *w, struct queue_slot *slot)
{
    bool *was_deferred = w->user;
    struct queue_work *work;

    queue_slot_connected(slot);
    while ((work = queue_slot_next(slot, 50))) {
        uint64_t n;

        assert_true(span_number(work->content, &n));
        if (span_is(work->recipients[0].lane, SPAN("later.test"))) {
            world_settle(w, work, OUTCOME_DEFERRED, world_clock() + DAY_MS);
            continue;
        }
        if (n % 5 == 0 && !was_deferred[n]) {
            was_deferred[n] = true;
            world_settle(w, work, OUTCOME_DEFERRED, world_clock());
            continue;
        }
        w->got[n]++;
        world_settle(w, work, OUTCOME_DELIVERED, 0);
    }
}

/* The message stays for its other recipient, so nothing but the queue's memory of what
 * it has just settled keeps an old row from being taken for new. */
static void q4_what_is_read_again_while_it_is_settled_goes_out_once(
    void **state)
{
    static const char *const lanes[] = { "a.group", "later.test" };
    struct world *w = world_new(0, true);
    char text[16];
    enum { N = 10000 };

    (void)state;
    w->user = NEW_ARRAY(bool, N);
    w->opened = w->ready = take_or_defer;
    for (int i = 0; i < N; i++) {
        (void)snprintf(text, sizeof(text), "%d", i);
        world_put_many(w, "s1", lanes, 2, text, INT64_MAX);
    }
    world_until(w, &w->settles, 2 * (size_t)N + N / 5);
    assert_each_once(w, N);
    free(w->user);
    world_free(w);
}

static void what_slots_hold_is_not_read_again(void **state)
{
    struct world *w = world_new(0, true);
    struct queue_filter f = { .states = 0 };
    struct queue_work *held[5];
    enum { N = 50 };

    (void)state;
    for (int i = 0; i < N; i++)
        put_number(w, "s1", "example.org", i);
    world_until(w, &w->puts_ok, N);
    world_until(w, &w->slot_count, 5);
    for (int i = 0; i < 5; i++)
        assert_non_null(held[i] = queue_slot_next(w->slots[i], 50));
    (void)change(w, &f, CHANGE_RETRY);
    w->opened = w->ready = world_take_all;
    put_number(w, "s1", "other.test", N);
    world_until(w, &w->settles, 1);
    world_take_all(w, w->slots[0]);
    world_until(w, &w->settles, N - 4);
    for (int i = 0; i < 5; i++)
        assert_int_equal(w->got[i], 0);
    for (int i = 0; i < 5; i++) {
        w->got[i]++;
        world_settle(w, held[i], OUTCOME_DELIVERED, 0);
    }
    world_until(w, &w->settles, N + 1);
    assert_each_once(w, N);
    assert_int_equal(world_count(w, 0).messages, 0);
    world_free(w);
}

static void on_page(void *user, uint64_t token, int rc,
                    const struct queue_row *rows, size_t count,
                    uint64_t next_id)
{
    struct world *w = user;

    (void)token;
    assert_int_equal(rc, 0);
    for (size_t i = 0; i < count; i++) {
        assert_int_equal(rows[i].count, 1);
        assert_true(
            span_is(rows[i].recipients[0].address, SPAN("r0@example.org")));
        assert_true(rows[i].id > *(uint64_t *)w->user);
        *(uint64_t *)w->user = rows[i].id;
        w->count.messages++;
    }
    w->last_rc = next_id != 0;
    w->answers++;
}

static void a_list_comes_in_pages_sorted_by_id(void **state)
{
    struct world *w = world_new(0, true);
    struct queue_filter f = { .states = 0 };
    uint64_t last = 0;

    (void)state;
    w->connections = 1;
    for (int i = 0; i < 250; i++)
        put_number(w, "s1", "example.org", i);
    world_until(w, &w->puts_ok, 250);
    w->user = &last;
    do {
        queue_list(w->p, &f, last, 100, on_page, 0);
        world_until(w, &w->answers, w->answers + 1);
    } while (w->last_rc);
    assert_int_equal(w->count.messages, 250);
    world_free(w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(q8_a_backlog_larger_than_memory_drains_once),
        cmocka_unit_test(
            q3_q8_a_backlog_drains_after_a_restart_while_more_comes),
        cmocka_unit_test(order_holds_for_each_sender_through_disk_and_back),
        cmocka_unit_test(a_mass_sender_leaves_room_for_another),
        cmocka_unit_test(a_small_cache_only_costs_reading),
        cmocka_unit_test(what_was_deferred_is_due_again_all_of_it),
        cmocka_unit_test(held_mail_waits_until_it_is_released),
        cmocka_unit_test(
            deleted_mail_can_be_undeleted_and_what_is_sent_is_left_alone),
        cmocka_unit_test(a_retry_makes_everything_due),
        cmocka_unit_test(
            q4_what_is_read_again_while_it_is_settled_goes_out_once),
        cmocka_unit_test(what_slots_hold_is_not_read_again),
        cmocka_unit_test(a_list_comes_in_pages_sorted_by_id),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
