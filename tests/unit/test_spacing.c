/*
 * One rate against a model that remembers when each one went: never more than the amount in
 * any period, wherever it begins, and not much less in the long run.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "queue/spacing.h"

enum { GONE = 3000 };

static const int64_t start_ms = 1893456000000;
static uint64_t seed;

static uint64_t chance(uint64_t below)
{
    seed ^= seed << 13;
    seed ^= seed >> 7;
    seed ^= seed << 17;
    return seed % below;
}

struct model {
    int64_t real_ms[GONE]; /* only grows */
    size_t count;
};

/* Those of the latest period: it begins just after real_ms - period_ms. */
static size_t within(const struct model *m, int64_t period_ms)
{
    size_t n = 0;

    while (n < m->count &&
           m->real_ms[m->count - 1 - n] > m->real_ms[m->count - 1] - period_ms)
        n++;
    return n;
}

/* Time goes on by steps of about one message, sometimes by none, sometimes by much. */
static int64_t step(const struct spacing *s)
{
    uint64_t usual = (uint64_t)s->every_us / 500 + 2;

    return chance(20) == 0 ? (int64_t)chance((uint64_t)s->rate.period_ms * 2)
                           : (int64_t)chance(usual);
}

static void play(const struct rate *rate, bool has_steps, bool has_restarts)
{
    static struct model m;
    int64_t real_ms = start_ms, wall_ms = start_ms;
    struct spacing s;

    m.count = 0;
    spacing_init(&s, rate);
    for (int i = 0; m.count < GONE && i < 20 * GONE; i++) {
        int64_t by = step(&s), back;

        real_ms += by;
        wall_ms += by;
        if (has_steps && chance(100) == 0) {
            back = (int64_t)chance((uint64_t)rate->period_ms * 3);
            wall_ms -= back;
            spacing_shift(&s, back);
        }
        if (has_restarts && s.kept_us && chance(50) == 0)
            spacing_remember(&s, s.kept_us, wall_ms);
        while (m.count < GONE && spacing_room(&s, wall_ms) > 0) {
            s.kept_us = spacing_lease_us(&s, wall_ms, (int64_t)chance(1000));
            assert_true(spacing_covered(&s, wall_ms) > 0);
            spacing_take(&s, wall_ms);
            assert_true(s.kept_us >= s.full_us);
            m.real_ms[m.count++] = real_ms;
            assert_true(within(&m, rate->period_ms) <= rate->amount);
        }
        if (spacing_room(&s, wall_ms) == 0)
            assert_true(spacing_free_ms(&s) > wall_ms);
    }
    assert_true(m.count > 20);
}

static void play_all(bool has_steps, bool has_restarts)
{
    static const int64_t periods[] = { 1000,  1001,    7777,
                                       60000, 3600000, 86400000 };
    static const uint64_t amounts[] = { 1,  2,   5,    15,   16,    17,
                                        31, 100, 1000, 9999, 500000 };

    for (size_t i = 0; i < sizeof periods / sizeof *periods; i++)
        for (size_t k = 0; k < sizeof amounts / sizeof *amounts; k++) {
            struct rate rate = { amounts[k], periods[i] };

            seed = 7919 * (i + 1) + k;
            play(&rate, has_steps, has_restarts);
        }
}

static void never_more_than_the_amount_in_any_period(void **state)
{
    (void)state;
    play_all(false, false);
}

static void neither_after_restarts(void **state)
{
    (void)state;
    play_all(false, true);
}

static void neither_when_the_clock_is_set_back(void **state)
{
    (void)state;
    play_all(true, false);
}

static void a_rate_is_nearly_used_up_where_there_is_enough_to_send(void **state)
{
    static const struct {
        struct rate rate;
        uint64_t at_least; /* in 100 periods */
    } rows[] = {
        { { 1, 60000 }, 99 },         { { 5, 1000 }, 490 },
        { { 31, 60000 }, 3090 },      { { 100, 60000 }, 9400 },
        { { 1000, 3600000 }, 93600 }, { { 100000, 60000 }, 9300000 },
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct spacing s;
        uint64_t count = 0;
        int64_t now_ms = start_ms, end_ms;

        spacing_init(&s, &rows[i].rate);
        end_ms = now_ms + 100 * rows[i].rate.period_ms;
        while (now_ms < end_ms) {
            while (spacing_room(&s, now_ms)) {
                s.kept_us = spacing_lease_us(&s, now_ms, 0);
                spacing_take(&s, now_ms);
                count++;
            }
            now_ms = spacing_free_ms(&s);
        }
        assert_true(count >= rows[i].at_least);
    }
}

static void a_sixteenth_goes_at_once_and_the_rest_one_by_one(void **state)
{
    struct rate rate = { 160, 60000 };
    struct spacing s;

    (void)state;
    spacing_init(&s, &rate);
    assert_int_equal(spacing_room(&s, start_ms), 10);
    assert_int_equal(spacing_covered(&s, start_ms), 0);
    s.kept_us = INT64_MAX;
    for (int i = 0; i < 10; i++)
        spacing_take(&s, start_ms);
    assert_int_equal(spacing_room(&s, start_ms), 0);
    assert_int_equal(spacing_free_ms(&s), start_ms + 398); /* 60001 / 151 */
    assert_int_equal(spacing_room(&s, start_ms + 398), 1);
    assert_int_equal(spacing_room(&s, start_ms + 60000), 10);
}

static void a_wrong_clock_does_not_stop_it_for_long(void **state)
{
    struct rate rate = { 100, 60000 };
    struct spacing s;

    (void)state;
    spacing_init(&s, &rate);
    spacing_remember(&s, (start_ms + 86400000) * 1000, start_ms);
    assert_int_equal(spacing_room(&s, start_ms), 0);
    assert_true(spacing_free_ms(&s) <= start_ms + 60000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(never_more_than_the_amount_in_any_period),
        cmocka_unit_test(neither_after_restarts),
        cmocka_unit_test(neither_when_the_clock_is_set_back),
        cmocka_unit_test(
            a_rate_is_nearly_used_up_where_there_is_enough_to_send),
        cmocka_unit_test(a_sixteenth_goes_at_once_and_the_rest_one_by_one),
        cmocka_unit_test(a_wrong_clock_does_not_stop_it_for_long),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
