/*
 * Rates of destinations: never more than they allow, over restarts and kills too; nothing else
 * waits for it, and people are told.
 */
#include "queue_world.h"

#include "queue/pace.h"

#include <sys/wait.h>

enum { SECOND = 1000, MINUTE = 60 * SECOND, GONE_MOST = 1000 };

/* When each went. */
static int64_t gone_ms[GONE_MOST];
static size_t gone;

static const struct rate a_minute[] = { { 10, MINUTE } };

static void take_and_note(struct world *w, struct queue_slot *slot)
{
    bool is_paced =
        span_ends_nocase(queue_slot_destination(slot), SPAN(".paced"));
    struct queue_work *work;

    queue_slot_connected(slot);
    while ((work = queue_slot_next(slot, 50))) {
        if (is_paced)
            gone_ms[gone++] = world_clock();
        world_settle(w, work, OUTCOME_DELIVERED, 0);
    }
}

static struct world *paced_new(const struct rate *rates, size_t count)
{
    struct world *w = world_new(0, true);

    gone = 0;
    w->rates = rates;
    w->rate_count = count;
    w->opened = w->ready = take_and_note;
    return w;
}

static void put(struct world *w, const char *lane, size_t n)
{
    for (size_t i = 0; i < n; i++)
        world_put(w, "a", lane, "1");
    world_until(w, &w->puts, w->puts_asked);
}

static bool is_writing(struct world *w)
{
    const struct destination *d;
    bool is_it = false;

    queue_lock(w->q);
    TAILQ_FOREACH(d, &w->q->all_destinations, all)
    {
        is_it |= d->pace && d->pace->is_writing;
    }
    queue_unlock(w->q);
    return is_it;
}

/* All that can be done at this time is done. */
static void stir(struct world *w)
{
    for (int i = 0, quiet = 0; quiet < 2; i++) {
        assert_true(i < WORLD_PATIENCE_S * 1000);
        world_moment(w);
        quiet = world_is_quiet(w) && !is_writing(w) ? quiet + 1 : 0;
    }
}

/* The clock goes on by so much at a time until so many have gone. */
static void run_until(struct world *w, size_t count, int64_t by_ms)
{
    while (gone < count) {
        atomic_fetch_add(&world_now_ms, by_ms);
        stir(w);
    }
}

static void check_windows(const struct rate *rate)
{
    for (size_t i = 0; i < gone; i++) {
        size_t k = i;

        while (k < gone && gone_ms[k] < gone_ms[i] + rate->period_ms)
            k++;
        assert_true(k - i <= rate->amount);
    }
}

static void mail_over_the_rate_waits_and_nothing_is_opened(void **state)
{
    struct world *w = paced_new(a_minute, 1);

    (void)state;
    put(w, "a.paced", 5);
    world_until(w, &w->settles, 1);
    for (int i = 0; i < 5; i++)
        stir(w);
    assert_int_equal(gone, 1); /* one each six seconds */
    while (w->slot_count) {
        world_close_slot(w, w->slots[0]);
        stir(w);
    }
    assert_int_equal(gone, 1);
    assert_int_equal(w->slot_count, 0);
    run_until(w, 5, SECOND);
    check_windows(a_minute);
    assert_int_equal(world_count(w, 0).recipients, 0);
    world_free(w);
}

static void others_are_not_slowed(void **state)
{
    struct world *w = paced_new(a_minute, 1);

    (void)state;
    put(w, "a.paced", 50);
    put(w, "free.test", 50);
    world_until(w, &w->settles, 51);
    put(w, "b.paced", 1); /* a destination has its own */
    world_until(w, &w->settles, 52);
    assert_int_equal(gone, 2);
    world_free(w);
}

static void all_rates_hold(void **state)
{
    static const struct rate both[] = { { 2, SECOND }, { 64, MINUTE } };
    struct world *w = paced_new(both, 2);

    (void)state;
    put(w, "a.paced", 150);
    run_until(w, 150, 100);
    check_windows(&both[0]);
    check_windows(&both[1]);
    assert_true(gone_ms[149] - gone_ms[0] > MINUTE);
    assert_true(gone_ms[149] - gone_ms[0] < 6 * MINUTE);
    world_free(w);
}

