/*
 * Senders: whose address may a login, or a stranger, use?
 */
#include "policy/senders.h"
#include "policy/vocabulary/limits.h"

#include <stdarg.h>
#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>

static const char table[] = "# who may send as whom\r\n"
                            "joe   joe@example.org, J.Doe@Example.ORG\n"
                            "joe\tnews@lists.test # and this\n"
                            "\n"
                            "ann@ok.test  sales@ok.test\n"
                            "Boss @corp.test,@b\xc3\xbc"
                            "cher.test\n"
                            "robot *\n"
                            "mixed x@y.test,z@y.test";

static bool allows(const struct senders *s, const char *login, const char *from)
{
    struct address a;
    struct span rest;
    char path[600];

    (void)snprintf(path, sizeof path, "<%s>", from);
    assert_int_equal(
        address_parse_path(span_of(path), PATH_REVERSE, true, &a, &rest),
        ADDRESS_OK);
    return senders_allow(s, span_of(login), &a);
}

static void a_login_may_use_what_is_its_own(void **state)
{
    static const struct {
        const char *login, *from;
        bool expected;
    } rows[] = {
        { "joe", "joe@example.org", true },
        { "JOE", "Joe@EXAMPLE.org", true },
        { "joe", "\"j.doe\"@example.org", true },
        { "joe", "news@lists.test", true },
        { "joe", "jane@example.org", false },
        { "joe", "joe@sub.example.org", false },
        { "joe", "sales@ok.test", false },
        { "joe", "", true },
        /* a login that is an address has that too, listed or not */
        { "ann@ok.test", "ann@ok.test", true },
        { "ann@ok.test", "Ann@OK.test", true },
        { "ann@ok.test", "sales@ok.test", true },
        { "ann@ok.test", "joe@ok.test", false },
        { "new@ok.test", "new@ok.test", true },
        { "new@ok.test", "sales@ok.test", false },
        /* domains */
        { "boss", "anybody@corp.test", true },
        { "boss", "anybody@CORP.test", true },
        { "boss", "anybody@sub.corp.test", false },
        { "boss", "x@xn--bcher-kva.test", true },
        { "boss",
          "x@B\xc3\x9c"
          "CHER.test",
          true },
        { "boss", "x@other.test", false },
        /* any */
        { "robot", "whoever@where.test", true },
        { "robot", "joe@example.org", true },
        { "mixed", "z@y.test", true },
        /* nobody knows this login */
        { "stranger", "s@ext.test", false },
        { "stranger", "", true },
        /* not logged in */
        { "", "s@ext.test", true },
        { "", "", true },
        { "", "joe@example.org", false },
        { "", "JOE@Example.org", false },
        { "", "sales@ok.test", false },
        { "", "ann@ok.test", false },
        { "", "new@ok.test", true },
        { "", "x@corp.test", false },
        { "", "x@sub.corp.test", true },
        { "", "whoever@where.test", true },
    };
    struct arena a = { 0 };
    struct buffer faults = { 0 };
    struct senders *s = senders_read(&a, span_of(table), &faults);

    (void)state;
    assert_string_equal(buffer_string(&faults), "");
    assert_non_null(s);
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        if (allows(s, rows[i].login, rows[i].from) != rows[i].expected)
            fail_msg("%s as <%s>", rows[i].login, rows[i].from);
    buffer_fini(&faults);
    arena_reset(&a);
}

static void without_a_table_everything_is_allowed(void **state)
{
    (void)state;
    assert_true(allows(NULL, "joe", "a@b.test"));
    assert_true(allows(NULL, "", "a@b.test"));
}

static void an_empty_table_leaves_logins_their_own_name(void **state)
{
    struct arena a = { 0 };
    struct buffer faults = { 0 };
    struct senders *s = senders_read(&a, SPAN("# nobody yet\n"), &faults);

    (void)state;
    assert_non_null(s);
    assert_false(allows(s, "joe", "a@b.test"));
    assert_true(allows(s, "joe@b.test", "joe@b.test"));
    assert_true(allows(s, "", "a@b.test"));
    arena_reset(&a);
}

