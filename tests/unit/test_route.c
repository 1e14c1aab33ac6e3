/*
 * Routes: the most specific one wins, and what is remembered of it is a lane.
 */
#include "policy/route.h"
#include "tests/unit/settings_faults.h"

#include <stdarg.h>
#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>

static struct address mailbox(const char *text)
{
    struct address a;

    assert_int_equal(address_parse(span_of(text), &a), ADDRESS_OK);
    return a;
}

static const char table[] =
    "route \"rest\" { to = {\"*\"} via = mx }\n"
    "route \"org\" { to = {\"*.example.org\"} via = \"smtp://a\" }\n"
    "route \"deep\" { to = {\"*.deep.example.org\"} via = \"smtp://b\" }\n"
    "route \"example.org\" { via = \"smtp://c\" }\n"
    "route \"second\" { to = {\"example.org\"} via = \"smtp://d\" }\n"
    "route \"boss\" { to = {\"Boss@example.org\"} via = \"smtp://e\" }\n"
    "route \"news\" { to = {\"example.org\", \"*\"} from = {\"news.test\"}\n"
    "  via = \"smtp://f\" }\n"
    "route \"bounces\" { to = {\"example.org\"} from = {\"<>\"}\n"
    "  via = \"smtp://g\" }\n"
    "route \"odd\" { to = {\"only.test\"} from = {'/^odd@/'} via = "
    "\"smtp://h\" }\n"
    "route \"[192.0.2.1]\" { via = \"smtp://i\" }\n";

static void the_most_specific_route_wins(void **state)
{
    static const struct {
        const char *from, *to, *title, *lane;
    } rows[] = {
        { "a@b.test", "x@elsewhere.test", "rest", "elsewhere.test" },
        { "a@b.test", "x@Example.ORG", "example.org", "example.org" },
        { "a@b.test", "x@sub.example.org", "org", "sub.example.org" },
        { "a@b.test", "x@deep.example.org", "org", "deep.example.org" },
        { "a@b.test", "x@y.deep.example.org", "deep", "y.deep.example.org" },
        { "a@b.test", "boss@EXAMPLE.org", "boss", "example.org\tboss" },
        { "a@news.test", "x@example.org", "news", "example.org\tnews" },
        { "a@news.test", "x@sub.example.org", "org", "sub.example.org" },
        { "a@news.test", "x@other.test", "news", "other.test\tnews" },
        { "", "x@example.org", "bounces", "example.org\tbounces" },
        { "", "x@other.test", "rest", "other.test" },
        { "odd@x.test", "x@only.test", "odd", "only.test\todd" },
        { "even@x.test", "x@only.test", "rest", "only.test" },
        { "not an address", "x@only.test", "rest", "only.test" },
        { "a@b.test", "x@[192.0.2.1]", "[192.0.2.1]", "[192.0.2.1]" },
        { "a@b.test",
          "x@b\xc3\xbc"
          "cher.test",
          "rest", "xn--bcher-kva.test" },
    };
    struct settings *s = read_well(table);
    struct buffer key = { 0 };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct address to = mailbox(rows[i].to);
        const struct route *r = route_find(s, span_of(rows[i].from), &to);

        if (!r || !span_is(r->title, span_of(rows[i].title)))
            fail_msg("%s %s: %.*s", rows[i].from, rows[i].to,
                     SPAN_FMT(r ? r->title : SPAN("none")));
        buffer_clear(&key);
        assert_int_equal(lane_key(s, span_of(rows[i].from), &to, &key), 0);
        assert_string_equal(buffer_string(&key), rows[i].lane);
        /* and the lane leads to the same route */
        assert_ptr_equal(route_of_lane(s, buffer_span(&key)), r);
        assert_true(span_is(
            lane_domain(buffer_span(&key)),
            span_first(span_of(rows[i].lane), strcspn(rows[i].lane, "\t"))));
    }
    buffer_fini(&key);
    settings_release(s);
}

static void a_lane_outlives_the_route_it_was_named_after(void **state)
{
    struct settings *s = read_well(table);
    const struct route *r = route_of_lane(s, SPAN("example.org\tgone"));

    (void)state;
    assert_non_null(r);
    assert_true(span_is(r->title, SPAN("example.org")));
    settings_release(s);
    s = read_well("route \"a.test\" { via = mx }");
    assert_null(route_of_lane(s, SPAN("b.test")));
    assert_null(route_of_lane(s, SPAN("b.test\tx")));
    assert_null(route_of_lane(s, SPAN("")));
    settings_release(s);
    s = read_well("workers = 1");
    assert_null(route_of_lane(s, SPAN("b.test")));
    settings_release(s);
}

static void a_recipient_without_a_domain_has_no_lane(void **state)
{
    struct settings *s = read_well(table);
    struct address a = { .text = SPAN_INIT("postmaster"),
                         .local = SPAN_INIT("postmaster") };
    struct buffer key = { 0 };

    (void)state;
    assert_int_equal(lane_key(s, SPAN(""), &a, &key), ERROR_SYNTAX);
    assert_int_equal(key.len, 0);
    a.domain = SPAN("\xff.test");
    assert_int_equal(lane_key(s, SPAN(""), &a, &key), ERROR_SYNTAX);
    buffer_fini(&key);
    settings_release(s);
}

static void mx_destinations_are_named_by_domain_others_by_host(void **state)
{
    struct settings *s =
        read_well("route \"*\" { via = mx }\n"
                  "route \"hosts\" { to = {\"a.test\", \"b.test\"}\n"
                  "  via = {\"smtp://x:2525\", \"smtp://y\"} }\n");
    static const struct {
        const char *lane, *name;
    } rows[] = {
        { "z.test", "mx:z.test" },
        { "z.test\thosts", "smtp://x:2525,smtp://y:25" },
        { "a.test", "smtp://x:2525,smtp://y:25" },
        { "b.test", "smtp://x:2525,smtp://y:25" },
    };
    struct buffer name = { 0 };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct span lane = span_of(rows[i].lane);

        buffer_clear(&name);
        destination_name(route_of_lane(s, lane), lane, &name);
        assert_string_equal(buffer_string(&name), rows[i].name);
    }
    buffer_clear(&name);
    destination_name(&s->routes[0], SPAN("z.test\trest"), &name);
    assert_string_equal(buffer_string(&name), "mx:z.test");
    buffer_fini(&name);
    settings_release(s);
}

static void ten_thousand_routes_are_all_found(void **state)
{
    struct buffer text = { 0 };
    struct settings *s;

    (void)state;
    for (int i = 0; i < 10000; i++)
        buffer_printf(&text, "route \"d%d.test\" { via = \"smtp://h%d\" }\n", i,
                      i);
    s = read_well(buffer_string(&text));
    assert_int_equal(s->route_count, 10000);
    for (int i = 0; i < 10000; i += 13) {
        char to[64], key[64];
        struct address a;
        const struct route *r;

        (void)snprintf(to, sizeof to, "x@d%d.test", i);
        (void)snprintf(key, sizeof key, "smtp://h%d:25", i);
        a = mailbox(to);
        r = route_find(s, SPAN(""), &a);
        assert_non_null(r);
        assert_true(span_is(r->key, span_of(key)));
    }
    settings_release(s);
    buffer_fini(&text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_most_specific_route_wins),
        cmocka_unit_test(a_lane_outlives_the_route_it_was_named_after),
        cmocka_unit_test(a_recipient_without_a_domain_has_no_lane),
        cmocka_unit_test(mx_destinations_are_named_by_domain_others_by_host),
        cmocka_unit_test(ten_thousand_routes_are_all_found),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
