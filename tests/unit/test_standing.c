/*
 * Destinations that wait until somebody wants their mail, suspensions, and how much
 * waits.
 */
#include "queue_world.h"

#include <sqlite3.h>

enum { BACKLOG = 20000 };

static int64_t backoff(void *user, unsigned n)
{
    (void)user;
    return 60000 * (int64_t)n;
}

static size_t failures;

static void no_answer(struct world *w, struct queue_slot *slot)
{
    failures++;
    queue_slot_failed(slot, SPAN("4.4.1 no answer"), backoff, w);
    world_close_slot(w, slot);
}

static void set_clock(int64_t by_ms)
{
    atomic_fetch_add(&world_now_ms, by_ms);
}

static struct world *away_new(uint32_t active_most, int64_t probe_ms)
{
    struct world *w = world_new(active_most, true);

    w->is_on_demand = true;
    w->probe_ms = probe_ms;
    return w;
}

static bool is_last(struct queue_slot *slot)
{
    return span_is(queue_slot_destination(slot), SPAN("last.test"));
}

static void down(struct world *w, struct queue_slot *slot)
{
    if (!is_last(slot))
        return;
    queue_slot_failed(slot, SPAN("4.4.1 no answer"), backoff, w);
    world_close_slot(w, slot);
}

static void up(struct world *w, struct queue_slot *slot)
{
    (void)w;
    if (is_last(slot))
        queue_slot_connected(slot);
}

struct rows {
    struct queue_destination_row at[8];
    char name[8][32], error[8][128];
    size_t count;
};

static void each_row(void *user, const struct queue_destination_row *row)
{
    struct rows *r = user;

    assert_true(r->count < 8);
    r->at[r->count] = *row;
    (void)snprintf(r->name[r->count], 32, "%.*s", SPAN_FMT(row->name));
    (void)snprintf(r->error[r->count], 128, "%.*s", SPAN_FMT(row->error));
    r->count++;
}

static const struct queue_destination_row *find(struct world *w, struct rows *r,
                                                const char *name)
{
    size_t n;

    *r = (struct rows){ 0 };
    n = queue_destinations(w->q, 0, 8, each_row, r);
    assert_int_equal(n, r->count);
    for (size_t i = 0; i < r->count; i++)
        if (strcmp(r->name[i], name) == 0)
            return &r->at[i];
    return NULL;
}

static enum queue_destination_state state_of(struct world *w, const char *name)
{
    struct rows r;
    const struct queue_destination_row *row = find(w, &r, name);

    return row ? row->state : DESTINATION_UP;
}

static void wait_state(struct world *w, const char *name,
                       enum queue_destination_state state)
{
    for (int i = 0; state_of(w, name) != state; i++) {
        assert_true(i < WORLD_PATIENCE_S * 1000);
        world_moment(w);
    }
}

static void put_backlog(struct world *w, size_t n)
{
    char number[16];

    for (size_t i = 1; i <= n; i++) {
        (void)snprintf(number, sizeof(number), "%zu", i);
        world_put(w, "one.test", "b.away", number);
        if (i % 1000 == 0)
            world_until(w, &w->puts_ok, i);
    }
    world_until(w, &w->puts_ok, n);
}

/* Takes one after the other and holds that each is the next. */
static void take_in_order(struct world *w, struct queue_slot *slot)
{
    struct queue_work *work;

    queue_slot_connected(slot);
    while ((work = queue_slot_next(slot, 50))) {
        uint64_t n;

        assert_true(span_number(work->content, &n));
        assert_int_equal(n, ++w->got[0]);
        world_settle(w, work, OUTCOME_DELIVERED, 0);
    }
}

