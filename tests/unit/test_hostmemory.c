/*
 * hostmemory: hosts that failed rest, stand last, and are forgotten in time.
 */
#include "relay/outbound/hostmemory.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <cmocka.h>

enum { SECOND = 1000, MINUTE = 60 * SECOND };

static const int64_t now = 1700000000000;

static struct race_target host(const char *address, uint16_t port)
{
    struct race_target t = { .port = port };

    assert_true(host_address_parse(span_of(address), &t.address));
    return t;
}

static void rest_doubles_with_each_failure_in_a_row(void **state)
{
    static const int minutes[] = { 1, 2, 4, 8, 15, 15, 15 };
    struct hostmemory *m = hostmemory_new(10);
    struct race_target a = host("192.0.2.1", 25);
    int64_t t = now;

    (void)state;
    assert_false(hostmemory_is_resting(m, &a, t));
    for (size_t i = 0; i < sizeof minutes / sizeof *minutes; i++) {
        assert_true(hostmemory_failed(m, &a, t));
        assert_int_equal(hostmemory_failures(m, &a), i + 1);
        assert_true(hostmemory_is_resting(m, &a, t + minutes[i] * MINUTE - 1));
        t += minutes[i] * MINUTE;
        assert_false(hostmemory_is_resting(m, &a, t));
    }
    hostmemory_free(m);
}

static void failures_side_by_side_count_once(void **state)
{
    struct hostmemory *m = hostmemory_new(10);
    struct race_target a = host("192.0.2.1", 25);

    (void)state;
    assert_true(hostmemory_failed(m, &a, now));
    for (int i = 0; i < 20; i++)
        assert_false(hostmemory_failed(m, &a, now + i));
    assert_int_equal(hostmemory_failures(m, &a), 1);
    assert_false(hostmemory_is_resting(m, &a, now + MINUTE));
    hostmemory_free(m);
}

static void an_answer_makes_it_forget(void **state)
{
    struct hostmemory *m = hostmemory_new(10);
    struct race_target a = host("2001:db8::1", 25);

    (void)state;
    assert_false(hostmemory_worked(m, &a));
    assert_true(hostmemory_failed(m, &a, now));
    assert_true(hostmemory_worked(m, &a));
    assert_int_equal(hostmemory_failures(m, &a), 0);
    assert_false(hostmemory_is_resting(m, &a, now));
    hostmemory_free(m);
}

static void ports_and_addresses_are_told_apart(void **state)
{
    struct hostmemory *m = hostmemory_new(10);
    struct race_target a = host("192.0.2.1", 25), b = host("192.0.2.1", 26);
    struct race_target c = host("192.0.2.2", 25);

    (void)state;
    a.tag = 7;
    assert_true(hostmemory_failed(m, &a, now));
    a.tag = 8; /* who it is for is no part of the host */
    assert_true(hostmemory_is_resting(m, &a, now));
    assert_false(hostmemory_is_resting(m, &b, now));
    assert_false(hostmemory_is_resting(m, &c, now));
    hostmemory_free(m);
}

static void those_that_rest_stand_last_in_their_order(void **state)
{
    struct hostmemory *m = hostmemory_new(10);
    struct race_target all[5];

    (void)state;
    for (size_t i = 0; i < 5; i++) {
        all[i] = host("192.0.2.1", (uint16_t)(100 + i));
        all[i].tag = i;
    }
    assert_int_equal(hostmemory_order(m, all, 5, now), 5);
    assert_int_equal(hostmemory_order(m, all, 0, now), 0);
    assert_true(hostmemory_failed(m, &all[2], now));
    assert_true(hostmemory_failed(m, &all[0], now));
    assert_int_equal(hostmemory_order(m, all, 5, now), 3);
    for (size_t i = 0; i < 5; i++)
        assert_int_equal(all[i].tag, ((size_t[]){ 1, 3, 4, 0, 2 })[i]);
    for (size_t i = 0; i < 3; i++)
        assert_true(hostmemory_failed(m, &all[i], now));
    assert_int_equal(hostmemory_order(m, all, 5, now), 0);
    for (size_t i = 0; i < 5; i++)
        assert_int_equal(all[i].tag, ((size_t[]){ 1, 3, 4, 0, 2 })[i]);
    hostmemory_free(m);
}

