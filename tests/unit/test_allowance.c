/*
 * One budget against a model that remembers every taking: never more than the limit in
 * any period, and what was taken comes back in time.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "queue/allowance.h"

enum { TAKINGS = 4096 };

static uint64_t seed;

static uint64_t chance(uint64_t below)
{
    seed ^= seed << 13;
    seed ^= seed >> 7;
    seed ^= seed << 17;
    return seed % below;
}

struct model {
    int64_t period_ms;
    int64_t real_ms;    /* it only grows */
    int64_t wall_ms;    /* it may be set back */
    int64_t stepped_ms; /* when it was, for real */
    struct {
        int64_t real_ms;
        uint64_t amount;
    } taken[TAKINGS];
    size_t count;
};

static uint64_t taken_since(const struct model *m, int64_t after_ms)
{
    uint64_t sum = 0;

    for (size_t i = m->count; i-- > 0 && m->taken[i].real_ms > after_ms;)
        sum += m->taken[i].amount;
    return sum;
}

static void restart(struct allowance *a)
{
    struct buffer b = { 0 };

    allowance_write(a, 0, &b);
    assert_true(allowance_read(a, buffer_span(&b)));
    buffer_fini(&b);
}

/* Somebody wants more than there is, all the time. */
static void play(struct model *m, bool has_steps, bool has_restarts)
{
    struct allowance a = { 0 };
    uint64_t limit = 1 + chance(200);
    /* a sixteenth, and rounding up to whole ms */
    int64_t late_ms = m->period_ms / 16 + 20;

    for (int i = 0; m->count < TAKINGS; i++) {
        uint64_t amount = 1 + chance(limit);
        int64_t by = (int64_t)chance((uint64_t)m->period_ms / 10 + 2);

        assert_true(i < 1000 * TAKINGS);
        m->real_ms += by;
        m->wall_ms += by;
        if (has_steps && chance(50) == 0 &&
            m->real_ms - m->stepped_ms > m->period_ms / 4) {
            m->wall_ms -= (int64_t)chance((uint64_t)m->period_ms * 3);
            m->stepped_ms = m->real_ms;
        }
        if (has_restarts && a.period_ms && chance(10) == 0)
            restart(&a);
        (void)allowance_advance(&a, m->period_ms, 0, m->wall_ms);
        if (allowance_left(&a, limit) < amount) {
            if (!has_steps)
                assert_true(
                    taken_since(m, m->real_ms - m->period_ms - late_ms) +
                        amount >
                    limit);
            continue;
        }
        allowance_take(&a, amount);
        m->taken[m->count].real_ms = m->real_ms;
        m->taken[m->count++].amount = amount;
        assert_true(taken_since(m, m->real_ms - m->period_ms) <= limit);
    }
}

static void play_all(bool has_steps, bool has_restarts)
{
    static const int64_t periods[] = { 1,     15,      16,      17,      1000,
                                       60000, 3600000, 3600001, 86400000 };
    static struct model m;

    for (size_t i = 0; i < sizeof(periods) / sizeof(*periods); i++)
        for (uint64_t s = 1; s <= 10; s++) {
            seed = s * 7919 + i;
            m = (struct model){ .period_ms = periods[i],
                                .wall_ms = 1893456000000 };
            play(&m, has_steps, has_restarts);
        }
}

static void never_more_than_the_limit_in_any_period(void **state)
{
    (void)state;
    play_all(false, false);
}

static void neither_when_it_is_read_again(void **state)
{
    (void)state;
    play_all(false, true);
}

static void neither_when_the_clock_is_set_back(void **state)
{
    (void)state;
    play_all(true, false);
    play_all(true, true);
}

static void it_tells_when_there_will_be_room(void **state)
{
    struct allowance a = { 0 };
    int64_t now = 1893456000000;
    uint64_t limit = 50;

    (void)state;
    seed = 11;
    for (int i = 0; i < 20000; i++) {
        uint64_t amount = 1 + chance(limit);
        int64_t free_ms;

        now += (int64_t)chance(10000);
        (void)allowance_advance(&a, 60000, 0, now);
        free_ms = allowance_free_ms(&a, amount, limit);
        assert_int_equal(free_ms == 0, allowance_left(&a, limit) >= amount);
        if (free_ms) {
            struct allowance before = a;

            (void)allowance_advance(&before, 60000, 0, free_ms - 1);
            assert_true(allowance_left(&before, limit) < amount);
            (void)allowance_advance(&before, 60000, 0, free_ms);
            assert_true(allowance_left(&before, limit) >= amount);
        } else {
            allowance_take(&a, amount);
        }
        if (a.total) {
            struct allowance later = a;

            (void)allowance_advance(&later, 60000, 0,
                                    allowance_expire_ms(&a) - 1);
            assert_true(later.total > 0);
            (void)allowance_advance(&later, 60000, 0, allowance_expire_ms(&a));
            assert_int_equal(later.total, 0);
        }
    }
    assert_int_equal(allowance_free_ms(&a, limit + 1, limit), INT64_MAX);
    /* a reload lowered the limit */
    a = (struct allowance){ 0 };
    (void)allowance_advance(&a, 60000, 0, now);
    allowance_take(&a, 50);
    assert_int_equal(allowance_left(&a, 10), 0);
    now = allowance_free_ms(&a, 1, 10);
    (void)allowance_advance(&a, 60000, 0, now);
    assert_int_equal(allowance_left(&a, 10), 10);
}

