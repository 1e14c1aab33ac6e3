/*
 * test_gate - who is let in by the header, and who tries tokens how often.
 */
#include "relay/admin/gate.h"
#include "relay/admin/tries.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

static struct gate named(void)
{
    static const struct span hosts[] = { SPAN_INIT("mail.example.org"),
                                         SPAN_INIT("status") };
    struct gate g = { 0 };

    gate_name(&g, SPAN("relay.test"), hosts, 2);
    return g;
}

static void gate_knows_its_own_names(void **state)
{
    /* clang-format off */
    static const struct { const char *host; bool is_local; int status; } rows[] = {
        { NULL, false, 0 },               { "localhost", false, 0 },
        { "LocalHost:8025", false, 0 },   { "localhost.", false, 0 },
        { "127.0.0.1", false, 0 },        { "192.0.2.1:80", false, 0 },
        { "[::1]", false, 0 },            { "[2001:db8::1]:8025", false, 0 },
        { "relay.test", false, 0 },       { "RELAY.test:1", false, 0 },
        { "mail.example.org:443", false, 0 },
        { "evil.test", false, 421 },      { "relay.test.evil.test", false, 421 },
        { "127.0.0.1.evil.test", false, 421 }, { "1.2.3.4.5", false, 421 },
        { "0x7f.1", false, 421 },         { "[::1", false, 421 },
        { "", false, 421 },               { ":80", false, 421 },
        { "x", false, 421 },              { "status", false, 0 },
        { "x", true, 0 },                 { "waypost", true, 0 },
        { "evil.test", true, 421 },       { "", true, 421 },
    };
    /* clang-format on */
    struct gate g = named();

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct gate_request q = { .host = rows[i].host,
                                  .is_local = rows[i].is_local };

        if (gate_meet(&g, &q).status != rows[i].status)
            fail_msg("%s", rows[i].host);
    }
    gate_fini(&g);
}

static void gate_lets_no_foreign_page_change_anything(void **state)
{
    /* clang-format off */
    static const struct { const char *origin, *site; int status; } rows[] = {
        { NULL, NULL, 0 },
        { "http://localhost:8025", NULL, 0 },
        { "https://localhost:8025", "same-origin", 0 },
        { "https://mail.example.org", NULL, 0 },
        { NULL, "none", 0 },
        { "http://localhost:1", NULL, 403 },
        { "http://localhost", NULL, 403 },
        { "null", NULL, 403 },
        { "", NULL, 403 },
        { "file://", NULL, 403 },
        { "http://evil.test", NULL, 403 },
        { "http://mail.example.org.evil.test", NULL, 403 },
        { "http://localhost:8025.evil.test", NULL, 403 },
        { NULL, "cross-site", 403 },
        { NULL, "same-site", 403 },
        { "http://localhost:8025", "cross-site", 403 },
    };
    /* clang-format on */
    struct gate g = named();

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct gate_request q = { .is_change = true,
                                  .host = "localhost:8025",
                                  .origin = rows[i].origin,
                                  .site = rows[i].site };

        assert_int_equal(gate_meet(&g, &q).status, rows[i].status);
        q.is_local = true;
        assert_int_equal(gate_meet(&g, &q).status, rows[i].status);
        q.is_change = false;
        assert_int_equal(gate_meet(&g, &q).status, 0);
    }
    gate_fini(&g);
}

static void gate_reads_json_and_no_forms(void **state)
{
    /* clang-format off */
    static const struct { const char *media; int status; } rows[] = {
        { "application/json", 0 },       { "Application/JSON; charset=utf-8", 0 },
        { NULL, 415 },                   { "", 415 },
        { "application/jsonp", 415 },    { "application/xml", 415 },
        { "text/plain", 403 },           { "text/plain;application/json", 403 },
        { "application/x-www-form-urlencoded", 403 },
        { "multipart/form-data; boundary=x", 403 },
    };
    /* clang-format on */

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct gate_request q = { .is_change = true, .media = rows[i].media };

        assert_int_equal(gate_read(&q).status, rows[i].status);
        q.is_local = true;
        assert_int_equal(gate_read(&q).status, 0);
        q = (struct gate_request){ .media = rows[i].media };
        assert_int_equal(gate_read(&q).status, 0);
    }
}