static void it_holds_no_more_than_it_may_and_forgets_the_oldest(void **state)
{
    struct hostmemory *m = hostmemory_new(3);
    struct race_target h[5];

    (void)state;
    for (uint16_t i = 0; i < 5; i++)
        h[i] = host("192.0.2.1", i);
    for (int i = 0; i < 3; i++)
        assert_true(hostmemory_failed(m, &h[i], now + i));
    /* the oldest fails again and is the newest now */
    assert_true(hostmemory_failed(m, &h[0], now + 2 * MINUTE));
    assert_true(hostmemory_failed(m, &h[3], now + 2 * MINUTE));
    assert_true(hostmemory_failed(m, &h[4], now + 2 * MINUTE));
    assert_int_equal(hostmemory_failures(m, &h[0]), 2);
    assert_int_equal(hostmemory_failures(m, &h[1]), 0);
    assert_int_equal(hostmemory_failures(m, &h[2]), 0);
    assert_int_equal(hostmemory_failures(m, &h[3]), 1);
    assert_int_equal(hostmemory_failures(m, &h[4]), 1);
    hostmemory_free(m);
}

static void a_note_brings_an_entry_back(void **state)
{
    static const struct {
        const char *address;
        uint16_t port;
        const char *key, *value;
    } rows[] = {
        { "192.0.2.1", 25, "192.0.2.1 25", "2 1700000180000" },
        { "2001:db8::1", 65535, "2001:db8::1 65535", "2 1700000180000" },
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct hostmemory *m = hostmemory_new(3), *copy = hostmemory_new(3);
        struct race_target a = host(rows[i].address, rows[i].port);
        struct buffer key = { 0 }, value = { 0 };

        assert_false(hostmemory_print(m, &a, &key, &value));
        assert_true(hostmemory_failed(m, &a, now));
        assert_true(hostmemory_failed(m, &a, now + MINUTE));
        assert_true(hostmemory_print(m, &a, &key, &value));
        assert_string_equal(buffer_string(&key), rows[i].key);
        assert_string_equal(buffer_string(&value), rows[i].value);
        assert_true(hostmemory_read(copy, buffer_span(&key),
                                    buffer_span(&value), now + 2 * MINUTE));
        assert_int_equal(hostmemory_failures(copy, &a), 2);
        assert_true(hostmemory_is_resting(copy, &a, now + 3 * MINUTE - 1));
        assert_false(hostmemory_is_resting(copy, &a, now + 3 * MINUTE));
        buffer_fini(&key);
        buffer_fini(&value);
        hostmemory_free(m);
        hostmemory_free(copy);
    }
}

static void a_rest_from_the_future_is_cut_to_what_it_can_be(void **state)
{
    struct hostmemory *m = hostmemory_new(3);
    struct race_target a = host("192.0.2.1", 25);

    (void)state;
    assert_true(hostmemory_read(m, SPAN("192.0.2.1 25"),
                                SPAN("1 9000000000000000"), now));
    assert_true(hostmemory_is_resting(m, &a, now + MINUTE - 1));
    assert_false(hostmemory_is_resting(m, &a, now + MINUTE));
    hostmemory_free(m);
}

static void a_note_that_is_not_well_formed_is_refused(void **state)
{
    static const char *const rows[][2] = {
        { "", "" },
        { "192.0.2.1", "1 1" },
        { "192.0.2.1 ", "1 1" },
        { "192.0.2.1 65536", "1 1" },
        { "192.0.2.1 x", "1 1" },
        { "host 25", "1 1" },
        { "192.0.2.1 25", "" },
        { "192.0.2.1 25", "1" },
        { "192.0.2.1 25", "0 1" },
        { "192.0.2.1 25", "-1 1" },
        { "192.0.2.1 25", "1 1 1" },
        { "192.0.2.1 25", "4294967296 1" },
        { "192.0.2.1 25", "1 9223372036854775808" },
    };
    struct hostmemory *m = hostmemory_new(3);
    struct race_target a = host("192.0.2.1", 25);

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        assert_false(
            hostmemory_read(m, span_of(rows[i][0]), span_of(rows[i][1]), now));
    assert_int_equal(hostmemory_failures(m, &a), 0);
    hostmemory_free(m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rest_doubles_with_each_failure_in_a_row),
        cmocka_unit_test(failures_side_by_side_count_once),
        cmocka_unit_test(an_answer_makes_it_forget),
        cmocka_unit_test(ports_and_addresses_are_told_apart),
        cmocka_unit_test(those_that_rest_stand_last_in_their_order),
        cmocka_unit_test(it_holds_no_more_than_it_may_and_forgets_the_oldest),
        cmocka_unit_test(a_note_brings_an_entry_back),
        cmocka_unit_test(a_rest_from_the_future_is_cut_to_what_it_can_be),
        cmocka_unit_test(a_note_that_is_not_well_formed_is_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