static void q8_what_waits_to_be_released_is_on_disk_and_leaves_in_order(
    void **state)
{
    struct world *w = away_new(0, 0);
    struct queue_stats stats;
    struct rows r;
    int64_t at;
    struct timespec t0, t1;

    (void)state;
    w->connections = 1;
    put_backlog(w, BACKLOG);
    world_reopen(w);
    w->opened = w->ready = take_in_order;
    world_settle_down(w);
    queue_stats(w->q, &stats);
    assert_int_equal(stats.active, 0);
    assert_int_equal(stats.slots, 0);
    assert_int_equal(stats.cached_bytes, 0);
    assert_int_equal(stats.destinations_down, 0);
    assert_int_equal(find(w, &r, "away")->waiting, BACKLOG);
    clock_gettime(CLOCK_MONOTONIC, &t0);
    assert_true(queue_release(w->q, SPAN("away")));
    world_until(w, &w->slot_count, 1);
    clock_gettime(CLOCK_MONOTONIC, &t1);
    at = (t1.tv_sec - t0.tv_sec) * 1000 + (t1.tv_nsec - t0.tv_nsec) / 1000000;
    print_message("first work after %d ms\n", (int)at);
    world_until(w, &w->settles, BACKLOG);
    assert_int_equal(w->got[0], BACKLOG);
    wait_state(w, "away", DESTINATION_OFFLINE);
    world_free(w);
}

static void what_is_on_demand_waits_is_released_and_waits_again(void **state)
{
    struct world *w = away_new(0, 0);
    struct rows r;

    (void)state;
    w->opened = w->ready = world_take_all;
    world_put(w, "one.test", "a.away", "1");
    world_put(w, "one.test", "b.away", "2");
    world_until(w, &w->puts_ok, 2);
    world_settle_down(w);
    assert_int_equal(w->slot_count, 0);
    assert_int_equal(find(w, &r, "away")->state, DESTINATION_OFFLINE);
    assert_int_equal(find(w, &r, "away")->due_ms, INT64_MAX);
    assert_int_equal(find(w, &r, "away")->lanes, 2);
    assert_false(queue_release(w->q, SPAN("nobody")));
    assert_true(queue_release(w->q, SPAN("away")));
    world_until(w, &w->settles, 2);
    wait_state(w, "away", DESTINATION_OFFLINE);
    /* its connection may still stand: that is no reason to use it */
    world_put(w, "one.test", "a.away", "3");
    world_until(w, &w->puts_ok, 3);
    world_settle_down(w);
    assert_int_equal(w->got[3], 0);
    assert_true(queue_release(w->q, SPAN("away")));
    world_until(w, &w->settles, 3);
    assert_int_equal(w->got[3], 1);
    world_free(w);
}

static void an_open_connection_is_no_reason_to_use_it(void **state)
{
    struct world *w = away_new(0, 600000);
    struct queue_work *work;
    struct queue_stats stats;

    (void)state;
    world_put(w, "one.test", "a.away", "1");
    world_until(w, &w->puts_ok, 1);
    assert_true(queue_release(w->q, SPAN("away")));
    world_until(w, &w->slot_count, 1);
    queue_slot_connected(w->slots[0]);
    work = queue_slot_next(w->slots[0], 50);
    assert_non_null(work);
    world_settle(w, work, OUTCOME_DELIVERED, 0);
    world_until(w, &w->settles, 1);
    wait_state(w, "away", DESTINATION_OFFLINE);
    world_put(w, "one.test", "a.away", "2");
    world_until(w, &w->puts_ok, 2);
    queue_stats(w->q, &stats);
    assert_int_equal(stats.active, 1); /* for the next probe */
    assert_null(queue_slot_next(w->slots[0], 50));
    world_free(w);
}

static void a_release_in_vain_ends_when_nobody_answers(void **state)
{
    struct world *w = away_new(0, 0);
    struct rows r;

    (void)state;
    w->opened = no_answer;
    failures = 0;
    for (int i = 0; i < 50; i++)
        world_put(w, "one.test", "a.away", "1");
    world_until(w, &w->puts_ok, 50);
    assert_true(queue_release(w->q, SPAN("away")));
    wait_state(w, "away", DESTINATION_OFFLINE);
    assert_in_range(failures, 5, 10);
    world_settle_down(w);
    set_clock(3 * DAY_MS);
    world_settle_down(w);
    assert_string_equal((find(w, &r, "away"), r.error[0]), "4.4.1 no answer");
    assert_int_equal(r.at[0].active, 0);
    assert_int_equal(r.at[0].slots, 0);
    w->opened = w->ready = world_take_all;
    assert_true(queue_release(w->q, SPAN("away")));
    world_until(w, &w->settles, 50);
    world_free(w);
}

