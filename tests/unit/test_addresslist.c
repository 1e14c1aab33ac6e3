/*
 * test_addresslist - where the addresses of a header field stand.
 */
#include "relay/inbound/addresslist.h"

#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

/* Each address as "spec" or, when it is bare, "spec/end"; "!" when broken. */
static void print(struct buffer *b, struct span value)
{
    struct addresslist l;
    struct listed a;

    addresslist_init(&l, value);
    while (addresslist_next(&l, &a)) {
        if (b->len)
            buffer_put_byte(b, ' ');
        buffer_put(b, a.spec.len ? a.spec : SPAN("-"));
        if (a.is_bare)
            buffer_printf(b, "/%zu", a.end);
    }
    if (l.is_broken)
        buffer_put_byte(b, '!');
    addresslist_fini(&l);
}

static void addresses_are_found_in_a_list(void **state)
{
    static const struct {
        const char *value, *wanted;
    } rows[] = {
        { "", "" },
        { " a@b.test", "a@b.test" },
        { " a@b.test, c@d.test", "a@b.test c@d.test" },
        { " a@b.test,\r\n\tc@d.test,,", "a@b.test c@d.test" },
        { " joe", "joe/4" },
        { " joe, ann ", "joe/4 ann/9" },
        { " Joe User <joe>", "joe/14" },
        { " Joe <joe>, ann@b.test", "joe/9 ann@b.test" },
        { " \"a, b <c>\" <joe>", "joe/16" },
        { " \"joe user\"", "\"joe user\"/11" },
        { " \"joe\".user", "\"joe\".user/11" },
        { " (a, (b) \\) c) joe (x@y)", "joe/18" },
        { " joe(x)@b.test", "joe@b.test" },
        { " joe @ b.test", "joe@b.test" },
        { " < joe >", "joe/6" },
        { " <joe@[192.0.2.1]>", "joe@[192.0.2.1]" },
        { " <@a,@b:joe@c>", "@a,@b:joe@c" },
        { " a@b <a@b>, c@d.test", "a@b c@d.test" },
        { " friends: joe, ann@b.test;, x@y", "joe/13 ann@b.test x@y" },
        { " undisclosed-recipients:;", "" },
        { " =?utf-8?q?joe?=", "=?utf-8?q?joe?=" },
        { " =?utf-8?q?J=C3=BC?= <joe>", "joe/25" },
        { " J\xc3\xbcrgen", "J\xc3\xbcrgen/8" },
        { " joe user", "-" },
        { " <>", "-" },
        { " [192.0.2.1]", "[192.0.2.1]" },
        { " \"joe", "!" },
        { " (joe", "!" },
        { " joe)", "!" },
        { " <joe", "!" },
        { " joe>", "!" },
        { " <joe> ann", "!" },
        { " <joe> <ann>", "!" },
        { " <a@b<c@d>", "!" },
        { " <a;b>", "!" },
        { " a@b.test, \"", "a@b.test!" },
        { " a\x01", "!" },
        { " \\", "!" },
    };

    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct buffer b = { 0 };

        print(&b, span_of(rows[i].value));
        assert_string_equal(buffer_string(&b), rows[i].wanted);
        buffer_fini(&b);
    }
}

static void a_nul_breaks_a_list(void **state)
{
    struct buffer b = { 0 };

    (void)state;
    print(&b, SPAN("a\0b@c.test"));
    assert_string_equal(buffer_string(&b), "!");
    buffer_fini(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(addresses_are_found_in_a_list),
        cmocka_unit_test(a_nul_breaks_a_list),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
