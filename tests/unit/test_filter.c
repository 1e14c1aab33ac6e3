/*
 * test_filter - the filter language says the same in all its three forms.
 */
#include "policy/vocabulary/id.h"
#include "relay/admin/filter.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static const int64_t now = 1700000000000;

static bool add(struct filter *f, const char *key, const char *value)
{
    struct buffer why = { 0 };
    bool is_good = filter_add(f, span_of(key), span_of(value), now, &why);

    assert_int_equal(is_good, why.len == 0);
    buffer_fini(&why);
    return is_good;
}

static void filter_reads_durations_and_nothing_else(void **state)
{
    /* clang-format off */
    static const struct { const char *text; int64_t ms; } rows[] = {
        { "90", 90000 }, { "90s", 90000 }, { "10min", 600000 },
        { "2h", 7200000 }, { "3d", 259200000 }, { "1w", 604800000 },
        { "0", 0 },
        { "", -1 }, { "h", -1 }, { "-2h", -1 }, { "2 h", -1 }, { "2hours", -1 },
        { "2m", -1 }, { "1.5h", -1 }, { "99999999999999999999h", -1 },
        { "9223372036854775807w", -1 },
    };
    /* clang-format on */

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        int64_t ms = -1;

        assert_int_equal(filter_duration(span_of(rows[i].text), &ms),
                         rows[i].ms >= 0);
        assert_int_equal(ms, rows[i].ms);
    }
}

static void filter_puts_each_key_in_its_place(void **state)
{
    struct filter f;
    uint64_t id = 0;

    (void)state;
    filter_init(&f);
    assert_true(id_parse(SPAN("01HF8M5XK3QZA"), &id));
    assert_true(add(&f, "id", "01hf8m5xk3qza"));
    assert_true(add(&f, "from", "<>"));
    assert_true(add(&f, "to", "*@b"));
    assert_true(add(&f, "domain", "*.test"));
    assert_true(add(&f, "client", "192.0.2.*"));
    assert_true(add(&f, "login", "us"));
    assert_true(add(&f, "reason", "*4.4.1*"));
    assert_true(add(&f, "state", "deferred,held"));
    assert_true(add(&f, "older", "2h"));
    assert_true(add(&f, "newer", "3d"));
    assert_true(add(&f, "attempts", "4"));
    assert_true(f.queue.id == id);
    assert_true(span_is(f.queue.from, SPAN("<>")));
    assert_true(span_is(f.queue.to, SPAN("*@b")));
    assert_true(span_is(f.queue.domain, SPAN("*.test")));
    assert_true(span_is(f.queue.client, SPAN("192.0.2.*")));
    assert_true(span_is(f.queue.login, SPAN("us")));
    assert_true(span_is(f.queue.reason, SPAN("*4.4.1*")));
    assert_int_equal(f.queue.states, STATE_DEFERRED | STATE_HELD);
    assert_int_equal(f.queue.older_ms, now - 7200000);
    assert_int_equal(f.queue.newer_ms, now - 259200000);
    assert_int_equal(f.queue.attempts, 4);
    filter_fini(&f);
}

static void filter_refuses_what_it_does_not_understand(void **state)
{
    /* clang-format off */
    static const struct { const char *key, *value; } rows[] = {
        { "sender", "a@b" }, { "", "x" }, { "From", "a" },
        { "id", "123" }, { "id", "0000000000000" }, { "id", "" },
        { "from", "" }, { "state", "waiting" }, { "state", "" },
        { "state", "held," }, { "older", "yesterday" }, { "older", "" },
        { "attempts", "-1" }, { "attempts", "4294967296" },
    };
    /* clang-format on */

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct filter f;

        filter_init(&f);
        assert_false(add(&f, rows[i].key, rows[i].value));
        assert_int_equal(f.seen, 0);
        filter_fini(&f);
    }
}

static void filter_knows_the_null_sender_by_both_names(void **state)
{
    struct filter f;

    (void)state;
    filter_init(&f);
    assert_true(add(&f, "from", "mailer-daemon"));
    assert_true(span_is(f.queue.from, SPAN("<>")));
    filter_fini(&f);
}

static void filter_refuses_a_key_given_twice(void **state)
{
    struct filter f;

    (void)state;
    filter_init(&f);
    assert_true(add(&f, "from", "a"));
    assert_false(add(&f, "from", "b"));
    assert_true(span_is(f.queue.from, SPAN("a")));
    filter_fini(&f);
}

static bool add_json(struct filter *f, const char *text)
{
    static const char *const except[] = { "yes", NULL };
    json_t *o = json_loads(text, 0, NULL);
    struct buffer why = { 0 };
    bool is_good;

    assert_non_null(o);
    is_good = filter_add_json(f, o, except, now, &why);
    assert_int_equal(is_good, why.len == 0);
    json_decref(o);
    buffer_fini(&why);
    return is_good;
}

static void filter_reads_a_json_object_and_outlives_it(void **state)
{
    struct filter f;

    (void)state;
    filter_init(&f);
    assert_true(add_json(&f, "{\"from\": \"a@*\", \"attempts\": 3, "
                             "\"yes\": true}"));
    assert_true(span_is(f.queue.from, SPAN("a@*")));
    assert_int_equal(f.queue.attempts, 3);
    filter_fini(&f);
}

static void filter_refuses_json_of_other_shapes(void **state)
{
    static const char *const rows[] = {
        "{\"from\": null}",       "{\"from\": [\"a\"]}", "{\"older\": 1.5}",
        "{\"attempts\": true}",   "{\"nobody\": \"x\"}", "{\"id\": 7}",
        "{\"preview\": \"yes\"}",
    };

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct filter f;

        filter_init(&f);
        assert_false(add_json(&f, rows[i]));
        filter_fini(&f);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(filter_reads_durations_and_nothing_else),
        cmocka_unit_test(filter_puts_each_key_in_its_place),
        cmocka_unit_test(filter_refuses_what_it_does_not_understand),
        cmocka_unit_test(filter_knows_the_null_sender_by_both_names),
        cmocka_unit_test(filter_refuses_a_key_given_twice),
        cmocka_unit_test(filter_reads_a_json_object_and_outlives_it),
        cmocka_unit_test(filter_refuses_json_of_other_shapes),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
