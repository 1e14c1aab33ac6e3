/*
 * Budgets: never more than the limit, at once or after a wait, from several threads,
 * across restarts and a kill.
 */
#include "queue_world.h"

#include <sys/wait.h>

enum { HOUR = 3600 * 1000, BUDGETS_MOST = 100 * 1000 };

static size_t told;
static int told_rc;
static size_t told_over;
static struct queue_budget told_budgets[8];

static void on_charge(void *user, uint64_t token, int rc, size_t over,
                      const struct queue_budget *budgets)
{
    (void)user;
    told++;
    told_rc = rc;
    told_over = over;
    for (size_t i = 0; i < token; i++)
        told_budgets[i] = budgets[i];
}

static struct queue_charge rate(const char *key, uint64_t amount,
                                uint64_t limit)
{
    return (struct queue_charge){
        .key = span_of(key), .amount = amount, .limit = limit, .period_ms = HOUR
    };
}

/* As a caller would. True: all of them passed. */
static bool charge_all(struct world *w, const struct queue_charge *c,
                       size_t count, bool is_trial)
{
    if (!queue_charge_try(w->q, c, count, is_trial, &told_over, told_budgets)) {
        size_t before = told;

        queue_charge(w->p, c, count, is_trial, on_charge, count);
        assert_int_equal(told, before);
        world_until(w, &told, before + 1);
        assert_int_equal(told_rc, 0);
    }
    return told_over == count;
}

static bool charge(struct world *w, const char *key, uint64_t amount,
                   uint64_t limit)
{
    struct queue_charge c = rate(key, amount, limit);

    return charge_all(w, &c, 1, false);
}

static struct queue_budget look(struct world *w, const char *key,
                                uint64_t limit)
{
    struct queue_charge c = rate(key, 0, limit);

    assert_true(charge_all(w, &c, 1, true));
    return told_budgets[0];
}

static void a_budget_is_taken_until_it_is_over(void **state)
{
    struct world *w = world_new(0, true);
    struct queue_charge c = rate("client 192.0.2.1", 1, 5);

    (void)state;
    for (uint64_t i = 1; i <= 5; i++) {
        assert_true(charge_all(w, &c, 1, true));
        assert_int_equal(told_budgets[0].used, i - 1);
        assert_true(charge_all(w, &c, 1, false));
        assert_int_equal(told_budgets[0].used, i);
        assert_int_equal(told_budgets[0].left, 5 - i);
    }
    for (int i = 0; i < 3; i++) {
        assert_false(charge_all(w, &c, 1, i == 0));
        assert_int_equal(told_over, 0);
        assert_int_equal(told_budgets[0].used, 5);
        assert_true(told_budgets[0].free_ms > world_clock() + HOUR - 1);
        assert_true(told_budgets[0].free_ms <= world_clock() + HOUR / 16 * 17);
    }
    assert_true(charge(w, "another", 5, 5));
    assert_false(charge(w, "a third", 6, 5));
    assert_int_equal(told_budgets[0].free_ms, INT64_MAX);
    atomic_fetch_add(&world_now_ms, HOUR / 16 * 17);
    assert_true(charge_all(w, &c, 1, false));
    assert_int_equal(told_budgets[0].used, 1);
    world_free(w);
}