static void a_restart_frees_nothing(void **state)
{
    static const struct rate rate[] = { { 30, MINUTE } };
    struct world *w = paced_new(rate, 1);

    (void)state;
    put(w, "a.paced", 40);
    for (size_t i = 1; i <= 40; i++) {
        run_until(w, i, 200);
        if (i % 5 == 0)
            world_reopen(w);
    }
    check_windows(rate);
    world_free(w);
}

/* Says so for each, and dies in the middle. */
static void victim_main(struct world *w, int to, size_t life)
{
    world_open_queue(w);
    gone = 0;
    run_until(w, life, 300);
    if (write(to, gone_ms, gone * sizeof *gone_ms) !=
        (ssize_t)(gone * sizeof *gone_ms))
        _exit(1);
    _exit(0);
}

static void live_and_die(struct world *w, size_t life)
{
    static int64_t when[GONE_MOST];
    int ends[2], status;
    ssize_t n;
    pid_t child;

    assert_int_equal(pipe(ends), 0);
    child = fork();
    if (child == 0)
        victim_main(w, ends[1], life);
    close(ends[1]);
    while ((n = read(ends[0], when, sizeof when)) > 0) {
        memcpy(&gone_ms[gone], when, (size_t)n);
        gone += (size_t)n / sizeof *when;
    }
    close(ends[0]);
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
    atomic_store(&world_now_ms, gone_ms[gone - 1]);
}

static void neither_does_a_kill(void **state)
{
    static const struct rate rate[] = { { 64, MINUTE } };
    struct world *w = paced_new(rate, 1);

    (void)state;
    put(w, "a.paced", 300);
    world_close_queue(w);
    for (size_t i = 0; i < 12; i++)
        live_and_die(w, 1 + i);
    assert_true(gone >= 78);
    check_windows(rate);
    world_open_queue(w);
    world_free(w);
}

/* Nothing waits for it any more, and it is still known what went. */
static void an_idle_destination_frees_nothing(void **state)
{
    struct world *w = paced_new(a_minute, 1);

    (void)state;
    put(w, "a.paced", 1);
    world_until(w, &w->settles, 1);
    while (w->slot_count)
        world_close_slot(w, w->slots[0]);
    for (int i = 0; i < 4; i++) /* the sweep comes each 20 ms */
        world_settle_down(w);
    put(w, "a.paced", 1);
    world_settle_down(w);
    assert_int_equal(gone, 1);
    run_until(w, 2, SECOND);
    check_windows(a_minute);
    world_free(w);
}

static size_t count_of(const char *text, const char *what)
{
    size_t n = 0;

    while ((text = strstr(text, what))) {
        n++;
        text++;
    }
    return n;
}

static void the_log_says_once_that_mail_waits(void **state)
{
    struct world *w = paced_new(a_minute, 1);

    (void)state;
    put(w, "a.paced", 1);
    world_until(w, &w->settles, 1);
    stir(w);
    assert_int_equal(count_of(w->notices, "limited"), 0);
    put(w, "a.paced", 20);
    run_until(w, 21, SECOND);
    assert_int_equal(count_of(w->notices, "a.paced is limited to 10/min"), 1);
    atomic_fetch_add(&world_now_ms, 2 * MINUTE);
    put(w, "a.paced", 3);
    run_until(w, 24, SECOND);
    assert_int_equal(count_of(w->notices, "a.paced is limited to 10/min"), 2);
    world_free(w);
}

static void note_row(void *user, const struct queue_destination_row *row)
{
    struct queue_destination_row *to = user;

    *to = *row;
    to->rates = NULL;
    if (row->rate_count)
        assert_int_equal(row->rates[0].amount, 10);
}

static void people_are_told_until_when(void **state)
{
    struct queue_destination_row row = { 0 };
    struct world *w = paced_new(a_minute, 1);

    (void)state;
    put(w, "a.paced", 3);
    world_until(w, &w->settles, 1);
    assert_true(queue_destination_find(w->q, SPAN("a.paced"), note_row, &row));
    assert_int_equal(row.rate_count, 1);
    assert_int_equal(row.held_ms, gone_ms[0] + 6001);
    assert_int_equal(row.state, DESTINATION_UP);
    queue_lock(w->q); /* nobody looks before */
    assert_int_equal(timers_next(&w->q->timers), row.held_ms);
    queue_unlock(w->q);
    world_reopen(w); /* which forfeits nothing where it ends well */
    stir(w);
    assert_true(queue_destination_find(w->q, SPAN("a.paced"), note_row, &row));
    assert_int_equal(row.held_ms, gone_ms[0] + 6001);
    run_until(w, 3, SECOND);
    world_until(w, &w->settles, 3);
    assert_true(queue_destination_find(w->q, SPAN("a.paced"), note_row, &row));
    assert_int_equal(row.held_ms, 0);
    put(w, "free.test", 1);
    world_until(w, &w->settles, 4);
    if (queue_destination_find(w->q, SPAN("free.test"), note_row, &row))
        assert_int_equal(row.rate_count, 0);
    world_free(w);
}