static void a_probe_is_one_slot_and_its_success_releases_all(void **state)
{
    struct world *w = away_new(0, 600000);
    struct queue_stats stats;

    (void)state;
    w->opened = no_answer;
    failures = 0;
    put_backlog(w, 300);
    world_settle_down(w);
    queue_stats(w->q, &stats);
    assert_in_range(stats.active, 0, 16);
    assert_int_equal(stats.slots, 0);
    for (size_t i = 1; i <= 3; i++) {
        set_clock(600000);
        world_until(w, &failures, i);
        world_settle_down(w);
        assert_int_equal(failures, i);
    }
    w->opened = w->ready = world_take_all;
    set_clock(600000);
    world_until(w, &w->settles, 300);
    wait_state(w, "away", DESTINATION_OFFLINE);
    world_free(w);
}

static void a_probe_by_hand_needs_no_interval(void **state)
{
    struct world *w = away_new(0, 0);

    (void)state;
    w->opened = w->ready = world_take_all;
    put_backlog(w, 100);
    assert_true(queue_probe(w->q, SPAN("away")));
    world_until(w, &w->settles, 100);
    assert_false(queue_probe(w->q, SPAN("nobody")));
    world_free(w);
}

static void what_a_slot_frees_waits_on_disk_again(void **state)
{
    struct world *w = away_new(0, 0);
    struct queue_work *work;
    struct queue_stats stats;

    (void)state;
    w->connections = 1;
    put_backlog(w, 10);
    assert_true(queue_release(w->q, SPAN("away")));
    world_until(w, &w->slot_count, 1);
    work = queue_slot_next(w->slots[0], 50);
    assert_non_null(work);
    assert_true(queue_suspend(w->q, SPAN("away"), INT64_MAX, SPAN("")));
    world_settle(w, work, OUTCOME_FREED, 0);
    queue_stats(w->q, &stats);
    assert_int_equal(stats.active, 0);
    queue_slot_connected(w->slots[0]);
    assert_int_equal(state_of(w, "away"), DESTINATION_SUSPENDED);
    world_close_slot(w, w->slots[0]);
    w->opened = w->ready = take_in_order;
    assert_true(queue_resume(w->q, SPAN("away")));
    world_until(w, &w->settles, 11);
    assert_int_equal(w->got[0], 10);
    world_free(w);
}

static void a_released_destination_waits_after_a_restart(void **state)
{
    struct world *w = away_new(0, 0);

    (void)state;
    put_backlog(w, 100);
    assert_true(queue_release(w->q, SPAN("away")));
    world_until(w, &w->slot_count, 1);
    queue_slot_connected(w->slots[0]);
    world_reopen(w);
    wait_state(w, "away", DESTINATION_OFFLINE);
    world_settle_down(w);
    assert_int_equal(w->slot_count, 0);
    world_free(w);
}

static void a_retry_by_hand_releases_what_waits(void **state)
{
    struct world *w = away_new(0, 0);
    struct queue_filter f = { .to = SPAN("r0@b.away") };

    (void)state;
    w->opened = w->ready = world_take_all;
    put_backlog(w, 30);
    world_settle_down(w);
    world_order(w, &f, CHANGE_RETRY);
    world_until(w, &w->settles, 30);
    world_free(w);
}

static void a_suspension_holds_across_a_restart_until_it_is_over(void **state)
{
    struct world *w = world_new(0, true);
    struct rows r;

    (void)state;
    assert_true(queue_suspend(w->q, SPAN("example.org"),
                              world_clock() + 7200000, SPAN("a new disk")));
    w->opened = w->ready = world_take_all;
    world_put(w, "one.test", "example.org", "1");
    world_until(w, &w->puts_ok, 1);
    world_settle_down(w);
    assert_int_equal(w->slot_count, 0);
    world_reopen(w);
    world_settle_down(w);
    assert_int_equal(w->slot_count, 0);
    assert_non_null(find(w, &r, "example.org"));
    assert_int_equal(r.at[0].state, DESTINATION_SUSPENDED);
    assert_int_equal(r.at[0].due_ms, world_clock() + 7200000);
    assert_string_equal(r.error[0],
                        "4.3.2 suspended by the operator: a new disk");
    /* no client's wish, no probe, no retry of its mail ends it */
    assert_false(queue_release(w->q, SPAN("example.org")));
    assert_false(queue_probe(w->q, SPAN("example.org")));
    set_clock(7199000);
    world_settle_down(w);
    assert_int_equal(w->settles, 0);
    set_clock(1001);
    world_until(w, &w->settles, 1);
    world_free(w);
}