static void several_are_taken_together_or_not_at_all(void **state)
{
    struct world *w = world_new(0, true);
    struct queue_charge c[] = { rate("a", 2, 10), rate("b", 3, 7),
                                rate("c", 1, 10), rate("a", 1, 10) };

    (void)state;
    assert_true(charge_all(w, c, 4, false));
    assert_true(charge_all(w, c, 4, false));
    for (int i = 0; i < 3; i++) {
        assert_false(charge_all(w, c, 4, i == 0));
        assert_int_equal(told_over, 1);
        assert_int_equal(told_budgets[0].used, 6);
        assert_int_equal(told_budgets[1].left, 1);
        assert_int_equal(told_budgets[2].used, 2);
        assert_int_equal(told_budgets[3].left, 4);
    }
    /* One key twice is charged twice: four left, five wanted. */
    c[0].amount = 4;
    c[1].amount = 0;
    assert_false(charge_all(w, c, 4, false));
    assert_int_equal(told_over, 3);
    assert_int_equal(look(w, "a", 10).used, 6);
    world_reopen(w);
    assert_int_equal(look(w, "a", 10).used, 6);
    assert_int_equal(look(w, "b", 10).used, 6);
    assert_int_equal(look(w, "c", 10).used, 2);
    world_free(w);
}

static void what_is_not_in_memory_is_not_told_at_once(void **state)
{
    struct world *w = world_new(0, true);
    struct queue_charge c[] = { rate("known", 1, 1000), rate("new", 1, 1000) };
    struct queue_budget is[2];
    size_t over;

    (void)state;
    assert_int_equal(look(w, "known", 1000).used, 0);
    assert_true(queue_charge_try(w->q, c, 1, true, &over, is));
    assert_false(queue_charge_try(w->q, c, 2, true, &over, is));
    /* Nothing is on disk yet, so nothing may be taken. */
    assert_false(queue_charge_try(w->q, c, 1, false, &over, is));
    assert_int_equal(look(w, "known", 1000).used, 0);
    for (int i = 0; i < 20; i++)
        assert_true(charge_all(w, c, 2, false));
    /* Now it is busy, and written ahead. */
    assert_true(queue_charge_try(w->q, c, 2, false, &over, is));
    assert_int_equal(over, 2);
    assert_int_equal(is[1].used, 21);
    world_free(w);
}

static void a_restart_forgets_and_forfeits_nothing(void **state)
{
    struct world *w = world_new(0, true);
    uint64_t used = 0;

    (void)state;
    for (int round = 0; round < 10; round++) {
        for (int i = 0; i < 37; i++)
            used += charge(w, "busy", 1, 1000);
        assert_int_equal(look(w, "busy", 1000).used, used);
        atomic_fetch_add(&world_now_ms, round % 2 ? HOUR / 40 : 0);
        world_reopen(w);
        assert_int_equal(look(w, "busy", 1000).used, used);
    }
    world_free(w);
}

/* --------------------------------------------------------------- kill ---- */

enum { UNDER_WAY = 16 };

struct victim {
    struct world *w;
    int to;
    uint64_t limit;
};

static void on_victim(void *user, uint64_t token, int rc, size_t over,
                      const struct queue_budget *budgets)
{
    (void)user;
    (void)budgets;
    told++;
    if (rc == 0 && over == 1 && write((int)token, "y", 1) != 1)
        _exit(1);
}

/* Says so for each yes, and dies with some under way, just when it was told one more. The
 * clock goes on by a second each time, so slots begin. */
static void victim_main(const struct victim *v, unsigned life)
{
    struct queue_charge c = rate("k", 1, v->limit);
    struct queue_budget is;
    size_t over;

    world_open_queue(v->w);
    for (unsigned i = 0; i < life; i++) {
        atomic_fetch_add(&world_now_ms, 1000);
        if (queue_charge_try(v->w->q, &c, 1, false, &over, &is)) {
            if (over == 1 && write(v->to, "y", 1) != 1)
                _exit(1);
            continue;
        }
        queue_charge(v->w->p, &c, 1, false, on_victim, (uint64_t)v->to);
        if (i % UNDER_WAY == 0)
            world_until(v->w, &told, told + 1);
    }
    for (int i = 0; i < 20000; i++)
        if (queue_charge_try(v->w->q, &c, 1, false, &over, &is)) {
            if (over == 1 && write(v->to, "y", 1) != 1)
                _exit(1);
            break;
        }
    _exit(0);
}