static void what_goes_to_no_host_is_not_counted(void **state)
{
    struct world *w = paced_new(a_minute, 1);
    struct queue_work *work;
    size_t n = 0;

    (void)state;
    w->opened = w->ready = NULL;
    put(w, "a.paced", 5);
    world_until(w, &w->slot_count, 1);
    queue_slot_exempt(w->slots[0]);
    while ((work = queue_slot_next(w->slots[0], 50))) {
        world_settle(w, work, OUTCOME_FAILED, 0);
        n++;
    }
    assert_int_equal(n, 5);
    world_until(w, &w->settles, 5);
    world_free(w);
}

static void a_customer_who_fetches_is_not_limited(void **state)
{
    struct world *w = paced_new(a_minute, 1);
    struct queue_slot *slot = NULL;
    struct queue_work *work;
    size_t n = 0;

    (void)state;
    put(w, "a.paced", 10);
    world_until(w, &w->settles, 1);
    w->ready = NULL;
    assert_int_equal(queue_turn(w->p, SPAN("a.paced"), NULL, 0, &slot),
                     QUEUE_TURNED);
    while (n < 9) {
        while ((work = queue_slot_next(slot, 50))) {
            world_settle(w, work, OUTCOME_DELIVERED, 0);
            n++;
        }
        if (n < 9)
            world_until(w, &w->readies, w->readies + 1);
    }
    queue_slot_close(slot);
    world_until(w, &w->settles, 10);
    world_free(w);
}

/* More than its share waits on disk, so that there is memory for others. */
static void its_backlog_does_not_fill_memory(void **state)
{
    struct world *w = paced_new(a_minute, 1);
    struct queue_destination_row row = { 0 };

    (void)state;
    put(w, "a.paced", 500);
    assert_true(queue_destination_find(w->q, SPAN("a.paced"), note_row, &row));
    assert_true(row.active <= 40);
    world_free(w);
}

static void new_routes_change_the_rate(void **state)
{
    static const struct rate more[] = { { 600, MINUTE } };
    struct world *w = paced_new(a_minute, 1);

    (void)state;
    put(w, "a.paced", 30);
    world_until(w, &w->settles, 1);
    w->rates = more;
    queue_reroute(w->q, world_route, w);
    run_until(w, 20, 100);
    check_windows(more);
    w->rate_count = 0;
    queue_reroute(w->q, world_route, w);
    world_until(w, &w->settles, 30);
    assert_int_equal(gone, 30);
    world_free(w);
}

static void some_time_passes(struct world *w, int seconds)
{
    for (int i = 0; i < seconds; i++) {
        atomic_fetch_add(&world_now_ms, SECOND);
        stir(w);
    }
}

/* The first lease is over before the host has greeted, and no connection is kept. */
static void a_host_that_takes_long_to_greet_gets_its_mail(void **state)
{
    struct world *w = paced_new(a_minute, 1);
    struct queue_work *work = NULL;
    size_t tries = 0;

    (void)state;
    w->opened = w->ready = NULL;
    put(w, "a.paced", 1);
    while (!work) {
        assert_true(tries++ < 3);
        world_until(w, &w->slot_count, 1);
        atomic_fetch_add(&world_now_ms, 20 * SECOND);
        queue_slot_connected(w->slots[0]);
        work = queue_slot_next(w->slots[0], 50);
        if (!work)
            world_close_slot(w, w->slots[0]);
    }
    world_settle(w, work, OUTCOME_DELIVERED, 0);
    world_until(w, &w->settles, 1);
    world_free(w);
}