struct asked {
    struct world *w;
    size_t count;
    char row[100];
};

static void read_row(const char *path, char *out, size_t size)
{
    sqlite3_stmt *st;
    sqlite3 *db;

    assert_int_equal(
        sqlite3_open_v2(path, &db, SQLITE_OPEN_READONLY, NULL), SQLITE_OK);
    assert_int_equal(sqlite3_prepare_v2(
                         db,
                         "SELECT (suspended_ms>0)||'|'||suspend_why"
                         " FROM destination WHERE name='example.org'",
                         -1, &st, NULL),
                     SQLITE_OK);
    assert_int_equal(sqlite3_step(st), SQLITE_ROW);
    (void)snprintf(out, size, "%s",
                   (const char *)sqlite3_column_text(st, 0));
    (void)sqlite3_finalize(st);
    (void)sqlite3_close(db);
}

static void look_into_the_file(void *user, uint64_t token, int rc)
{
    struct asked *a = (struct asked *)(uintptr_t)token;

    (void)user;
    assert_int_equal(rc, 0);
    a->count++;
    read_row(a->w->path, a->row, sizeof a->row);
}

static void what_is_told_to_be_remembered_is_in_the_file(void **state)
{
    struct world *w = world_new(0, true);
    struct span names[2000];
    struct asked a = { .w = w };

    (void)state;
    for (size_t i = 0; i < 2000; i++)
        names[i] = SPAN("example.org");
    assert_true(
        queue_suspend(w->q, SPAN("example.org"), INT64_MAX, SPAN("disk")));
    queue_remember(w->p, names, 1, look_into_the_file, (uintptr_t)&a);
    world_until(w, &a.count, 1);
    assert_string_equal(a.row, "1|disk");
    /* more than one transaction takes, and one that nobody knows */
    assert_true(queue_resume(w->q, SPAN("example.org")));
    names[0] = SPAN("unknown");
    queue_remember(w->p, names, 2000, look_into_the_file, (uintptr_t)&a);
    world_until(w, &a.count, 2);
    assert_string_equal(a.row, "0|");
    world_free(w);
}

static void a_suspension_ends_by_hand_and_stays_ended(void **state)
{
    struct world *w = away_new(0, 0);

    (void)state;
    w->opened = w->ready = world_take_all;
    put_backlog(w, 20);
    assert_true(queue_suspend(w->q, SPAN("away"), INT64_MAX, SPAN("")));
    assert_true(queue_resume(w->q, SPAN("away")));
    world_until(w, &w->settles, 20);
    world_reopen(w);
    world_put(w, "one.test", "b.away", "1");
    world_until(w, &w->puts_ok, 21);
    wait_state(w, "away", DESTINATION_OFFLINE);
    world_free(w);
}

static void a_slot_that_stands_gets_no_work_while_suspended(void **state)
{
    struct world *w = world_new(0, true);

    (void)state;
    for (int i = 0; i < 10; i++)
        world_put(w, "one.test", "example.org", "1");
    world_until(w, &w->puts_ok, 10);
    world_until(w, &w->slot_count, 5);
    queue_slot_connected(w->slots[0]);
    assert_true(
        queue_suspend(w->q, SPAN("example.org"), INT64_MAX, SPAN("no")));
    assert_null(queue_slot_next(w->slots[0], 50));
    queue_slot_connected(w->slots[1]);
    assert_null(queue_slot_next(w->slots[1], 50));
    assert_int_equal(state_of(w, "example.org"), DESTINATION_SUSPENDED);
    world_free(w);
}

