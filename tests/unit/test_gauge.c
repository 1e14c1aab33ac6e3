/*
 * test_gauge - what loops have counted, each for itself.
 */
#include "policy/vocabulary/memory.h"
#include "relay/net/gauge.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

static struct gauge_sum *sum_of(struct gauge *a, struct gauge *b)
{
    struct gauge_sum *s = NEW(struct gauge_sum);

    gauge_read(a, s);
    if (b)
        gauge_read(b, s);
    return s;
}

static void loops_are_added_up(void **state)
{
    struct gauge *a = gauge_new(), *b = gauge_new();
    struct gauge_sum *s;

    (void)state;
    gauge_count(a, GAUGE_SENT);
    gauge_count(b, GAUGE_SENT);
    gauge_count(b, GAUGE_DEFERRED);
    gauge_add(a, GAUGE_DNS, 100);
    gauge_add(b, GAUGE_DNS, 101);
    gauge_add(b, GAUGE_DNS, 3600000000);
    gauge_tls(a, GAUGE_OUT, "TLSv1.2", 3);
    gauge_tls(b, GAUGE_OUT, "TLSv1.2", 3);
    gauge_tls(b, GAUGE_IN, "TLSv9", 77); /* of the future: as the newest */
    s = sum_of(a, b);
    assert_int_equal(s->counters[GAUGE_SENT], 2);
    assert_int_equal(s->counters[GAUGE_DEFERRED], 1);
    assert_int_equal(s->spans[GAUGE_DNS].counts[0], 1); /* up to 100 us */
    assert_int_equal(s->spans[GAUGE_DNS].counts[1], 1);
    assert_int_equal(s->spans[GAUGE_DNS].counts[histogram_moments.count], 1);
    assert_int_equal(s->spans[GAUGE_DNS].sum, 3600000201);
    assert_int_equal(histogram_count(&s->spans[GAUGE_DNS]), 3);
    assert_int_equal(s->tls[GAUGE_OUT][2][3], 2);
    assert_int_equal(s->tls[GAUGE_IN][3][0], 1);
    free(s);
    gauge_free(a);
    gauge_free(b);
}

static void nobody_need_count(void **state)
{
    (void)state;
    gauge_count(NULL, GAUGE_SENT);
    gauge_add(NULL, GAUGE_DNS, 1);
    gauge_tls(NULL, GAUGE_IN, "TLSv1.3", 0);
    assert_int_equal(gauge_listener(NULL, SPAN("x")), 0);
    gauge_opened(NULL, 0);
    gauge_closed(NULL, 0);
    gauge_accepted(NULL, 0);
    gauge_refused(NULL, 0, GAUGE_AT_RCPT);
    gauge_free(NULL);
}

static void listeners_are_told_apart_by_name_wherever_they_are(void **state)
{
    struct gauge *a = gauge_new(), *b = gauge_new();
    struct gauge_sum *s;
    unsigned n;

    (void)state;
    gauge_opened(a, gauge_listener(a, SPAN("edge")));
    gauge_opened(a, gauge_listener(a, SPAN("office")));
    n = gauge_listener(b, SPAN("office"));
    assert_int_equal(gauge_listener(b, SPAN("office")), n);
    gauge_opened(b, n);
    gauge_closed(b, n);
    gauge_accepted(b, n);
    gauge_refused(b, n, GAUGE_AT_RCPT);
    gauge_refused(a, gauge_listener(a, SPAN("edge")), GAUGE_AT_CONNECT);
    s = sum_of(a, b);
    assert_int_equal(s->listener_count, 2);
    assert_string_equal(s->listeners[1].name, "office");
    assert_int_equal(s->listeners[1].opened, 2);
    assert_int_equal(s->listeners[1].closed, 1);
    assert_int_equal(s->listeners[1].accepted, 1);
    assert_int_equal(s->listeners[1].refused[GAUGE_AT_RCPT], 1);
    assert_int_equal(s->counters[GAUGE_ACCEPTED], 1);
    assert_int_equal(gauge_sum_refused(s), 2);
    free(s);
    gauge_free(a);
    gauge_free(b);
}

static void names_of_many_reloads_are_counted_together_in_the_end(void **state)
{
    struct gauge *g[2] = { gauge_new(), gauge_new() };
    struct gauge_sum *s;
    uint64_t opened = 0;
    char name[100];

    (void)state;
    for (int i = 0; i < 1000; i++) {
        /* longer than is kept: what is left of it tells them apart no more */
        (void)snprintf(name, sizeof name, "%d %s", i,
                       i % 2 ? ""
                             : "a name that is far too long to be kept as a "
                               "whole in a table");
        gauge_opened(g[i % 2], gauge_listener(g[i % 2], span_of(name)));
    }
    s = sum_of(g[0], g[1]);
    assert_int_equal(s->listener_count, GAUGE_LISTENERS);
    for (unsigned i = 0; i < s->listener_count; i++)
        opened += s->listeners[i].opened;
    assert_int_equal(opened, 1000);
    free(s);
    gauge_free(g[0]);
    gauge_free(g[1]);
}

enum { TIMES = 200000 };

static void *count_often(void *user)
{
    struct gauge *g = user;
    char name[20];

    for (int i = 0; i < TIMES; i++) {
        gauge_count(g, GAUGE_SENT);
        gauge_add(g, GAUGE_SENDING, (uint64_t)i);
        if (i % 4000 == 0) {
            (void)snprintf(name, sizeof name, "listener %d", i / 4000);
            gauge_opened(g, gauge_listener(g, span_of(name)));
        }
    }
    return NULL;
}

static void it_may_be_read_while_it_counts(void **state)
{
    struct gauge *g = gauge_new();
    struct gauge_sum *s = NULL;
    uint64_t before = 0, n = 0;
    pthread_t thread;

    (void)state;
    assert_int_equal(pthread_create(&thread, NULL, count_often, g), 0);
    while (n < TIMES) {
        s = sum_of(g, NULL);
        n = s->counters[GAUGE_SENT];
        assert_true(n >= before);
        for (unsigned i = 0; i < s->listener_count; i++)
            assert_memory_equal(s->listeners[i].name, "listener ", 9);
        before = n;
        free(s);
    }
    (void)pthread_join(thread, NULL);
    s = sum_of(g, NULL);
    assert_int_equal(histogram_count(&s->spans[GAUGE_SENDING]), TIMES);
    free(s);
    gauge_free(g);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(loops_are_added_up),
        cmocka_unit_test(nobody_need_count),
        cmocka_unit_test(listeners_are_told_apart_by_name_wherever_they_are),
        cmocka_unit_test(names_of_many_reloads_are_counted_together_in_the_end),
        cmocka_unit_test(it_may_be_read_while_it_counts),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
