/*
 * Names: exact without case, globs, and that no glob takes long.
 */
#include "policy/names.h"

#include <stdarg.h>
#include <setjmp.h>
#include <stdio.h>
#include <cmocka.h>

static void names_match_what_they_say(void **state)
{
    static const struct {
        const char *pattern, *name;
        bool expected;
    } rows[] = {
        { "joe", "joe", true },
        { "Joe", "jOE", true },
        { "joe", "joey", false },
        { "joe", "jo", false },
        { "joe", "", false },
        { "*", "anyone", true },
        { "*", "", false },
        { "**", "x", true },
        { "*@example.org", "A@EXAMPLE.org", true },
        { "*@example.org", "@example.org", true },
        { "*@example.org", "a@sub.example.org", false },
        { "*@example.org", "a@example.org.test", false },
        { "a*", "a", true },
        { "a*", "ba", false },
        { "a*b*c", "axxbyyc", true },
        { "a*b*c", "abbbcc", true },
        { "a*b*c", "acb", false },
        { "a*b", "ab*", false },
        { "*ab", "aab", true },
        { "joe*", "jo", false },
        { "j\xc3\xb6*", "J\xc3\xb6rg", true },
        { "j\xc3\xb6", "j\xc3\x96", false },
        { "?", "x", false },
        { "[a]", "a", false },
    };
    struct arena a = { 0 };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct span pattern = span_of(rows[i].pattern);
        struct names n;

        names_init(&n, &a, &pattern, 1);
        if (names_have(&n, span_of(rows[i].name)) != rows[i].expected)
            fail_msg("%s %s", rows[i].pattern, rows[i].name);
    }
    arena_reset(&a);
}

static void each_of_many_names_is_found(void **state)
{
    enum { COUNT = 3000 };
    static char texts[COUNT][16];
    static struct span all[COUNT];
    struct arena a = { 0 };
    struct names n;

    (void)state;
    for (int i = 0; i < COUNT; i++) {
        (void)snprintf(texts[i], sizeof texts[i], "%s%d", i % 2 ? "U" : "u",
                       i * 7919 % COUNT);
        all[i] = span_of(texts[i]);
    }
    names_init(&n, &a, all, COUNT);
    assert_int_equal(n.exact_count, COUNT);
    for (int i = 0; i < COUNT; i++)
        assert_true(names_have(&n, all[i]));
    assert_false(names_have(&n, SPAN("u3000")));
    assert_false(names_have(&n, SPAN("u")));
    names_init(&n, &a, NULL, 0);
    assert_false(names_have(&n, SPAN("u1")));
    arena_reset(&a);
}

/* With backtracking into every star this would not end. */
static void a_glob_of_many_stars_takes_no_time(void **state)
{
    static const struct span glob = SPAN_INIT("*a*a*a*a*a*a*a*a*a*a*a*a*b");
    struct arena a = { 0 };
    struct names n;
    char name[255];

    (void)state;
    memset(name, 'a', sizeof name);
    names_init(&n, &a, &glob, 1);
    assert_false(names_have(&n, span_make(name, sizeof name)));
    name[254] = 'B';
    assert_true(names_have(&n, span_make(name, sizeof name)));
    arena_reset(&a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names_match_what_they_say),
        cmocka_unit_test(each_of_many_names_is_found),
        cmocka_unit_test(a_glob_of_many_stars_takes_no_time),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
