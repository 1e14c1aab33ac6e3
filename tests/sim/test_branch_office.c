/*
 * The life of branch offices over a month: nothing is lost, early, late, twice or forgotten.
 *
 * Five offices are reached in as many ways: by a nightly window, by two windows a day, one
 * of them in the hour that daylight saving moves, by ATRN alone, by ETRN, by a probe. About
 * a hundred messages a day come for them; their hosts are away for hours or days, refuse
 * and break off; the relay restarts and dies. After the month all hosts are there and
 * nothing breaks; then the queue must run empty, and every promise must have been kept.
 *
 * Each run prints its seed. WAYPOST_SEED=N runs that one, WAYPOST_LONG=1 many.
 */
#include "office.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

enum { DAYS = 31, CALM_DAYS = 3, A_DAY = 100, FEW = 2, MANY = 30 };

/* Even seeds live through the night that is an hour longer, odd ones through the other. */
static int64_t beginning(uint32_t seed)
{
    struct tm day = { .tm_year = 130,
                      .tm_mon = seed % 2 ? 2 : 9,
                      .tm_mday = seed % 2 ? 4 : 7,
                      .tm_isdst = -1 };

    return (int64_t)mktime(&day) * 1000;
}

/* So many times a day, at random. */
static bool happens(struct office *o, unsigned times_a_day)
{
    return office_pick(o, 24 * 60) < times_a_day;
}

static void customers_call(struct office *o)
{
    static const int told = 5, probed = 6, night = 0;

    if (happens(o, o->is_calm ? 24 : 2) && o->sites[TOLD].is_there)
        office_etrn(o, told);
    if (happens(o, 1))
        office_etrn(o, (int)office_pick(o, LANES));
    if (happens(o, 1))
        office_etrn(o, office_pick(o, 2) ? probed : night);
    if (happens(o, o->is_calm ? 24 : 3) && o->sites[FETCH].is_there)
        office_atrn(o, -1);
    if (happens(o, 2) && o->sites[FETCH].is_there)
        office_atrn(o, (int)office_pick(o, LANES));
}

/* Time goes on. Expiries and notices come to the millisecond: not one before, and then. */
static void advance(struct office *o, int64_t now_ms)
{
    int64_t next;

    while ((next = promises_next_event(o, now_ms)) != INT64_MAX) {
        office_clock(o, next - 1);
        office_sync(o);
        office_clock(o, next);
        office_sync_alarms(o);
    }
    office_clock(o, now_ms);
}

static void minute(struct office *o, int64_t now_ms, unsigned number)
{
    size_t before = o->promise_count;

    advance(o, now_ms);
    office_minute(o);
    branches_come_and_go(o);
    if (!o->is_calm && happens(o, A_DAY * 2 / 3)) {
        advance(o, now_ms + 1 + office_pick(o, MINUTE_MS - 2));
        office_sync(o);
        office_put(o);
        if (office_pick(o, 2)) {
            office_sync(o); /* a quota is reckoned from what is committed */
            office_put(o);
        }
    }
    if (o->promise_count > before || o->session_count > 0 || number % 10 == 0) {
        office_sync(o);
        office_look(o);
    }
    customers_call(o);
    if (!o->is_calm && happens(o, 1))
        office_restart(o, false);
    if (!o->is_calm && happens(o, 1))
        office_restart(o, true);
}

static void sum_up(const struct office *o)
{
    print_message(
        "seed %u: %zu recipients, %llu refused over quota; %llu delivered, "
        "%llu failed, %llu expired; %llu delays noticed, %llu reports; %llu in "
        "doubt; %llu releases, %u turns with %llu messages, %llu probes; %llu "
        "windows at night; %llu restarts, %u of them deaths\n",
        o->seed, o->promise_count, (unsigned long long)o->refused,
        (unsigned long long)o->delivered, (unsigned long long)o->failed,
        (unsigned long long)o->expired, (unsigned long long)o->warned,
        (unsigned long long)o->reports, (unsigned long long)o->doubted,
        (unsigned long long)o->released, o->turns,
        (unsigned long long)o->fetched,
        (unsigned long long)o->sites[PROBED].probes,
        (unsigned long long)o->sites[NIGHT].windows_opened,
        (unsigned long long)o->restarts, o->deaths);
}

/* What a month without any of these would not have shown. */
static void all_was_there(struct office *o)
{
    EXPECT(o,
           o->delivered && o->failed && o->expired && o->warned && o->refused &&
               o->doubted && o->released && o->fetched && o->deaths &&
               o->sites[PROBED].probes,
           "the month was too quiet");
    EXPECT(o, o->sites[NIGHT].windows_opened >= DAYS, "a night had no window");
}

static void month(uint32_t seed)
{
    struct office *o;
    int64_t start;
    unsigned number = 0;

    start = office_now_ms = beginning(seed);
    o = office_new(seed);
    office_clock(o, start);
    for (; number < DAYS * 24 * 60; number++) {
        minute(o, start + (int64_t)number * MINUTE_MS, number);
        if (number % (24 * 60) == 24 * 60 - 1)
            promises_audit(o);
    }
    o->is_calm = true;
    for (; number < (DAYS + CALM_DAYS) * 24 * 60; number++)
        minute(o, start + (int64_t)number * MINUTE_MS, number);
    promises_final(o);
    sum_up(o);
    all_was_there(o);
    office_free(o);
}

static void a_month_of_nights_keeps_every_promise(void **state)
{
    const char *seed = getenv("WAYPOST_SEED"),
               *is_long = getenv("WAYPOST_LONG");
    uint32_t count = is_long && *is_long == '1' ? MANY : FEW;

    (void)state;
    if (seed) {
        month((uint32_t)strtoul(seed, NULL, 10));
        return;
    }
    for (uint32_t i = 1; i <= count; i++)
        month(i);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_month_of_nights_keeps_every_promise),
    };

    (void)setenv("TZ", "CET-1CEST,M3.5.0,M10.5.0/3", 1);
    tzset();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
