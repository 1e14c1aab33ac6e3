/*
 * test_admin_orders - the HTTP interface: destinations, orders to them, providers to fetch from.
 */
#include "tests/unit/admin_room.h"

static void admin_lists_destinations_by_pattern(void **state)
{
    struct room *r = *state;

    assert_int_equal(request(r, "GET", "/api/v1/destinations", ""), 200);
    assert_true(heard(r, "\"name\":\"smtp://[::1]:25\",\"state\":\"offline\","
                         "\"on_demand\":true,\"due\":null,"
                         "\"last_good\":null"));
    assert_true(heard(r, "\"fetched\":true,\"opens\":7,\"closes\":null"));
    assert_true(heard(r, "\"mx:z.test\",\"state\":\"suspended\""));
    assert_true(heard(r, "\"due\":5,"));
    assert_true(heard(r, "\"fetched\":false,\"opens\":null,\"closes\":9"));
    assert_int_equal(
        request(r, "GET", "/api/v1/destinations?name=mx%3A%5Bab%5D.test", ""),
        200);
    assert_true(heard(r, "mx:a.test"));
    assert_true(heard(r, "mx:b.test"));
    assert_false(heard(r, "mx:c.test"));
    assert_false(heard(r, "smtp://"));
    assert_int_equal(
        request(r, "GET",
                "/api/v1/destinations?name=smtp%3A%2F%2F%5B%3A%3A1%5D%3A25",
                ""),
        200);
    assert_true(heard(r, "smtp://[::1]:25"));
    assert_int_equal(request(r, "GET", "/api/v1/destinations?name=no", ""),
                     200);
    assert_false(heard(r, "{"));
}

static void admin_orders_only_what_was_meant(void **state)
{
    /* clang-format off */
    static const struct {
        const char *order, *body; int status; size_t count; const char *wanted;
    } rows[] = {
        { "retry",   "{\"name\": \"smtp://[::1]:25\"}",               200, 1, "release" },
        { "probe",   "{\"name\": \"mx:a.test\"}",                     200, 1, "probe" },
        { "resume",  "{\"name\": \"MX:A.test\"}",                     200, 1, "resume" },
        { "resume",  "{\"name\": \"mx:new.test\"}",                   404, 0, NULL },
        { "suspend", "{\"name\": \"mx:new.test\"}",                   200, 1, "suspend" },
        { "suspend", "{\"name\": \"mx:new*\"}",                       404, 0, NULL },
        { "suspend", "{\"name\": \"mx:*\"}",                          400, 0, NULL },
        { "suspend", "{\"name\": \"mx:*\", \"preview\": true}",     200, 0, NULL },
        { "retry",   "{\"name\": \"mx:*\", \"yes\": true}",         200, 26, "release" },
        { "retry",   "{}",                                                400, 0, NULL },
        { "retry",   "{\"name\": \"\"}",                              400, 0, NULL },
        { "retry",   "{\"name\": 7}",                                   400, 0, NULL },
        { "retry",   "{\"nam\": \"x\"}",                              400, 0, NULL },
        { "retry",   "[]",                                                400, 0, NULL },
        { "retry",   "{\"name\": \"mx:a.test\", \"yes\": 1}",       400, 0, NULL },
        { "suspend", "{\"name\": \"mx:a.test\", \"until\": \"soon\"}", 400, 0, NULL },
        { "suspend", "{\"name\": \"mx:a.test\", \"until\": \"0\"}", 400, 0, NULL },
        { "forget",  "{\"name\": \"mx:a.test\"}",                     404, 0, NULL },
    };
    /* clang-format on */

    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        char path[64];

        memset(&fake_wish, 0, sizeof(fake_wish));
        (void)snprintf(path, sizeof(path), "/api/v1/destinations/%s",
                       rows[i].order);
        assert_int_equal(request(*state, "POST", path, rows[i].body),
                         rows[i].status);
        assert_int_equal(fake_wish.count, rows[i].count);
        if (rows[i].wanted)
            assert_string_equal(fake_wish.wanted, rows[i].wanted);
        if (rows[i].count == 26)
            assert_true(heard(*state, "\"destinations\":26,\"skipped\":1"));
    }
    assert_int_equal(request(*state, "POST", "/api/v1/destinations/suspend",
                             "{\"name\": \"mx:a.test\", \"until\": \"2h\","
                             " \"reason\": \"new disk\"}"),
                     200);
    assert_true(fake_wish.has_end);
    assert_string_equal(fake_wish.reason, "new disk");
}

