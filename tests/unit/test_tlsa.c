/*
 * test_tlsa - which records say anything about a mail server's certificate.
 */
#include "policy/tlsa.h"

#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

static void only_what_names_the_hosts_own_keys_is_usable(void **state)
{
    static const struct {
        unsigned char usage, selector, matching;
        size_t len;
        bool is_usable;
    } rows[] = {
        { 3, 1, 1, 32, true },
        { 3, 0, 1, 32, true },
        { 3, 1, 2, 64, true },
        { 2, 0, 1, 32, true },
        { 2, 1, 2, 64, true },
        { 2, 0, 0, 900, true },
        { 3, 1, 0, 91, true },
        { 3, 0, 0, TLSA_DATA_MOST, true },
        { 0, 0, 1, 32, false },
        { 1, 1, 1, 32, false },
        { 4, 1, 1, 32, false },
        { 255, 1, 1, 32, false },
        { 3, 2, 1, 32, false },
        { 3, 1, 3, 32, false },
        { 3, 1, 1, 31, false },
        { 3, 1, 1, 64, false },
        { 3, 1, 2, 32, false },
        { 3, 1, 1, 1, false },
        { 3, 0, 0, TLSA_DATA_MOST + 1, false },
    };
    static char data[TLSA_DATA_MOST + 4];

    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct tlsa t;

        data[0] = (char)rows[i].usage;
        data[1] = (char)rows[i].selector;
        data[2] = (char)rows[i].matching;
        assert_true(tlsa_read(span_make(data, rows[i].len + 3), &t));
        assert_int_equal(t.usage, rows[i].usage);
        assert_int_equal(t.data.len, rows[i].len);
        assert_int_equal(tlsa_is_usable(&t), rows[i].is_usable);
    }
}

static void a_record_without_data_is_none(void **state)
{
    struct tlsa t;

    (void)state;
    for (size_t len = 0; len < 4; len++)
        assert_false(tlsa_read(span_make("\3\1\1", len), &t));
}

static void a_record_is_shown_as_zones_have_it(void **state)
{
    char data[TLSA_DATA_MOST] = { 3, 1, 1, (char)0xab, 0x01 };
    struct buffer b = { 0 };
    struct tlsa t;

    (void)state;
    assert_true(tlsa_read(span_make(data, 5), &t));
    tlsa_print(&b, &t);
    assert_string_equal(buffer_string(&b), "3 1 1 ab01");
    buffer_clear(&b);
    assert_true(tlsa_read(span_make(data, sizeof data), &t));
    tlsa_print(&b, &t);
    assert_int_equal(b.len, strlen("3 1 1 ") + 64 + strlen("..."));
    buffer_fini(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(only_what_names_the_hosts_own_keys_is_usable),
        cmocka_unit_test(a_record_without_data_is_none),
        cmocka_unit_test(a_record_is_shown_as_zones_have_it),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
