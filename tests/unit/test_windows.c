/*
 * Where lanes lead at which minute.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "relay/main/windows.h"
#include "settings_text.h"

#include <stdlib.h>

/* clang-format off */
static const char config[] =
    "route \"plain.test\"   { via = {\"smtp://h.test\"} }\n"
    "route \"even.test\"    { to = {\"even.test\", \"*.even.test\"}  via = {\"mx\"}\n"
    "    rate = {\"10/s\", \"1000/60min\"} }\n"
    "route \"night.test\"   { via = {\"smtp://n.test\"}\n"
    "    offline { client = {\"192.0.2.1\"}  window = \"22:00-06:00\"  probe = \"10min\" } }\n"
    "route \"fetch.test\"   { via = {\"pickup:fetch\"}\n"
    "    offline { client = {\"192.0.2.1\"} } }\n"
    "route \"told.test\"    { via = {\"pickup:told\"}\n"
    "    offline { client = {\"192.0.2.1\"}  deliver-to = \"smtp://t.test\"  probe = \"5min\" } }\n";
/* clang-format on */

static struct settings *read_config(void)
{
    struct buffer faults = { 0 }, warnings = { 0 };
    struct settings *s = settings_text(config, &faults, &warnings);

    if (!s)
        print_message("%s", buffer_string(&faults));
    assert_non_null(s);
    buffer_fini(&faults);
    buffer_fini(&warnings);
    return s;
}

static void ask(const struct windows *w, const char *lane,
                struct queue_destination *out)
{
    *out = (struct queue_destination){ 0 };
    windows_route((void *)(uintptr_t)w, span_of(lane), out);
    buffer_fini(&out->name);
}

static void mail_waits_but_in_a_window(void **state)
{
    static const struct {
        const char *lane;
        unsigned hour;
        bool is_on_demand;
        int64_t probe_ms;
    } rows[] = {
        { "plain.test", 12, false, 0 },    { "night.test", 12, true, 600000 },
        { "night.test", 23, false, 0 },    { "night.test", 5, false, 0 },
        { "night.test", 6, true, 600000 }, { "fetch.test", 23, true, 0 },
        { "told.test", 23, true, 300000 }, { "no.test", 0, false, 0 },
    };
    struct settings *s = read_config();

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct windows *w = windows_new(s, rows[i].hour * 3600);
        struct queue_destination to;

        ask(w, rows[i].lane, &to);
        assert_int_equal(to.is_on_demand, rows[i].is_on_demand);
        assert_int_equal(to.probe_ms, rows[i].probe_ms);
        windows_free(w);
    }
    settings_release(s);
}

static void a_rate_goes_with_its_destination(void **state)
{
    struct settings *s = read_config();
    struct windows *w = windows_new(s, 0);
    struct queue_destination to = { 0 };

    (void)state;
    windows_route(w, SPAN("a.even.test"), &to);
    assert_string_equal(buffer_string(&to.name),
                        "mx:a.even.test rate=10/s+1000/h");
    assert_int_equal(to.rate_count, 2);
    assert_int_equal(to.rates[1].amount, 1000);
    assert_int_equal(to.rates[1].period_ms, 3600000);
    buffer_fini(&to.name);
    ask(w, "plain.test", &to);
    assert_int_equal(to.rate_count, 0);
    windows_free(w);
    settings_release(s);
}

static void only_an_edge_is_news(void **state)
{
    struct settings *s = read_config();
    struct windows *noon = windows_new(s, 720 * 60), *one = windows_new(s, 780 * 60),
                   *night = windows_new(s, 1320 * 60);

    (void)state;
    assert_false(windows_tell(noon, one));
    assert_true(windows_tell(one, night));
    assert_true(windows_tell(night, noon));
    windows_free(noon);
    windows_free(one);
    windows_free(night);
    settings_release(s);
}

static void when_a_window_opens_or_closes_next_is_known(void **state)
{
    static const struct {
        const char *lane, *zone;
        int64_t now_s, change_s;
    } rows[] = {
        { "night.test", "UTC", 12 * 3600, 22 * 3600 },
        { "night.test", "UTC", 12 * 3600 + 61, 22 * 3600 },
        { "night.test", "UTC", 23 * 3600, 30 * 3600 },
        { "night.test", "UTC", 29 * 3600 + 3599, 30 * 3600 },
        { "night.test", "UTC", 30 * 3600, 46 * 3600 },
        { "plain.test", "UTC", 12 * 3600, 0 },
        { "fetch.test", "UTC", 12 * 3600, 0 },
        { "told.test", "UTC", 12 * 3600, 0 },
        { "none.test", "UTC", 12 * 3600, 0 },
        { "night.test", "UTC-2", 12 * 3600, 20 * 3600 },
        /* 2026-03-29, 23:00 the evening before: one hour less until six */
        { "night.test", "CET-1CEST,M3.5.0,M10.5.0/3", 1774735200,
          1774735200 + 6 * 3600 },
    };
    struct settings *s = read_config();

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct queue_destination to;
        struct windows *w;

        (void)setenv("TZ", rows[i].zone, 1);
        tzset();
        w = windows_new(s, rows[i].now_s);
        ask(w, rows[i].lane, &to);
        assert_int_equal(to.change_ms, rows[i].change_s * 1000);
        windows_free(w);
    }
    (void)setenv("TZ", "UTC", 1);
    tzset();
    settings_release(s);
}

static void the_next_minute_is_never_late_nor_now(void **state)
{
    (void)state;
    assert_int_equal(windows_wait_ms(120), 60000);
    assert_int_equal(windows_wait_ms(121), 59000);
    assert_int_equal(windows_wait_ms(179), 1000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(mail_waits_but_in_a_window),
        cmocka_unit_test(a_rate_goes_with_its_destination),
        cmocka_unit_test(only_an_edge_is_news),
        cmocka_unit_test(when_a_window_opens_or_closes_next_is_known),
        cmocka_unit_test(the_next_minute_is_never_late_nor_now),
    };

    (void)setenv("TZ", "UTC", 1);
    tzset();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