static uint64_t yes_of_a_victim(struct world *w, uint64_t limit, unsigned life)
{
    struct victim v = { .w = w, .limit = limit };
    uint64_t yes = 0;
    int ends[2], status;
    char bytes[256];
    ssize_t n;
    pid_t child;

    assert_int_equal(pipe(ends), 0);
    v.to = ends[1];
    child = fork();
    if (child == 0)
        victim_main(&v, life);
    close(ends[1]);
    while ((n = read(ends[0], bytes, sizeof(bytes))) > 0)
        yes += (uint64_t)n;
    close(ends[0]);
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
    return yes;
}

static void a_kill_never_frees_what_was_said_yes_to(void **state)
{
    static const uint64_t limits[] = { 1, 5, 100, 1000, 100000 };

    (void)state;
    for (size_t i = 0; i < sizeof(limits) / sizeof(*limits); i++) {
        struct world *w = world_new(0, true);
        uint64_t yes = 0, used = 0;

        for (unsigned life = 1; life < 8; life++) {
            uint64_t before = used, of_it;

            world_close_queue(w);
            of_it = yes_of_a_victim(w, limits[i], life * 23);
            atomic_fetch_add(&world_now_ms, life * 23 * 1000);
            world_open_queue(w);
            used = look(w, "k", limits[i]).used;
            assert_true(used >= before + of_it);
            yes += of_it;
        }
        /* Those under way may be on disk, and a hundredth of each life. */
        assert_true(used <= limits[i]);
        assert_true(used <= yes + 7 * (UNDER_WAY + 1 + 2 * (limits[i] / 100)));
        while (charge(w, "k", 1, limits[i]))
            yes++;
        assert_true(yes <= limits[i]);
        world_free(w);
    }
}

/* ------------------------------------------------------------- random ---- */

enum { TAKINGS = 3000 };

struct taking {
    int64_t at_ms;
    uint64_t amount;
};

static uint64_t sum_since(const struct taking *t, size_t count, int64_t after)
{
    uint64_t sum = 0;

    for (size_t i = count; i-- > 0 && t[i].at_ms > after;)
        sum += t[i].amount;
    return sum;
}

static void no_hour_has_more_than_the_limit(void **state)
{
    static struct taking t[TAKINGS];
    struct world *w = world_new(0, true);
    const uint64_t limit = 250;
    uint32_t seed = 4711;
    size_t count = 0;

    (void)state;
    for (int i = 0; i < TAKINGS; i++) {
        int64_t now;

        seed = seed * 1664525 + 1013904223;
        now = atomic_fetch_add(&world_now_ms, (seed >> 16) % 40000);
        now = world_clock();
        if (i % 500 == 250)
            world_reopen(w);
        if (charge(w, "k", 1 + (seed >> 8) % 8, limit)) {
            t[count].at_ms = now;
            t[count++].amount = 1 + (seed >> 8) % 8;
            assert_true(sum_since(t, count, now - HOUR) <= limit);
        } else {
            assert_true(sum_since(t, count, now - HOUR / 16 * 17) +
                            (1 + (seed >> 8) % 8) >
                        limit);
        }
    }
    world_free(w);
}

static void the_clock_set_back_frees_nothing(void **state)
{
    struct world *w = world_new(0, true);

    (void)state;
    assert_true(charge(w, "k", 10, 10));
    atomic_fetch_add(&world_now_ms, -50 * (int64_t)HOUR);
    assert_false(charge(w, "k", 1, 10));
    atomic_fetch_add(&world_now_ms, HOUR - 1);
    assert_false(charge(w, "k", 1, 10));
    world_reopen(w);
    assert_false(charge(w, "k", 1, 10));
    /* Nor does it stay for as long as it was set back. */
    atomic_fetch_add(&world_now_ms, HOUR / 4 * 5);
    assert_true(charge(w, "k", 1, 10));
    world_free(w);
}

