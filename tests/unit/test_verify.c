/*
 * verify in the configuration: who is asked whether a recipient is known.
 */
#include "policy/table.h"
#include "tests/unit/settings_faults.h"

static void everything_about_it_is_heard(void **state)
{
    struct settings *s = read_well(
        "route \"a.test\" { via = \"smtp://a\" verify = callout\n"
        "  verify-known = 2d verify-refused = 5min verify-unknown = accept }\n"
        "route \"b.test\" { via = mx verify = callout }\n"
        "route \"c.test\" { via = \"pickup:c\" verify = callout\n"
        "  offline { deliver-to = \"smtp://c\" } }\n"
        "route \"d.test\" { via = mx }\n");
    const struct verify_settings *v = &s->routes[0].verify;

    (void)state;
    assert_true(s->verifies);
    assert_int_equal(v->how, VERIFY_CALLOUT);
    assert_int_equal(v->unknown, VERIFY_UNKNOWN_ACCEPTS);
    assert_int_equal(v->known_ms, 2ll * 24 * 3600 * 1000);
    assert_int_equal(v->refused_ms, 300 * 1000);
    v = &s->routes[1].verify;
    assert_int_equal(v->how, VERIFY_CALLOUT);
    assert_int_equal(v->unknown, VERIFY_UNKNOWN_DEFERS);
    assert_int_equal(v->known_ms, 7ll * 24 * 3600 * 1000);
    assert_int_equal(v->refused_ms, 3600 * 1000);
    assert_int_equal(s->routes[2].verify.how, VERIFY_CALLOUT);
    assert_int_equal(s->routes[3].verify.how, VERIFY_NOT);
    settings_release(s);
    s = read_well("route \"*\" { via = mx }\n");
    assert_false(s->verifies);
    settings_release(s);
}

static void faults_are_told(void **state)
{
    static const struct fault_row rows[] = {
        { "route \"*\" { via = mx verify = always }\n",
          { "w.conf:1:31: \"always\" is not a way to find out who is known "
            "there: callout, or \"table:FILE\"" } },
        { "route \"*\" { via = mx verify = \"table:/nonexistent\" }\n",
          { "cannot read the table \"/nonexistent\"" } },
        { "route \"*\" { via = \"pickup:x\" verify = callout }\n",
          { "w.conf:1:30: \"pickup:x\" cannot be asked who is known there, for "
            "offline { } has no deliver-to" } },
        { "route \"*\" { via = \"maildir:/m/%d/%u\" verify = callout }\n",
          { "\"maildir:/m/%d/%u\" cannot be asked who is known there" } },
        { "route \"*\" { via = mx verify-known = 1d\n"
          "verify-unknown = defer }\n",
          { "w.conf:1:22: verify-known goes with verify = callout",
            "w.conf:2:1: verify-unknown goes with verify = callout" } },
        { "route \"*\" { via = mx verify = callout verify-known = 0\n"
          "verify-refused = never verify-unknown = perhaps }\n",
          { "verify-known", "verify-refused", "verify-unknown" } },
    };

    (void)state;
    CHECK_FAULTS(rows);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(everything_about_it_is_heard),
        cmocka_unit_test(faults_are_told),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