static void mail_goes_on_when_the_disk_takes_notes_again(void **state)
{
    struct world *w = paced_new(a_minute, 1);

    (void)state;
    put(w, "a.paced", 2);
    world_until(w, &w->settles, 1);
    stir(w);
    queue_lock(w->q); /* the disk has too little, and refused more */
    destination_find(w->q, SPAN("a.paced"))->pace->each[0].kept_us = 0;
    destination_find(w->q, SPAN("a.paced"))->pace->again_ms =
        queue_monotonic_ms() + 200;
    queue_unlock(w->q);
    for (int i = 0; gone < 2; i++) {
        assert_true(i < 200);
        some_time_passes(w, 1);
    }
    check_windows(a_minute);
    world_free(w);
}

static void a_clock_that_is_set_back_stops_no_mail(void **state)
{
    struct world *w = paced_new(a_minute, 1);

    (void)state;
    put(w, "a.paced", 4);
    world_until(w, &w->settles, 1);
    stir(w);
    atomic_fetch_sub(&world_now_ms, 3600 * SECOND);
    stir(w);
    some_time_passes(w, 30);
    assert_int_equal(gone, 4);
    world_free(w);
}

static _Atomic int64_t set_by_ms;

static int64_t steady(void)
{
    return world_clock() - atomic_load(&set_by_ms);
}

static void a_clock_that_is_set_forward_frees_nothing(void **state)
{
    struct world *w = paced_new(a_minute, 1);

    (void)state;
    atomic_store(&set_by_ms, 0);
    w->options.steady_ms = steady;
    world_reopen(w);
    put(w, "a.paced", 3);
    world_until(w, &w->settles, 1);
    stir(w);
    for (size_t i = 1; i <= 3; i++) {
        queue_lock(w->q); /* nobody looks between the two */
        atomic_fetch_add(&set_by_ms, 3600 * SECOND);
        atomic_fetch_add(&world_now_ms, 3600 * SECOND);
        queue_unlock(w->q);
        some_time_passes(w, 2);
        assert_int_equal(gone, 1);
        if (i == 2)
            world_reopen(w); /* and what was told the disk is so, too */
    }
    some_time_passes(w, 20);
    assert_int_equal(gone, 3);
    world_free(w);
}

/* What the disk was given for another rate does not cover a message. */
static void a_rate_that_comes_while_one_is_written_is_not_covered(void **state)
{
    static const struct rate other[] = { { 20, MINUTE } };
    struct world *w = paced_new(a_minute, 1);
    struct destination *d;

    (void)state;
    put(w, "a.paced", 2);
    run_until(w, 2, SECOND);
    queue_lock(w->q); /* what is being written cannot end */
    atomic_fetch_add(&world_now_ms, MINUTE);
    d = destination_find(w->q, SPAN("a.paced"));
    assert_int_equal(pace_limit(w->q, d, 1), 0);
    assert_true(d->pace->is_writing);
    pace_set(w->q, d, other, 1);
    queue_unlock(w->q);
    while (is_writing(w))
        world_moment(w);
    queue_lock(w->q);
    assert_int_equal(spacing_covered(&d->pace->each[0], world_clock()), 0);
    queue_unlock(w->q);
    world_free(w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(mail_over_the_rate_waits_and_nothing_is_opened),
        cmocka_unit_test(others_are_not_slowed),
        cmocka_unit_test(all_rates_hold),
        cmocka_unit_test(a_restart_frees_nothing),
        cmocka_unit_test(neither_does_a_kill),
        cmocka_unit_test(an_idle_destination_frees_nothing),
        cmocka_unit_test(the_log_says_once_that_mail_waits),
        cmocka_unit_test(people_are_told_until_when),
        cmocka_unit_test(what_goes_to_no_host_is_not_counted),
        cmocka_unit_test(a_customer_who_fetches_is_not_limited),
        cmocka_unit_test(its_backlog_does_not_fill_memory),
        cmocka_unit_test(new_routes_change_the_rate),
        cmocka_unit_test(a_rate_that_comes_while_one_is_written_is_not_covered),
        cmocka_unit_test(a_host_that_takes_long_to_greet_gets_its_mail),
        cmocka_unit_test(mail_goes_on_when_the_disk_takes_notes_again),
        cmocka_unit_test(a_clock_that_is_set_back_stops_no_mail),
        cmocka_unit_test(a_clock_that_is_set_forward_frees_nothing),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
