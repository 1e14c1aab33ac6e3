/*
 * test_scorecard - which rules decide how often.
 */
#include "policy/vocabulary/buffer.h"
#include "relay/net/scorecard.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

static void put(void *user, struct span rule, unsigned code, uint64_t count)
{
    buffer_printf(user, "%.*s %u %llu\n", SPAN_FMT(rule), code,
                  (unsigned long long)count);
}

static void the_busiest_come_first_and_codes_are_told_apart(void **state)
{
    struct scorecard *c = scorecard_new();
    struct buffer b = { 0 };

    (void)state;
    scorecard_busiest(c, 100, put, &b);
    assert_int_equal(b.len, 0);
    for (int i = 0; i < 3; i++)
        scorecard_add(c, SPAN("ours"), 250);
    scorecard_add(c, SPAN("list"), 554);
    scorecard_add(c, SPAN(""), 554);
    scorecard_add(c, SPAN(""), 554);
    scorecard_add(c, SPAN("list"), 450);
    scorecard_add(NULL, SPAN("list"), 450);
    scorecard_busiest(c, 3, put, &b);
    assert_string_equal(buffer_string(&b), "ours 250 3\n 554 2\nlist 450 1\n");
    buffer_fini(&b);
    scorecard_free(c);
}

static void rules_of_many_reloads_are_counted_together_in_the_end(void **state)
{
    struct scorecard *c = scorecard_new();
    struct buffer b = { 0 };
    char title[20];

    (void)state;
    for (int i = 0; i < SCORECARD_ROWS + 7; i++) {
        (void)snprintf(title, sizeof title, "rule %d", i);
        scorecard_add(c, span_of(title), 250);
    }
    scorecard_busiest(c, 1, put, &b);
    assert_string_equal(buffer_string(&b), " 250 7\n");
    buffer_fini(&b);
    scorecard_free(c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_busiest_come_first_and_codes_are_told_apart),
        cmocka_unit_test(rules_of_many_reloads_are_counted_together_in_the_end),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