static void expiry_goes_on_while_mail_waits(void **state)
{
    const char *lane = "b.away";
    struct world *w = away_new(0, 0);

    (void)state;
    world_put_many(w, "one.test", &lane, 1, "1", world_clock() + DAY_MS);
    world_until(w, &w->puts_ok, 1);
    world_settle_down(w);
    set_clock(DAY_MS + 1);
    world_until(w, &w->alarm_count, 1);
    world_settle(w, w->alarms[0], OUTCOME_EXPIRED, 0);
    world_until(w, &w->settles, 1);
    assert_false(queue_lane_waits(w->q, SPAN("b.away")));
    world_free(w);
}

static void other_routes_make_it_wait_or_go(void **state)
{
    struct world *w = world_new(0, true);
    struct queue_stats stats;

    (void)state;
    w->connections = 1;
    put_backlog(w, 50);
    world_until(w, &w->slot_count, 1);
    w->is_on_demand = true;
    queue_reroute(w->q, world_route, w);
    assert_int_equal(state_of(w, "away"), DESTINATION_OFFLINE);
    assert_null(queue_slot_next(w->slots[0], 50));
    queue_stats(w->q, &stats);
    assert_int_equal(stats.active, 0);
    world_close_slot(w, w->slots[0]);
    w->is_on_demand = false;
    w->opened = w->ready = take_in_order;
    queue_reroute(w->q, world_route, w);
    world_until(w, &w->settles, 50);
    world_free(w);
}

/* ---------------------------------------------------------- how much ---- */

static void count_all(struct world *w, uint64_t recipients, uint64_t bytes)
{
    struct rows r;
    const struct queue_destination_row *row = find(w, &r, "away");

    assert_int_equal(row ? row->waiting : 0, recipients);
    assert_int_equal(row ? row->waiting_bytes : 0, bytes);
    assert_int_equal(row ? row->since_ms : 0, recipients ? world_clock() : 0);
}

static void change(struct world *w, enum queue_change change, const char *to)
{
    struct queue_filter f = { .to = span_of(to) };

    if (change == CHANGE_UNDELETE)
        f.states = STATE_DELETED;
    world_order(w, &f, change);
    world_until(w, &w->answers, w->answers + 1);
    assert_int_equal(w->last_rc, 0);
}

static void bytes_count_for_each_recipient_that_waits(void **state)
{
    static const char *const lanes[] = { "a.away", "b.away", "example.org" };
    struct world *w = away_new(0, 0);
    struct span lane = SPAN("a.away");

    (void)state;
    world_put_many(w, "one.test", lanes, 3, "0123456789", INT64_MAX);
    world_put_many(w, "one.test", lanes, 1, "01234", INT64_MAX);
    world_until(w, &w->puts_ok, 2);
    for (int i = 0; i < 2; i++) {
        world_settle_down(w);
        count_all(w, 3, 25);
        assert_false(queue_is_over_quota(w->q, lane, 75, 100));
        assert_true(queue_is_over_quota(w->q, lane, 76, 100));
        assert_true(queue_is_over_quota(w->q, SPAN("new.away"), 76, 100));
        assert_false(queue_is_over_quota(w->q, SPAN("x.org"), 100, 100));
        change(w, CHANGE_DELETE, "*@a.away");
        count_all(w, 1, 10);
        world_reopen(w);
        world_settle_down(w);
        count_all(w, 1, 10);
        change(w, CHANGE_UNDELETE, "*@a.away");
        count_all(w, 3, 25);
        change(w, CHANGE_HOLD, "*@b.away");
        count_all(w, 3, 25);
        world_reopen(w);
    }
    w->opened = w->ready = world_take_all;
    assert_true(queue_lane_waits(w->q, lane));
    change(w, CHANGE_RELEASE, "*");
    assert_true(queue_release(w->q, SPAN("away")));
    world_until(w, &w->settles, 3);
    wait_state(w, "away", DESTINATION_OFFLINE);
    count_all(w, 0, 0);
    assert_false(queue_lane_waits(w->q, lane));
    world_free(w);
}