static void gate_refuses_what_is_said_twice(void **state)
{
    static const struct {
        unsigned lengths, codings, names;
        const char *coding;
        int status;
    } rows[] = {
        { 1, 0, 1, NULL, 0 },        { 0, 1, 1, "chunked", 0 },
        { 2, 0, 1, NULL, 400 },      { 0, 2, 1, "chunked", 400 },
        { 1, 1, 1, "chunked", 400 }, { 0, 1, 1, "gzip, chunked", 400 },
        { 0, 0, 2, NULL, 400 },
    };
    struct gate g = { 0 };

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct gate_request q = { .host = "localhost",
                                  .lengths = rows[i].lengths,
                                  .codings = rows[i].codings,
                                  .names = rows[i].names,
                                  .coding = rows[i].coding };

        assert_int_equal(gate_meet(&g, &q).status, rows[i].status);
    }
}

static void gate_passes_a_role_that_is_enough(void **state)
{
    /* rows: has; columns: needs */
    static const int wanted[4][4] = { { 0, 401, 401, 403 },
                                      { 0, 0, 403, 403 },
                                      { 0, 0, 0, 403 },
                                      { 0, 0, 0, 0 } };

    (void)state;
    for (enum role has = ROLE_ANYONE; has <= ROLE_LOCAL; has++)
        for (enum role needs = ROLE_ANYONE; needs <= ROLE_LOCAL; needs++)
            assert_int_equal(gate_pass(has, needs).status, wanted[has][needs]);
}

static void gate_finds_the_token(void **state)
{
    (void)state;
    assert_true(span_is(gate_token("Bearer wp_x"), SPAN("wp_x")));
    assert_true(span_is(gate_token("bearer   wp_x "), SPAN("wp_x")));
    assert_int_equal(gate_token(NULL).len, 0);
    assert_int_equal(gate_token("").len, 0);
    assert_int_equal(gate_token("Bearer").len, 0);
    assert_int_equal(gate_token("Bearerwp_x").len, 0);
    assert_int_equal(gate_token("Basic eDp5").len, 0);
}

static void tries_are_some_at_once_and_then_so_many_a_second(void **state)
{
    static struct tries t;
    struct host_address a, b;
    uint64_t now_ms = 1000000;
    unsigned n = 0;

    (void)state;
    assert_true(host_address_parse(SPAN("192.0.2.1"), &a));
    assert_true(host_address_parse(SPAN("192.0.2.2"), &b));
    tries_init(&t, 7);
    for (; tries_allow(&t, &a, now_ms); n++)
        tries_note(&t, &a, now_ms);
    assert_int_equal(n, TRIES_AT_ONCE);
    assert_true(tries_allow(&t, &b, now_ms));
    now_ms += 1000;
    for (n = 0; tries_allow(&t, &a, now_ms); n++)
        tries_note(&t, &a, now_ms);
    assert_int_equal(n, TRIES_A_SECOND);
    now_ms += 1000ULL * 86400 * 365;
    for (n = 0; tries_allow(&t, &a, now_ms); n++)
        tries_note(&t, &a, now_ms);
    assert_int_equal(n, TRIES_AT_ONCE);
}

static void tries_take_an_ipv6_network_for_one_client(void **state)
{
    static struct tries t;
    struct host_address a, b, c;

    (void)state;
    assert_true(host_address_parse(SPAN("2001:db8::1"), &a));
    assert_true(host_address_parse(SPAN("2001:db8::ffff:1"), &b));
    assert_true(host_address_parse(SPAN("2001:db8:0:1::1"), &c));
    tries_init(&t, 7);
    while (tries_allow(&t, &a, 0))
        tries_note(&t, &a, 0);
    assert_false(tries_allow(&t, &b, 0));
    assert_true(tries_allow(&t, &c, 0));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(gate_knows_its_own_names),
        cmocka_unit_test(gate_lets_no_foreign_page_change_anything),
        cmocka_unit_test(gate_reads_json_and_no_forms),
        cmocka_unit_test(gate_refuses_what_is_said_twice),
        cmocka_unit_test(gate_passes_a_role_that_is_enough),
        cmocka_unit_test(gate_finds_the_token),
        cmocka_unit_test(tries_are_some_at_once_and_then_so_many_a_second),
        cmocka_unit_test(tries_take_an_ipv6_network_for_one_client),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
