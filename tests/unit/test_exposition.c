/*
 * test_exposition - figures as Prometheus reads them.
 */
#include "relay/admin/exposition.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

static void is(struct buffer *b, const char *want)
{
    assert_string_equal(buffer_string(b), want);
    buffer_fini(b);
}

static void a_family_says_what_it_is_before_its_samples(void **state)
{
    struct buffer b = { 0 };

    (void)state;
    exposition_single(&b, "waypost_x_total", EXPOSITION_COUNTER, "Of x.", 12);
    is(&b, "# HELP waypost_x_total Of x.\n"
           "# TYPE waypost_x_total counter\n"
           "waypost_x_total 12\n");
}

static void whole_numbers_are_exact_and_others_are_short(void **state)
{
    static const struct {
        double value;
        const char *line;
    } rows[] = {
        { 0, "x 0\n" },
        { -3, "x -3\n" },
        { 0.004, "x 0.004\n" },
        { 1795342976.222, "x 1795342976.222\n" },
        { 9007199254740991.0, "x 9007199254740991\n" },
        { 1e22, "x 1e+22\n" },
    };
    struct buffer b = { 0 };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        exposition_sample(&b, "x", NULL, rows[i].value);
        is(&b, rows[i].line);
    }
}

static void what_strangers_say_stays_in_its_quotes(void **state)
{
    static const struct {
        struct span value;
        const char *line;
    } rows[] = {
        { SPAN_INIT("a b"), "x{n=\"a b\"} 1\n" },
        { SPAN_INIT("say \"hi\""), "x{n=\"say \\\"hi\\\"\"} 1\n" },
        { SPAN_INIT("back\\slash"), "x{n=\"back\\\\slash\"} 1\n" },
        { SPAN_INIT("two\nlines\r"), "x{n=\"two\\nlines?\"} 1\n" },
        { SPAN_INIT("\x1b[31m\0z"), "x{n=\"?[31m?z\"} 1\n" },
        { SPAN_INIT("\xff\xc3"), "x{n=\"??\"} 1\n" },
        { SPAN_INIT("b\xc3\xbc.test"), "x{n=\"b\xc3\xbc.test\"} 1\n" },
        { SPAN_INIT(""), "x{n=\"\"} 1\n" },
    };
    struct buffer b = { 0 };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        const struct exposition_label labels[] = { { "n", rows[i].value },
                                                   { NULL, SPAN("") } };

        exposition_sample(&b, "x", labels, 1);
        is(&b, rows[i].line);
    }
}

static void a_long_value_is_cut_between_characters(void **state)
{
    char at[600];
    const struct exposition_label labels[] = { { "n", span_make(at, 600) },
                                               { NULL, SPAN("") } };
    struct buffer b = { 0 };

    (void)state;
    for (size_t i = 0; i < sizeof at; i++)
        at[i] =
            (char)(i % 2 ? 0xbc : 0xc3); /* 255 bytes: half of one is left */
    exposition_sample(&b, "x", labels, 1);
    assert_int_equal(b.len, 5 + 254 + 1 + 5);
    assert_memory_equal(b.at + b.len - 6, "?\"} 1\n", 6);
    buffer_fini(&b);
}

static void buckets_are_cumulative_and_in_the_unit(void **state)
{
    static const uint64_t bounds[] = { 500, 1000, 2000000 };
    static const struct histogram_scale scale = { bounds, 3, 1e6 };
    const struct exposition_label labels[] = { { "stage", SPAN("sending") },
                                               { NULL, SPAN("") } };
    struct histogram h = { 0 };
    struct histogram_sum sum = { 0 };
    struct buffer b = { 0 };

    (void)state;
    histogram_add(&h, &scale, 500); /* a bound belongs below itself */
    histogram_add(&h, &scale, 501);
    histogram_add(&h, &scale, 2000001);
    histogram_read(&h, &sum);
    histogram_read(&h, &sum); /* of two loops */
    exposition_histogram(&b, "x_seconds", labels, &scale, &sum);
    is(&b, "x_seconds_bucket{stage=\"sending\",le=\"0.0005\"} 2\n"
           "x_seconds_bucket{stage=\"sending\",le=\"0.001\"} 4\n"
           "x_seconds_bucket{stage=\"sending\",le=\"2\"} 4\n"
           "x_seconds_bucket{stage=\"sending\",le=\"+Inf\"} 6\n"
           "x_seconds_sum{stage=\"sending\"} 4.002004\n"
           "x_seconds_count{stage=\"sending\"} 6\n");
    exposition_histogram(&b, "x", NULL, &scale, &sum);
    assert_memory_equal(b.at, "x_bucket{le=\"0.0005\"} 2\n", 24);
    buffer_fini(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_family_says_what_it_is_before_its_samples),
        cmocka_unit_test(whole_numbers_are_exact_and_others_are_short),
        cmocka_unit_test(what_strangers_say_stays_in_its_quotes),
        cmocka_unit_test(a_long_value_is_cut_between_characters),
        cmocka_unit_test(buckets_are_cumulative_and_in_the_unit),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
