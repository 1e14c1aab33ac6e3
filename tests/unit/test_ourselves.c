/*
 * Which addresses are our own postmaster's.
 */
#include "policy/ourselves.h"
#include "tests/unit/settings_text.h"

#include <stdarg.h>
#include <setjmp.h>
#include <cmocka.h>

struct row {
    const char *path;
    bool expected;
};

static void check(const char *text, const struct row *rows, size_t count)
{
    struct buffer faults = { 0 }, warnings = { 0 };
    struct settings *s = settings_text(text, &faults, &warnings);

    assert_non_null(s);
    for (size_t i = 0; i < count; i++) {
        struct address a;
        struct span rest;
        enum path_kind kind = span_is(span_of(rows[i].path), SPAN("<>"))
                                  ? PATH_REVERSE
                                  : PATH_FORWARD;

        assert_int_equal(
            address_parse_path(span_of(rows[i].path), kind, true, &a, &rest),
            ADDRESS_OK);
        if (is_our_postmaster(s, &a) != rows[i].expected)
            fail_msg("%s", rows[i].path);
    }
    settings_release(s);
    buffer_fini(&faults);
    buffer_fini(&warnings);
}

static void postmaster_at_our_names_is_ours(void **state)
{
    static const struct row rows[] = {
        { "<postmaster>", true },
        { "<PostMaster>", true },
        { "<postmaster@mx.ok.test>", true },
        { "<Postmaster@MX.OK.test>", true },
        { "<\"postmaster\"@mx.ok.test>", true },
        { "<postmaster@ok.test>", true },
        { "<mailer-daemon@ok.test>", true },
        { "<MAILER-DAEMON@mx.ok.test>", true },
        { "<postmaster@[192.0.2.1]>", true },
        { "<postmaster@[IPv6:2001:DB8::1]>", true },
        { "<postmaster@[192.0.2.2]>", false },
        { "<postmaster@[0.0.0.0]>", false },
        { "<postmaster@[IPv6:::]>", false },
        { "<postmaster@sub.ok.test>", false },
        { "<postmaster@test>", false },
        { "<postmaster@ext.test>", false },
        { "<postmaster%ext.test@ok.test>", false },
        { "<abuse@ok.test>", false },
        { "<postmasters@ok.test>", false },
        { "<>", false },
    };

    (void)state;
    check("hostname = mx.ok.test origin = ok.test\n"
          "listener { address = \"192.0.2.1:25\" }\n"
          "listener { address = \"[2001:db8::1]:25\" }\n"
          "listener { address = \"[::]:2525\" }\n"
          "listener { address = \"0.0.0.0:25\" }\n",
          rows, sizeof rows / sizeof rows[0]);
}

static void a_host_may_be_called_by_its_address(void **state)
{
    static const struct row rows[] = {
        { "<postmaster@[192.0.2.9]>", true },
        { "<postmaster@[192.0.2.1]>", false },
    };

    (void)state;
    check("hostname = \"[192.0.2.9]\" origin = ok.test\n", rows, 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(postmaster_at_our_names_is_ours),
        cmocka_unit_test(a_host_may_be_called_by_its_address),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
