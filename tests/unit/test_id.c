/*
 * Ids of messages: in order, never twice, the same after printing. And the
 * texts of errors.
 */
#include "policy/vocabulary/error.h"
#include "policy/vocabulary/id.h"

#include <errno.h>
#include <stdarg.h>
#include <setjmp.h>
#include <cmocka.h>

static void an_id_is_larger_than_the_last_whatever_the_clock_says(void **state)
{
    const int64_t now = 1700000000000000;
    uint64_t id = id_next(0, now), later;

    (void)state;
    for (int i = 0; i < 1000; i++) {
        later = id_next(id, now);
        assert_true(later > id);
        id = later;
    }
    later = id_next(id, now - 3600000000); /* set back by an hour */
    assert_true(later == id + 1);
    assert_true(id_next(id, now + 1000000) == (uint64_t)(now + 1000000) << 8);
}

static void an_id_is_the_same_after_printing(void **state)
{
    static const uint64_t ids[] = {
        0, 1, 31, 32, 435200000000000000, INT64_MAX
    };
    uint64_t back;

    (void)state;
    for (size_t i = 0; i < sizeof ids / sizeof ids[0]; i++) {
        struct id_text text = id_print(ids[i]);

        assert_int_equal(strlen(text.at), ID_LENGTH);
        assert_true(id_parse(span_of(text.at), &back));
        assert_true(back == ids[i]);
        for (char *p = text.at; *p; p++)
            *p = ascii_lower(*p);
        assert_true(id_parse(span_of(text.at), &back));
        assert_true(back == ids[i]);
    }
    assert_true(strcmp(id_print(1).at, id_print(2).at) < 0);
}

static void what_is_no_id_is_refused(void **state)
{
    static const char *const bad[] = { "",
                                       "000000000000",
                                       "00000000000000",
                                       "000000000000I",
                                       "000000000000U",
                                       "000000000000-",
                                       "8000000000000" };
    uint64_t id = 5;

    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        assert_false(id_parse(span_of(bad[i]), &id));
    assert_false(id_parse(span_make("000000000000\0", 13), &id));
    assert_true(id == 5);
}

static void every_error_has_a_text(void **state)
{
    (void)state;
    for (int rc = ERROR_BASE + 1; rc < ERROR_END; rc++)
        assert_true(strlen(error_text(rc)) > 0);
    assert_string_equal(error_text(ERROR_FULL), "disk is full");
    assert_string_equal(error_text(-ENOENT), "No such file or directory");
    assert_string_equal(error_text(-99999), "unknown error");
    assert_string_equal(error_text(0), "no error");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_id_is_larger_than_the_last_whatever_the_clock_says),
        cmocka_unit_test(an_id_is_the_same_after_printing),
        cmocka_unit_test(what_is_no_id_is_refused),
        cmocka_unit_test(every_error_has_a_text),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