static void admin_answers_an_order_when_it_is_on_disk(void **state)
{
    memset(&fake_wish, 0, sizeof(fake_wish));
    fake.rc = ERROR_FULL;
    assert_int_equal(request(*state, "POST", "/api/v1/destinations/suspend",
                             "{\"name\": \"mx:a.test\"}"),
                     503);
    assert_int_equal(fake_wish.count, 1);
    assert_false(heard(*state, "\"destinations\""));
    fake.rc = 0;
}

static void admin_lists_providers(void **state)
{
    assert_int_equal(request(*state, "GET", "/api/v1/fetches", ""), 200);
    assert_true(heard(*state,
                      "{\"name\":\"isp/1\",\"from\":\"smtps://isp.test\","
                      "\"state\":\"running\",\"every\":900,\"last\":null,"
                      "\"next\":5,\"ok\":null,\"messages\":0,\"refused\":0,"
                      "\"result\":null}\n"));
    assert_true(heard(*state, "\"last\":7,\"next\":null,\"ok\":false,"));
    assert_true(heard(*state, "\"result\":\"450 \\\\xFF no\""));
}

static void admin_answers_when_the_fetch_is_over(void **state)
{
    static const char post[] = "POST /api/v1/fetches/isp%2F1 HTTP/1.1\r\n"
                               "Host: x\r\nConnection: close\r\n"
                               "Content-Length: 0\r\n\r\n";
    struct room *r = *state;
    int fd = dial(r);
    char byte;

    say(fd, span_of(post));
    for (int i = 0; i < 100; i++)
        uv_run(&r->loop, UV_RUN_NOWAIT);
    assert_int_equal(fake_fetch.begun, 1);
    assert_int_equal(read(fd, &byte, 1), -1);
    fake_fetch_end();
    hear(r, fd);
    assert_true(heard(r, "200 OK"));
    assert_true(heard(r, "\"ok\":true,\"messages\":12,\"refused\":1,"
                         "\"result\":\"12 messages\"}"));
    assert_int_equal(request(r, "POST", "/api/v1/fetches/none", ""), 404);
    assert_true(heard(r, "there is no fetch \\\"none\\\""));
    assert_int_equal(request(r, "POST", "/api/v1/fetches/late", ""), 503);
    assert_int_equal(request(r, "POST", "/api/v1/fetches/", ""), 404);
    assert_int_equal(request(r, "GET", "/api/v1/fetches/none", ""), 405);
    /* its token is of a request that is gone */
    fake_fetch_end();
}

static void admin_closes_while_a_fetch_is_awaited(void **state)
{
    struct room *r = *state;
    int fd = dial(r);

    say(fd, SPAN("POST /api/v1/fetches/isp/1 HTTP/1.1\r\nHost: x\r\n"
                 "Content-Length: 0\r\n\r\n"));
    for (int i = 0; i < 100; i++)
        uv_run(&r->loop, UV_RUN_NOWAIT);
    assert_int_equal(fake_fetch.begun, 1);
    admin_close(r->admin, NULL, NULL);
    r->admin = NULL;
    hear(r, fd);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_ROOM(admin_lists_destinations_by_pattern),
        WITH_ROOM(admin_orders_only_what_was_meant),
        WITH_ROOM(admin_answers_an_order_when_it_is_on_disk),
        WITH_ROOM(admin_lists_providers),
        WITH_ROOM(admin_answers_when_the_fetch_is_over),
        WITH_ROOM(admin_closes_while_a_fetch_is_awaited),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