/* A login longer than any may be owns nothing; one as long as may be fits. */
static void long_logins_stay_within_bounds(void **state)
{
    struct arena a = { 0 };
    struct buffer text = { 0 }, faults = { 0 };
    char login[LIMIT_LOGIN + 2] = { 0 }, address[LIMIT_PATH] = { 0 };
    struct senders *s;

    (void)state;
    memset(login, 'l', LIMIT_LOGIN);
    memset(address, 'a', LIMIT_LOCAL_PART);
    address[LIMIT_LOCAL_PART] = '@';
    for (size_t i = 0; i < 3; i++)
        (void)snprintf(address + strlen(address),
                       sizeof address - strlen(address), "%060d.", 0);
    (void)snprintf(address + strlen(address), sizeof address - strlen(address),
                   "a.test");
    buffer_printf(&text, "%s %s\n", login, address);
    s = senders_read(&a, buffer_span(&text), &faults);
    assert_string_equal(buffer_string(&faults), "");
    assert_true(allows(s, login, address));
    login[LIMIT_LOGIN] = 'l';
    assert_false(allows(s, login, address));
    buffer_clear(&text);
    buffer_printf(&text, "%s %s\n", login, address);
    assert_null(senders_read(&a, buffer_span(&text), &faults));
    assert_non_null(strstr(buffer_string(&faults), "is not a login"));
    buffer_fini(&text);
    buffer_fini(&faults);
    arena_reset(&a);
}

static void faults_say_line_and_column(void **state)
{
    static const char text[] = "joe joe@example.org\n"
                               "ann\n"
                               "  bob bob@, @, example.org\n"
                               "j\xc3\xb6 <j@b.test>\n"
                               "bad\xff a@b.test\n"
                               "tim @.test # why\n";
    static const char expected[] =
        "2:1: \"ann\" has no address after it\n"
        "3:7: \"bob@\" is not a well-formed address: a@b, @domain or *\n"
        "3:13: \"@\" is not a well-formed address: a@b, @domain or *\n"
        "3:16: \"example.org\" is not an address: a@b, @domain or *\n"
        "4:4: \"<j@b.test>\" is not a well-formed address: a@b, @domain or *\n"
        "5:1: \"bad\\xFF\" is not a login\n"
        "6:5: \"@.test\" is not a well-formed address: a@b, @domain or *\n";
    struct arena a = { 0 };
    struct buffer faults = { 0 };

    (void)state;
    assert_null(senders_read(&a, span_of(text), &faults));
    assert_string_equal(buffer_string(&faults), expected);
    buffer_fini(&faults);
    arena_reset(&a);
}

static void a_hundred_thousand_lines_are_all_known(void **state)
{
    struct arena a = { 0 };
    struct buffer text = { 0 }, faults = { 0 };
    struct senders *s;

    (void)state;
    for (int i = 0; i < 100000; i++)
        buffer_printf(&text, "user%d user%d@d%d.test\n", i, i, i % 100);
    s = senders_read(&a, buffer_span(&text), &faults);
    assert_non_null(s);
    for (int i = 0; i < 100000; i += 997) {
        char login[32], own[64], others[64];

        (void)snprintf(login, sizeof login, "user%d", i);
        (void)snprintf(own, sizeof own, "user%d@d%d.test", i, i % 100);
        (void)snprintf(others, sizeof others, "user%d@d%d.test", i + 1,
                       (i + 1) % 100);
        assert_true(allows(s, login, own));
        assert_false(allows(s, login, others));
        assert_false(allows(s, "", own));
    }
    buffer_fini(&text);
    buffer_fini(&faults);
    arena_reset(&a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_login_may_use_what_is_its_own),
        cmocka_unit_test(without_a_table_everything_is_allowed),
        cmocka_unit_test(an_empty_table_leaves_logins_their_own_name),
        cmocka_unit_test(long_logins_stay_within_bounds),
        cmocka_unit_test(faults_say_line_and_column),
        cmocka_unit_test(a_hundred_thousand_lines_are_all_known),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
