/*
 * test_expression - what an expression may cost, however long the text is.
 */
#include "policy/expression.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

struct world {
    struct arena arena;
    struct buffer why, text;
};

static const struct expression *parse(struct world *w, const char *text)
{
    const struct expression *e =
        expression_parse(&w->arena, span_of(text), &w->why);

    assert_non_null(e);
    return e;
}

static struct span repeat(struct world *w, const char *piece, size_t count,
                          const char *end)
{
    buffer_clear(&w->text);
    for (size_t i = 0; i < count; i++)
        buffer_put_string(&w->text, piece);
    buffer_put_string(&w->text, end);
    return buffer_span(&w->text);
}

static void world_fini(struct world *w)
{
    arena_reset(&w->arena);
    buffer_fini(&w->why);
    buffer_fini(&w->text);
}

/* PCRE2's own limit is one for each place of the text. */
static void what_costs_a_little_everywhere_costs_too_much(void **state)
{
    struct world w = { 0 };
    const struct expression *e = parse(&w, "(a+)+$");

    (void)state;
    assert_int_equal(ANSWER_NO,
                     expression_matches(e, repeat(&w, "aaaa!", 10, "")));
    assert_int_equal(
        ANSWER_UNKNOWN,
        expression_matches(e, repeat(&w, "aaaaaaaaaaaa!", 20000, "")));
    world_fini(&w);
}

static void what_is_only_long_is_told(void **state)
{
    static const struct {
        const char *expression, *piece, *end;
        size_t count;
        enum answer answer;
    } cases[] = {
        { "you.*won", "x", "", 200000, ANSWER_NO },
        { "you.*won", "you x ", "won", 1, ANSWER_YES },
        { "^to .*list@", "to one@example.org, ", "", 1500, ANSWER_NO },
        { "^to .*list@", "to one@example.org, ", "list@", 1500, ANSWER_YES },
        { "(one|two|three)@.*$", "to none@example.org, ", "", 20, ANSWER_YES },
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct world w = { 0 };
        const struct expression *e = parse(&w, cases[i].expression);

        assert_int_equal(
            cases[i].answer,
            expression_matches(
                e, repeat(&w, cases[i].piece, cases[i].count, cases[i].end)));
        world_fini(&w);
    }
}

static void a_meter_bounds_many_texts_together(void **state)
{
    struct world w = { 0 };
    const struct expression *e = parse(&w, "^(a+)+$");
    struct span dear = repeat(&w, "a", 12, "!");
    struct expression_meter outer, inner;
    size_t told = 0;

    (void)state;
    expression_meter_begin(&outer);
    for (size_t i = 0; i < 1000; i++) {
        expression_meter_begin(&inner);
        told += expression_matches(e, dear) == ANSWER_NO;
        expression_meter_end(&inner);
    }
    /* what is cheap is told all the same */
    assert_int_equal(ANSWER_YES, expression_matches(e, SPAN("aaa")));
    expression_meter_end(&outer);
    assert_in_range(told, 5, 500);
    assert_int_equal(ANSWER_NO, expression_matches(e, dear));
    world_fini(&w);
}

static void groups_are_found_where_it_was_dear_too(void **state)
{
    struct world w = { 0 };
    const struct expression *e = parse(&w, "^(?:(a+)+|(a+))!(.)$");
    struct span groups[EXPRESSION_GROUPS];

    (void)state;
    assert_int_equal(ANSWER_YES,
                     expression_find(e, repeat(&w, "a", 3000, "!x"), groups));
    assert_true(span_is(groups[3], SPAN("x")));
    world_fini(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_costs_a_little_everywhere_costs_too_much),
        cmocka_unit_test(what_is_only_long_is_told),
        cmocka_unit_test(a_meter_bounds_many_texts_together),
        cmocka_unit_test(groups_are_found_where_it_was_dear_too),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