static void a_count_is_of_a_day(void **state)
{
    struct world *w = world_new(0, true);
    struct queue_charge c = { .key = SPAN("today staff"),
                              .amount = 3,
                              .limit = UINT64_MAX,
                              .period_ms = DAY_MS,
                              .since_ms = world_clock() };

    (void)state;
    for (uint64_t i = 1; i <= 300; i++) {
        assert_true(charge_all(w, &c, 1, false));
        assert_int_equal(told_budgets[0].used, 3 * i);
        atomic_fetch_add(&world_now_ms, 1000);
    }
    world_reopen(w);
    assert_true(charge_all(w, &c, 1, true));
    assert_int_equal(told_budgets[0].used, 900);
    c.since_ms += DAY_MS;
    assert_true(charge_all(w, &c, 1, false));
    assert_int_equal(told_budgets[0].used, 3);
    world_free(w);
}

/* ------------------------------------------------------------- memory ---- */

static size_t recalled;
static size_t recalled_len;

static void on_recall(void *user, uint64_t token, int rc, struct span value)
{
    (void)user;
    (void)token;
    assert_int_equal(rc, 0);
    recalled++;
    recalled_len = value.len;
}

static size_t bytes_on_disk(struct world *w, const char *key)
{
    queue_recall(w->p, SPAN("budget"), span_of(key), on_recall, 0);
    world_until(w, &recalled, recalled + 1);
    return recalled_len;
}

static void an_idle_budget_vanishes_from_the_disk(void **state)
{
    struct world *w = world_new(0, true);

    (void)state;
    assert_int_equal(look(w, "asked", 10).used, 0);
    assert_true(charge(w, "k", 1, 10));
    assert_in_range(bytes_on_disk(w, "k"), 1, 64);
    atomic_fetch_add(&world_now_ms, HOUR);
    assert_in_range(bytes_on_disk(w, "k"), 1, 64);
    atomic_fetch_add(&world_now_ms, HOUR / 16);
    assert_int_equal(bytes_on_disk(w, "k"), 0);
    world_close_queue(w);
    world_open_queue(w);
    assert_int_equal(bytes_on_disk(w, "k"), 0);
    assert_int_equal(bytes_on_disk(w, "asked"), 0);
    world_free(w);
}

static void what_left_memory_is_read_again(void **state)
{
    struct world *w = world_new(0, true);
    struct queue_budget is;
    size_t over, before = told;
    char key[20];

    (void)state;
    for (int i = 0; i < 30; i++)
        assert_true(charge(w, "busy", 1, 1000));
    for (int i = 0; i < BUDGETS_MOST + 100; i++) {
        struct queue_charge c;

        (void)snprintf(key, sizeof(key), "k%d", i);
        c = rate(key, 1, 1000);
        queue_charge(w->p, &c, 1, true, on_charge, 1);
        if (i % 1000 == 0)
            world_until(w, &told, before + (size_t)i + 1);
    }
    world_until(w, &told, before + BUDGETS_MOST + 100);
    /* What it was ahead is given back first; a message behind that says when. */
    world_put(w, "one.test", "example.org", "x");
    world_until(w, &w->puts, 1);
    {
        struct queue_charge c = rate("busy", 0, 1000);

        assert_false(queue_charge_try(w->q, &c, 1, true, &over, &is));
    }
    assert_int_equal(look(w, "busy", 1000).used, 30);
    world_free(w);
}

static void a_port_that_closes_takes_its_charges_along(void **state)
{
    struct world *w = world_new(0, true);
    struct queue_charge c[] = { rate("a", 1, 1000), rate("b", 1, 1000) };
    size_t before = told;

    (void)state;
    for (int i = 0; i < 50; i++)
        queue_charge(w->p, c, 2, false, on_charge, 2);
    world_close_queue(w);
    assert_int_equal(told, before);
    world_open_queue(w);
    assert_int_equal(look(w, "b", 1000).used, 50);
    world_free(w);
}