static void a_clock_set_forward_frees_what_it_skips(void **state)
{
    struct allowance a = { 0 };
    int64_t now = 1893456000000, years = 20LL * 365 * 86400000;

    (void)state;
    (void)allowance_advance(&a, 3600000, 0, now);
    allowance_take(&a, 100);
    (void)allowance_advance(&a, 3600000, 0, now + years);
    assert_int_equal(allowance_left(&a, 100), 100);
    /* What was taken there does not stay for twenty years. */
    allowance_take(&a, 100);
    (void)allowance_advance(&a, 3600000, 0, now);
    assert_int_equal(allowance_left(&a, 100), 0);
    assert_true(allowance_expire_ms(&a) <= now + 2 * 3600000);
    (void)allowance_advance(&a, 3600000, 0, now + 2 * 3600000);
    assert_int_equal(allowance_left(&a, 100), 100);
}

static void another_period_keeps_what_was_taken(void **state)
{
    static const int64_t minute = 60000, hour = 3600000;
    struct allowance a = { 0 };
    int64_t now = 1893456000000;

    (void)state;
    (void)allowance_advance(&a, hour, 0, now);
    allowance_take(&a, 7);
    (void)allowance_advance(&a, hour, 0, now + 50 * minute);
    allowance_take(&a, 5);
    now += 51 * minute;
    /* longer: all of it; shorter: what is of it */
    assert_true(allowance_advance(&a, 24 * hour, 0, now));
    assert_int_equal(a.total, 12);
    assert_true(allowance_advance(&a, 30 * minute, 0, now));
    assert_true(a.total == 12); /* a slot of a day is wider than that */
    a = (struct allowance){ 0 };
    (void)allowance_advance(&a, hour, 0, now);
    allowance_take(&a, 7);
    (void)allowance_advance(&a, hour, 0, now + 50 * minute);
    allowance_take(&a, 5);
    assert_true(allowance_advance(&a, 30 * minute, 0, now + 51 * minute));
    assert_int_equal(a.total, 5);
    (void)allowance_advance(&a, 30 * minute, 0, now + 90 * minute);
    assert_int_equal(a.total, 0);
}

static void a_count_begins_anew_at_a_later_moment(void **state)
{
    static const int64_t day = 86400000;
    struct allowance a = { 0 };
    int64_t midnight = 1893456000000;

    (void)state;
    assert_true(allowance_advance(&a, day, midnight, midnight + 5));
    allowance_take(&a, 3);
    assert_false(allowance_advance(&a, day, midnight, midnight + day - 1));
    assert_int_equal(a.total, 3);
    restart(&a);
    assert_int_equal(a.total, 3);
    assert_int_equal(allowance_expire_ms(&a), midnight + day);
    assert_int_equal(allowance_free_ms(&a, 1, 3), midnight + day);
    assert_true(allowance_advance(&a, day, midnight + day, midnight + day));
    assert_int_equal(a.total, 0);
    /* Back over midnight: it is all of one day. */
    allowance_take(&a, 2);
    assert_false(allowance_advance(&a, day, midnight, midnight + day - 1));
    assert_int_equal(a.total, 2);
    allowance_take(&a, 2);
    assert_true(allowance_advance(&a, day, midnight + day, midnight + day));
    assert_int_equal(a.total, 0);
}

static void its_bytes_are_few_and_checked(void **state)
{
    struct allowance a = { 0 }, b;
    struct buffer bytes = { 0 };
    char cut[64];

    (void)state;
    (void)allowance_advance(&a, 3600000, 0, 1893456000000);
    allowance_take(&a, 1);
    allowance_write(&a, 0, &bytes);
    assert_true(bytes.len <= 12);
    for (int i = 0; i <= ALLOWANCE_SLOTS; i++)
        a.taken[i] = 16000;
    a.total = 16000 * (ALLOWANCE_SLOTS + 1);
    buffer_clear(&bytes);
    allowance_write(&a, 300, &bytes);
    assert_true(bytes.len <= 64);
    assert_true(allowance_read(&b, buffer_span(&bytes)));
    assert_int_equal(b.total, a.total + 300);
    assert_int_equal(b.taken[0], 16300);
    assert_int_equal(b.taken[ALLOWANCE_SLOTS], 16000);
    for (size_t i = 0; i < bytes.len; i++) {
        memcpy(cut, bytes.at, bytes.len);
        (void)allowance_read(&b, span_make(cut, i));
        (void)allowance_advance(&b, 3600000, 0, 1893456000000);
        for (unsigned c = 0; c < 256; c += 17) {
            cut[i] = (char)c;
            (void)allowance_read(&b, span_make(cut, bytes.len));
            (void)allowance_advance(&b, 3600000, 0, 1893456000000);
            assert_true(allowance_left(&b, 5) <= 5);
        }
    }
    assert_false(allowance_read(&b, SPAN("")));
    assert_false(allowance_read(&b, SPAN("x\x01\x01\x01")));
    assert_false(allowance_read(&b, SPAN("r\x00\x01\x01")));
    assert_false(allowance_read(&b, SPAN("c\x01\x01\x01\x01")));
    assert_int_equal(b.total, 0);
    buffer_fini(&bytes);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(never_more_than_the_limit_in_any_period),
        cmocka_unit_test(neither_when_it_is_read_again),
        cmocka_unit_test(neither_when_the_clock_is_set_back),
        cmocka_unit_test(it_tells_when_there_will_be_room),
        cmocka_unit_test(a_clock_set_forward_frees_what_it_skips),
        cmocka_unit_test(another_period_keeps_what_was_taken),
        cmocka_unit_test(a_count_begins_anew_at_a_later_moment),
        cmocka_unit_test(its_bytes_are_few_and_checked),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
