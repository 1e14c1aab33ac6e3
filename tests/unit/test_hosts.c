/*
 * hosts: the host's own table, read as hosts(5) says and found by name.
 */
#include "relay/net/hosts.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <cmocka.h>

static const char text[] = "# a comment\n"
                           "127.0.0.1\tlocalhost\n"
                           "::1 localhost ip6-localhost\n"
                           "  192.0.2.1   Mail.Example mail # the first\n"
                           "192.0.2.2 mail.example.\r\n"
                           "not-an-address mail.example\n"
                           "192.0.2.300 mail.example\n"
                           "fe80::1%lo0 mail.example\n"
                           "192.0.2.3\n"
                           "192.0.2.4 #hidden.example\n"
                           "\n\t\n"
                           "192.0.2.9 last.example";

static void names_are_found_without_case_in_the_order_of_the_file(void **state)
{
    static const struct {
        const char *name;
        const char *addresses[3];
    } rows[] = {
        { "localhost", { "127.0.0.1", "::1" } },
        { "LOCALHOST.", { "127.0.0.1", "::1" } },
        { "ip6-localhost", { "::1" } },
        { "mail", { "192.0.2.1" } },
        { "mail.example", { "192.0.2.1", "192.0.2.2" } },
        { "last.example", { "192.0.2.9" } },
        { "hidden.example", { NULL } },
        { "mail.exampl", { NULL } },
        { "mail.example.org", { NULL } },
        { "first", { NULL } },
        { "", { NULL } },
        { "#", { NULL } },
    };
    struct hosts *h = hosts_new(span_of(text));

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct host_address got[8], want;
        size_t n = hosts_find(h, span_of(rows[i].name), got, 8), k = 0;

        for (; k < n; k++) {
            assert_non_null(rows[i].addresses[k]);
            assert_true(
                host_address_parse(span_of(rows[i].addresses[k]), &want));
            assert_true(host_address_is(&got[k], &want));
        }
        assert_null(rows[i].addresses[k]);
    }
    hosts_free(h);
}

static void no_more_is_given_than_asked_for(void **state)
{
    struct hosts *h = hosts_new(span_of(text));
    struct host_address one;

    (void)state;
    assert_int_equal(hosts_find(h, SPAN("localhost"), &one, 1), 1);
    assert_int_equal(hosts_find(h, SPAN("localhost"), &one, 0), 0);
    hosts_free(h);
}

static void an_empty_or_a_missing_table_knows_nobody(void **state)
{
    struct hosts *empty = hosts_new(SPAN(""));
    struct hosts *missing = hosts_read("/nonexistent/hosts");
    struct hosts *nul = hosts_new(SPAN("192.0.2.1 a\0b\n"));
    struct host_address one;

    (void)state;
    assert_int_equal(hosts_find(empty, SPAN("localhost"), &one, 1), 0);
    assert_int_equal(hosts_find(missing, SPAN("localhost"), &one, 1), 0);
    assert_int_equal(hosts_find(nul, SPAN("a"), &one, 1), 0);
    hosts_free(empty);
    hosts_free(missing);
    hosts_free(nul);
    hosts_free(NULL);
}

static void each_of_many_names_is_found(void **state)
{
    struct buffer many = { 0 };
    struct hosts *h;
    struct host_address got;

    (void)state;
    for (unsigned i = 0; i < 3000; i++)
        buffer_printf(&many, "10.0.%u.%u n%u.example\n", i / 256, i % 256,
                      i * 7919 % 3000);
    h = hosts_new(buffer_span(&many));
    for (unsigned i = 0; i < 3000; i++) {
        char name[32];
        int len = snprintf(name, sizeof name, "n%u.example", i * 7919 % 3000);

        assert_int_equal(hosts_find(h, span_make(name, (size_t)len), &got, 1),
                         1);
        assert_int_equal(got.bytes[14] * 256 + got.bytes[15], i);
    }
    hosts_free(h);
    buffer_fini(&many);
}

static void an_address_has_the_name_that_stands_first_for_it(void **state)
{
    static const struct {
        const char *address, *name;
    } rows[] = {
        { "127.0.0.1", "localhost" },
        { "::ffff:127.0.0.1", "localhost" },
        { "::1", "localhost" },
        { "192.0.2.1", "Mail.Example" },
        { "192.0.2.2", "mail.example" },
        { "192.0.2.9", "last.example" },
        { "192.0.2.3", "" },
        { "192.0.2.4", "" },
        { "0.0.0.0", "" },
        { "ffff::", "" },
    };
    struct hosts *h = hosts_new(span_of(text)), *none = hosts_new(SPAN(""));

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct host_address a;

        assert_true(host_address_parse(span_of(rows[i].address), &a));
        if (!span_is(hosts_find_name(h, &a), span_of(rows[i].name)))
            fail_msg("%s is not %s", rows[i].address, rows[i].name);
        assert_int_equal(hosts_find_name(none, &a).len, 0);
    }
    hosts_free(h);
    hosts_free(none);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names_are_found_without_case_in_the_order_of_the_file),
        cmocka_unit_test(no_more_is_given_than_asked_for),
        cmocka_unit_test(an_empty_or_a_missing_table_knows_nobody),
        cmocka_unit_test(each_of_many_names_is_found),
        cmocka_unit_test(an_address_has_the_name_that_stands_first_for_it),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