/* -------------------------------------------- several at the same time ---- */

enum { LOOPS = 4, LIMIT_OF_ALL = 5000 };

struct loop {
    struct queue *q;
    struct queue_port *p;
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t cond;
    bool is_woken;
    size_t asked, answered, yes, no;
};

static void loop_wake(void *user)
{
    struct loop *l = user;

    pthread_mutex_lock(&l->lock);
    l->is_woken = true;
    pthread_cond_signal(&l->cond);
    pthread_mutex_unlock(&l->lock);
}

static void loop_told(void *user, uint64_t token, int rc, size_t over,
                      const struct queue_budget *budgets)
{
    struct loop *l = user;

    (void)token;
    assert_int_equal(rc, 0);
    assert_true(budgets[0].used <= LIMIT_OF_ALL);
    l->answered++;
    *(over == 1 ? &l->yes : &l->no) += 1;
}

static void loop_until(struct loop *l, size_t answered)
{
    while (l->answered < answered) {
        pthread_mutex_lock(&l->lock);
        while (!l->is_woken)
            pthread_cond_wait(&l->cond, &l->lock);
        l->is_woken = false;
        pthread_mutex_unlock(&l->lock);
        queue_port_drain(l->p);
    }
}

static void *loop_main(void *user)
{
    static const struct queue_port_events events = { .wake = loop_wake };
    struct queue_charge c = rate("of all", 1, LIMIT_OF_ALL);
    struct loop *l = user;

    l->p = queue_port_open(l->q, &events, l);
    while (l->no < 10) {
        struct queue_budget is;
        size_t over;

        if (queue_charge_try(l->q, &c, 1, false, &over, &is)) {
            *(over == 1 ? &l->yes : &l->no) += 1;
            continue;
        }
        queue_charge(l->p, &c, 1, false, loop_told, 0);
        l->asked++;
        if (l->asked % 8 == 0)
            loop_until(l, l->asked - 4);
    }
    loop_until(l, l->asked);
    queue_port_close(l->p);
    return NULL;
}

static void several_loops_together_take_the_limit_and_no_more(void **state)
{
    struct world *w = world_new(0, true);
    struct loop loops[LOOPS] = { { 0 } };
    size_t yes = 0;

    (void)state;
    for (int i = 0; i < LOOPS; i++) {
        loops[i].q = w->q;
        pthread_mutex_init(&loops[i].lock, NULL);
        pthread_cond_init(&loops[i].cond, NULL);
        assert_int_equal(
            pthread_create(&loops[i].thread, NULL, loop_main, &loops[i]), 0);
    }
    for (int i = 0; i < LOOPS; i++) {
        pthread_join(loops[i].thread, NULL);
        yes += loops[i].yes;
    }
    assert_int_equal(yes, LIMIT_OF_ALL);
    world_reopen(w);
    assert_int_equal(look(w, "of all", LIMIT_OF_ALL).used, LIMIT_OF_ALL);
    world_free(w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_budget_is_taken_until_it_is_over),
        cmocka_unit_test(several_are_taken_together_or_not_at_all),
        cmocka_unit_test(what_is_not_in_memory_is_not_told_at_once),
        cmocka_unit_test(a_restart_forgets_and_forfeits_nothing),
        cmocka_unit_test(a_kill_never_frees_what_was_said_yes_to),
        cmocka_unit_test(no_hour_has_more_than_the_limit),
        cmocka_unit_test(the_clock_set_back_frees_nothing),
        cmocka_unit_test(a_count_is_of_a_day),
        cmocka_unit_test(an_idle_budget_vanishes_from_the_disk),
        cmocka_unit_test(what_left_memory_is_read_again),
        cmocka_unit_test(a_port_that_closes_takes_its_charges_along),
        cmocka_unit_test(several_loops_together_take_the_limit_and_no_more),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
