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

/* clang-format off */
static const char config[] =
    "route \"plain.test\"   { via = {\"smtp://h.test\"} }\n"
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
        struct windows *w = windows_new(s, rows[i].hour * 60);
        struct queue_destination to;

        ask(w, rows[i].lane, &to);
        assert_int_equal(to.is_on_demand, rows[i].is_on_demand);
        assert_int_equal(to.probe_ms, rows[i].probe_ms);
        windows_free(w);
    }
    settings_release(s);
}

static void only_an_edge_is_news(void **state)
{
    struct settings *s = read_config();
    struct windows *noon = windows_new(s, 720), *one = windows_new(s, 780),
                   *night = windows_new(s, 1320);

    (void)state;
    assert_false(windows_tell(noon, one));
    assert_true(windows_tell(one, night));
    assert_true(windows_tell(night, noon));
    windows_free(noon);
    windows_free(one);
    windows_free(night);
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
        cmocka_unit_test(only_an_edge_is_news),
        cmocka_unit_test(the_next_minute_is_never_late_nor_now),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