static void what_is_settled_during_the_first_count_is_counted_right(
    void **state)
{
    struct world *w = away_new(0, 0);
    struct rows r;

    (void)state;
    put_backlog(w, BACKLOG);
    for (int i = 0; i < 200; i++)
        world_put(w, "one.test", "example.org", "1");
    world_until(w, &w->puts_ok, BACKLOG + 200);
    w->opened = w->ready = world_take_all;
    world_close_queue(w);
    world_open_queue(w); /* what came last leaves before it is counted */
    world_until(w, &w->settles, 200);
    world_settle_down(w);
    assert_int_equal(find(w, &r, "away")->waiting, BACKLOG);
    assert_false(queue_is_over_quota(w->q, SPAN("example.org"), 10, 10));
    assert_true(queue_is_over_quota(w->q, SPAN("example.org"), 11, 10));
    world_free(w);
}

static void list_shows_why(void *user, uint64_t token, int rc,
                           const struct queue_row *rows, size_t count,
                           uint64_t next_id)
{
    struct world *w = user;

    (void)token;
    (void)next_id;
    assert_int_equal(rc, 0);
    assert_int_equal(count, 1);
    assert_int_equal(rows[0].state, STATE_DEFERRED);
    assert_int_equal(rows[0].recipients[0].due_ms, INT64_MAX);
    assert_true(
        span_is(rows[0].recipients[0].reason, SPAN("4.4.1 waits for pick-up")));
    w->answers++;
}

static void mail_that_waits_is_shown_as_deferred(void **state)
{
    struct world *w = away_new(0, 0);
    struct queue_filter f = { .reason = SPAN("*pick-up*") };

    (void)state;
    world_put(w, "one.test", "b.away", "1");
    world_until(w, &w->puts_ok, 1);
    queue_list(w->p, &f, 0, 10, list_shows_why, 1);
    world_until(w, &w->answers, 1);
    assert_int_equal(world_count(w, STATE_READY).recipients, 0);
    world_free(w);
}

/* The last lane is read when others were swept away already. */
static void what_is_known_of_a_host_outlives_a_restart_with_many_lanes(
    void **state)
{
    enum { LANES = 1100 }; /* more than are read at once */
    struct world *w = world_new(0, true);
    struct rows r;
    int64_t seen_ms;

    (void)state;
    for (int i = 1; i <= LANES; i++) {
        char lane[32];

        (void)snprintf(lane, sizeof(lane), "l%d.group", i);
        world_put(w, "one.test", lane, "1");
    }
    world_until(w, &w->puts_ok, LANES);
    while (w->slot_count)
        world_close_slot(w, w->slots[0]);
    w->opened = down;
    world_put(w, "one.test", "last.test", "1");
    world_until(w, &w->puts_ok, LANES + 1);
    wait_state(w, "last.test", DESTINATION_RESTING);
    w->opened = up;
    atomic_fetch_add(&world_now_ms, 60001);
    seen_ms = world_clock();
    wait_state(w, "last.test", DESTINATION_UP);
    w->opened = NULL;
    atomic_fetch_add(&world_now_ms, 5000);
    world_reopen(w);
    world_settle_down(w);
    assert_int_equal(find(w, &r, "last.test")->last_good_ms, seen_ms);
    world_free(w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define T(name) cmocka_unit_test(name)
        T(q8_what_waits_to_be_released_is_on_disk_and_leaves_in_order),
        T(what_is_on_demand_waits_is_released_and_waits_again),
        T(an_open_connection_is_no_reason_to_use_it),
        T(a_release_in_vain_ends_when_nobody_answers),
        T(a_probe_is_one_slot_and_its_success_releases_all),
        T(a_probe_by_hand_needs_no_interval),
        T(what_a_slot_frees_waits_on_disk_again),
        T(a_released_destination_waits_after_a_restart),
        T(a_retry_by_hand_releases_what_waits),
        T(a_suspension_holds_across_a_restart_until_it_is_over),
        T(what_is_told_to_be_remembered_is_in_the_file),
        T(a_suspension_ends_by_hand_and_stays_ended),
        T(a_slot_that_stands_gets_no_work_while_suspended),
        T(expiry_goes_on_while_mail_waits),
        T(other_routes_make_it_wait_or_go),
        T(bytes_count_for_each_recipient_that_waits),
        T(what_is_settled_during_the_first_count_is_counted_right),
        T(mail_that_waits_is_shown_as_deferred),
        T(what_is_known_of_a_host_outlives_a_restart_with_many_lanes),
#undef T
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
