/*
 * test_admin - the HTTP interface, over its own socket: who may ask, what of the queue, and what
 * happens to who leaves too early.
 */
#include "tests/unit/admin_room.h"

static void admin_socket_is_for_its_owner_alone(void **state)
{
    struct room *r = *state;
    struct stat st;

    assert_int_equal(stat(r->path, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0600);
}

static void admin_refuses_paths_and_methods_it_does_not_have(void **state)
{
    /* clang-format off */
    static const struct { const char *method, *path; int status; } rows[] = {
        { "GET",    "/healthz",                 200 },
        { "HEAD",   "/healthz",                 200 },
        { "POST",   "/healthz",                 405 },
        { "GET",    "/",                        200 },
        { "GET",    "/page.css",                200 },
        { "GET",    "/page.c",                  404 },
        { "GET",    "/../page.css",             404 },
        { "POST",   "/",                        405 },
        { "GET",    "/api/v1/destinations?busiest=x", 400 },
        { "GET",    "/api/v1/nothing",          404 },
        { "GET",    "/api/v1/queue/",           404 },
        { "GET",    "/api/v1/queue/a/b",        404 },
        { "GET",    "/api/v1/queue/nonsense",   404 },
        { "POST",   "/api/v1/queue",            405 },
        { "DELETE", "/api/v1/queue/01HF8M5XK3QZA", 405 },
        { "GET",    "/api/v1/queue?sender=a",   400 },
        { "GET",    "/api/v1/queue?older=x",    400 },
        { "GET",    "/api/v1/queue/count?id=1", 400 },
    };
    /* clang-format on */

    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        int status = request(*state, rows[i].method, rows[i].path, "");

        assert_int_equal(status, rows[i].status);
        if (status >= 400)
            assert_true(heard(*state, "{\"error\":\""));
        if (status == 405)
            assert_true(heard(*state, "Allow: "));
    }
    assert_int_equal(fake.lists, 0);
}

static void admin_tells_its_status(void **state)
{
    assert_int_equal(request(*state, "GET", "/api/v1/status", ""), 200);
    assert_true(heard(*state, "\"version\":\"" WAYPOST_VERSION "\""));
    assert_true(heard(*state, "\"workers\":2,\"sessions\":5,\"reloads\":0"));
    assert_true(heard(*state, "\"puts\":7"));
}

static void admin_lists_page_by_page_and_in_order(void **state)
{
    struct room *r = *state;
    int fd = dial(r);
    const char *at;

    fake.rows = 1000;
    /* Without HTTP/1.1 there are no chunks, which would cut ids in two. */
    say(fd, SPAN("GET /api/v1/queue?from=*%40b&state=ready HTTP/1.0\r\n\r\n"));
    hear(r, fd);
    assert_true(heard(r, " 200 "));
    assert_true(fake.lists > 5);
    assert_true(fake.is_long);
    assert_int_equal(fake.filter.states, STATE_READY);
    at = buffer_string(&r->in);
    for (uint64_t id = 1; id <= fake.rows; id++) {
        at = strstr(at, id_print(id).at);
        assert_non_null(at);
    }
    assert_int_equal(request(r, "GET", "/api/v1/queue", ""), 200);
    assert_true(heard(r, "\r\n0\r\n"));
}

static void admin_asks_for_no_page_that_nobody_reads(void **state)
{
    struct room *r = *state;
    int fd = dial(r);

    fake.rows = 1000000;
    say(fd, SPAN("GET /api/v1/queue HTTP/1.1\r\nHost: x\r\n\r\n"));
    for (int i = 0; i < 3000; i++)
        uv_run(&r->loop, UV_RUN_NOWAIT);
    /* What fits in the socket's buffers, and a page. */
    assert_in_range(fake.lists, 1, 200);
    assert_int_equal(close(fd), 0);
}

static void admin_says_so_when_the_queue_fails(void **state)
{
    fake.rc = ERROR_STORE;
    assert_int_equal(request(*state, "GET", "/api/v1/queue", ""), 503);
    assert_int_equal(request(*state, "GET", "/api/v1/queue/count", ""), 503);
    assert_int_equal(
        request(*state, "POST", "/api/v1/queue/retry", "{\"yes\": true}"), 503);
}

static void admin_changes_only_what_was_meant(void **state)
{
    enum { NO_CHANGE = ASKED_NOTHING };
    /* clang-format off */
    static const struct {
        const char *path, *body; int status; int asked;
        enum queue_change change; unsigned states;
    } rows[] = {
        { "retry", "{\"yes\":true}", 200, ASKED_CHANGE, CHANGE_RETRY,
          STATE_ACTIVE | STATE_READY | STATE_DEFERRED },
        { "delete", "{\"from\":\"a\",\"yes\":true}", 200, ASKED_CHANGE, CHANGE_DELETE, 0 },
        { "delete", "{\"id\":\"01HF8M5XK3QZA\"}", 200, ASKED_CHANGE, CHANGE_DELETE, 0 },
        { "undelete", "{\"all\":true,\"yes\":true}", 200, ASKED_CHANGE, CHANGE_UNDELETE, STATE_DELETED },
        { "hold", "{\"all\":true,\"yes\":true}", 200, ASKED_CHANGE, CHANGE_HOLD,
          STATE_ACTIVE | STATE_READY | STATE_DEFERRED },
        { "release", "{\"all\":true,\"yes\":true}", 200, ASKED_CHANGE, CHANGE_RELEASE, STATE_HELD },
        { "delete", "{\"preview\":true}", 200, ASKED_PREVIEW, 0, 0 },
        { "delete", "{\"yes\":true,\"preview\":true}", 200, ASKED_PREVIEW, 0, 0 },
        { "delete", "{\"id\":\"01HF8M5XK3QZA\",\"preview\":true}", 200, ASKED_PREVIEW, 0, 0 },
        { "delete", "{\"all\":true,\"yes\":true,\"progress\":true}", 200, ASKED_CHANGE, CHANGE_DELETE, 0 },
        { "move", "{\"all\":true,\"yes\":true,\"route\":\"spare\"}", 200, ASKED_CHANGE, CHANGE_MOVE, 0 },
        { "move", "{\"preview\":true,\"route\":\"spare\"}", 200, ASKED_PREVIEW, 0, 0 },
        { "move", "{\"yes\":true,\"route\":\"gone\"}", 404, NO_CHANGE, 0, 0 },
        { "move", "{\"yes\":true,\"route\":7}", 400, NO_CHANGE, 0, 0 },
        { "move", "{\"yes\":true,\"route\":\"\"}", 400, NO_CHANGE, 0, 0 },
        { "move", "{\"yes\":true}", 400, NO_CHANGE, 0, 0 },
        { "bounce", "{\"all\":true,\"yes\":true,\"why\":\"spam\"}", 200, ASKED_CHANGE, CHANGE_BOUNCE, 0 },
        { "bounce", "{\"yes\":true,\"why\":[]}", 400, NO_CHANGE, 0, 0 },
        { "bounce", "{\"yes\":true,\"route\":\"spare\"}", 400, NO_CHANGE, 0, 0 },
        { "hold", "{\"all\":true,\"yes\":true,\"why\":\"spam\"}", 200, ASKED_CHANGE, CHANGE_HOLD,
          STATE_ACTIVE | STATE_READY | STATE_DEFERRED },
        { "release", "{\"yes\":true,\"why\":\"spam\"}", 400, NO_CHANGE, 0, 0 },
        { "delete", "{\"yes\":true}", 400, NO_CHANGE, 0, 0 },
        { "delete", "{\"yes\":true,\"all\":false}", 400, NO_CHANGE, 0, 0 },
        { "delete", "{\"yes\":true,\"all\":true,\"from\":\"a\"}", 400, NO_CHANGE, 0, 0 },
        { "retry", "{\"yes\":true,\"all\":true}", 200, ASKED_CHANGE, CHANGE_RETRY,
          STATE_ACTIVE | STATE_READY | STATE_DEFERRED },
        { "delete", "", 400, NO_CHANGE, 0, 0 },
        { "delete", "{}", 400, NO_CHANGE, 0, 0 },
        { "delete", "{\"yes\":false}", 400, NO_CHANGE, 0, 0 },
        { "delete", "{\"yes\":\"true\"}", 400, NO_CHANGE, 0, 0 },
        { "delete", "{\"id\":\"01HF8M5XK3QZA\",\"preview\":1}", 400, NO_CHANGE, 0, 0 },
        { "delete", "{\"yes\":true,\"form\":\"a\"}", 400, NO_CHANGE, 0, 0 },
        { "delete", "{\"yes\":true,\"from\":\"a\",\"from\":\"b\"}", 400, NO_CHANGE, 0, 0 },
        { "delete", "[]", 400, NO_CHANGE, 0, 0 },
        { "delete", "{\"yes\":true", 400, NO_CHANGE, 0, 0 },
        { "delete", "\xff", 400, NO_CHANGE, 0, 0 },
    };
    /* clang-format on */

    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        char path[64];

        fake.count = NULL;
        fake.preview = NULL;
        fake.route[0] = '\0';
        fake.filter = (struct queue_filter){ 0 };
        fake.who[0] = '\0';
        (void)snprintf(path, sizeof(path), "/api/v1/queue/%s", rows[i].path);
        assert_int_equal(request(*state, "POST", path, rows[i].body),
                         rows[i].status);
        assert_int_equal(fake.count != NULL, rows[i].asked == ASKED_CHANGE);
        assert_int_equal(fake.preview != NULL, rows[i].asked == ASKED_PREVIEW);
        if (rows[i].asked == ASKED_CHANGE) {
            assert_int_equal(fake.change, rows[i].change);
            assert_int_equal(fake.filter.states, rows[i].states);
            assert_int_equal(strncmp(fake.who, "uid=", 4), 0);
            assert_true(heard(*state, "\"messages\":3"));
            assert_true(heard(*state, "\"changed\":true"));
            assert_int_equal(heard(*state, "\"progress\":{\"messages\":3"),
                             strstr(rows[i].body, "progress") != NULL);
            assert_string_equal(fake.route,
                                rows[i].change == CHANGE_MOVE ? "spare" : "");
        } else if (rows[i].asked == ASKED_PREVIEW) {
            assert_string_equal(fake.who, "");
            assert_true(heard(*state, "\"preview\":true"));
            assert_true(heard(*state, "\"first\":[{\"queue_id\""));
            assert_true(heard(*state, "{\"name\":\"mx:d\",\"recipients\":4}"));
            assert_false(heard(*state, "\x1b"));
        }
    }
}

static void admin_tells_all_about_one_message(void **state)
{
    static const char *const told[] = {
        "\"why\":\"its destination is backing off until ",
        ", because 4.4.1 \\\\x1B[2J\"",
        "\"why\":\"it is held by the rule \\\"sp\\\\x1B\\\"\"",
        "\"tries\":[{\"at\":1,\"host\":\"mx.d\",\"status\":\"4.2.0\"",
        "\"lines\":[\"> QUIT\",\"< 221 ",
        "\"header\":\"Subject: \\\\x1B[31mred\\nX: \\\\xFF\\n\"",
        "\"destination\":\"mx:d\"",
    };

    fake.rows = 1;
    assert_int_equal(request(*state, "GET", "/api/v1/queue/01HF8M5XK3QZA", ""),
                     200);
    for (size_t i = 0; i < sizeof(told) / sizeof(told[0]); i++) {
        if (!heard(*state, told[i]))
            print_message("%s not in %s\n", told[i],
                          buffer_string(&((struct room *)*state)->in));
        assert_true(heard(*state, told[i]));
    }
    assert_false(heard(*state, "\x1b"));
    fake.rows = 0;
    assert_int_equal(request(*state, "GET", "/api/v1/queue/01HF8M5XK3QZA", ""),
                     404);
    assert_int_equal(request(*state, "GET", "/api/v1/queue/nonsense", ""), 404);
}

/* How much of a body came, and did it end as it should? */
static size_t content_heard(struct room *r, bool *out_ended)
{
    const char *at = strstr(buffer_string(&r->in), "\r\n\r\n");
    size_t n = 0;

    assert_non_null(at);
    *out_ended =
        strcmp(buffer_string(&r->in) + r->in.len - 5, "0\r\n\r\n") == 0;
    for (; *at; at++)
        n += *at == 'x';
    return n;
}

static void admin_hands_out_content_and_breaks_off_what_is_damaged(void **state)
{
    const char *path = "/api/v1/queue/01HF8M5XK3QZA/content";
    bool is_whole;

    fake.rows = 1;
    assert_int_equal(request(*state, "GET", path, ""), 200);
    assert_true(heard(*state, "message/rfc822"));
    assert_int_equal(content_heard(*state, &is_whole), COPY_BYTES);
    assert_true(is_whole);
    assert_int_equal(request(*state, "GET",
                             "/api/v1/queue/01HF8M5XK3QZA/content?part=header",
                             ""),
                     200);
    assert_int_equal(content_heard(*state, &is_whole), COPY_HEADER);
    fake.is_damaged = true;
    assert_int_equal(request(*state, "GET", path, ""), 200);
    assert_in_range(content_heard(*state, &is_whole), 1, COPY_BYTES - 1);
    assert_false(is_whole);
    fake.rows = 0;
    assert_int_equal(request(*state, "GET", path, ""), 404);
    assert_int_equal(request(*state, "GET", "/api/v1/queue//content", ""), 404);
    assert_int_equal(fake.copies, 0);
}

static void admin_pages_lists_by_limit_and_after(void **state)
{
    char path[64];

    fake.rows = 500;
    assert_int_equal(request(*state, "GET", "/api/v1/queue?limit=30", ""), 200);
    (void)snprintf(path, sizeof(path), "\"%s\"", id_print(30).at);
    assert_true(heard(*state, path));
    (void)snprintf(path, sizeof(path), "\"%s\"", id_print(31).at);
    assert_false(heard(*state, path));
    (void)snprintf(path, sizeof(path), "/api/v1/queue?limit=1&after=%s",
                   id_print(30).at);
    assert_int_equal(request(*state, "GET", path, ""), 200);
    assert_int_equal(fake.limit, 1);
    assert_false(fake.is_long); /* somebody waits for it */
    assert_int_equal(fake.after_id, 30);
    assert_int_equal(request(*state, "GET", "/api/v1/queue?limit=0", ""), 400);
    assert_int_equal(request(*state, "GET", "/api/v1/queue?after=x", ""), 400);
}

static void admin_tells_who_fills_the_queue(void **state)
{
    static const struct {
        const char *query;
        int status;
        enum queue_rank_key by;
        size_t limit;
    } rows[] = {
        { "", 200, RANK_LOGIN, 20 },
        { "?by=from&limit=5", 200, RANK_FROM, 5 },
        { "?by=via&domain=*.test", 200, RANK_VIA, 20 },
        { "?by=domain", 200, RANK_DOMAIN, 20 },
        { "?by=client", 200, RANK_CLIENT, 20 },
        { "?by=moon", 400, 0, 0 },
        { "?by=", 400, 0, 0 },
        { "?limit=1001", 400, 0, 0 },
        { "?colour=red", 400, 0, 0 },
    };

    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        char path[80];

        (void)snprintf(path, sizeof path, "/api/v1/queue/top%s", rows[i].query);
        fake.ranks = NULL;
        assert_int_equal(request(*state, "GET", path, ""), rows[i].status);
        assert_int_equal(fake.ranks != NULL, rows[i].status == 200);
        if (rows[i].status != 200)
            continue;
        assert_int_equal(fake.by, rows[i].by);
        assert_int_equal(fake.part_len, rows[i].limit);
        assert_true(heard(*state, "\"messages\":3,\"recipients\":4"));
        assert_true(heard(*state, "\"name\":\"\"}\n"));
        assert_true(heard(*state, "\"name\":null}\n"));
        assert_false(heard(*state, "\x1b"));
    }
}

static void admin_tells_where_mail_waits_and_which_routes_there_are(
    void **state)
{
    assert_int_equal(request(*state, "GET", "/api/v1/queue/heat", ""), 200);
    assert_true(
        heard(*state, "\"bounds_min\":[5,10,20,40,80,160,320,640,1280]"));
    assert_true(heard(*state, "{\"domain\":\"a\\u001B.test\",\"total\":9,"
                              "\"cells\":[4,5,0,0,0,0,0,0,0,0]}"));
    assert_true(heard(*state, "{\"domain\":null,\"total\":1"));
    assert_int_equal(request(*state, "GET", "/api/v1/queue/heat?limit=x", ""),
                     400);
    assert_int_equal(request(*state, "GET", "/api/v1/routes", ""), 200);
    assert_true(heard(*state, "{\"title\":\"spare\",\"to\":[],\"via\":[\"mx\"]}"));
}

static void admin_refuses_a_large_body(void **state)
{
    struct room *r = *state;
    struct buffer out = { 0 };
    char *large = calloc(1, 70001);
    int fd;

    memset(large, ' ', 70000);
    assert_int_equal(request(r, "POST", "/api/v1/queue/delete", large), 413);
    /* The same without a length in front. */
    fd = dial(r);
    buffer_printf(&out,
                  "POST /api/v1/queue/delete HTTP/1.1\r\nHost: x\r\n"
                  "Connection: close\r\nTransfer-Encoding: chunked\r\n\r\n"
                  "%x\r\n%s\r\n0\r\n\r\n",
                  70000U, large);
    say(fd, buffer_span(&out));
    hear(r, fd);
    assert_true(heard(r, "HTTP/1.1 413 "));
    /* One that is not waited for. */
    fd = dial(r);
    say(fd, SPAN("POST /api/v1/queue/delete HTTP/1.1\r\nHost: x\r\n"
                 "Content-Length: 99999999999\r\n\r\n"));
    hear(r, fd);
    assert_true(heard(r, "HTTP/1.1 413 "));
    assert_null(fake.count);
    buffer_fini(&out);
    free(large);
}

static void admin_survives_a_client_that_leaves_while_it_waits(void **state)
{
    struct room *r = *state;
    int fd = dial(r);

    fake.is_silent = true;
    say(fd, SPAN("GET /api/v1/queue/count HTTP/1.1\r\nHost: x\r\n\r\n"));
    for (int i = 0; i < 100; i++)
        uv_run(&r->loop, UV_RUN_NOWAIT);
    assert_int_equal(fake.asked, ASKED_COUNT);
    assert_int_equal(close(fd), 0);
    fake.is_silent = false;
    fake.port.events->wake(fake.port.user);
    for (int i = 0; i < 100; i++)
        uv_run(&r->loop, UV_RUN_NOWAIT);
    assert_int_equal(request(r, "GET", "/healthz", ""), 200);
}

static void admin_closes_while_a_client_waits(void **state)
{
    struct room *r = *state;
    int fd = dial(r);

    fake.is_silent = true;
    say(fd, SPAN("GET /api/v1/queue HTTP/1.1\r\nHost: x\r\n\r\n"));
    for (int i = 0; i < 100; i++)
        uv_run(&r->loop, UV_RUN_NOWAIT);
    assert_int_equal(fake.asked, ASKED_LIST);
    admin_close(r->admin, NULL, NULL);
    r->admin = NULL;
    hear(r, fd);
}

static void admin_replaces_a_dead_socket_and_nothing_else(void **state)
{
    struct room *r = *state;
    struct admin_options o = { .socket = span_of(r->path) };
    struct buffer why = { 0 };
    struct admin *other;
    struct sockaddr_un at = { .sun_family = AF_UNIX };
    int fd;

    /* One that answers. */
    assert_int_equal(admin_open(&other, &r->loop, NULL, &o, &why), -EADDRINUSE);
    assert_true(why.len > 0);
    admin_close(r->admin, NULL, NULL);
    r->admin = NULL;
    /* A file of somebody's. */
    fd = open(r->path, O_CREAT | O_WRONLY, 0600);
    assert_int_equal(close(fd), 0);
    assert_int_equal(admin_open(&other, &r->loop, NULL, &o, &why), -EEXIST);
    assert_int_equal(unlink(r->path), 0);
    /* A dead one. */
    fd = socket(AF_UNIX, SOCK_STREAM, 0);
    memcpy(at.sun_path, r->path, strlen(r->path));
    assert_int_equal(bind(fd, (struct sockaddr *)&at, sizeof(at)), 0);
    assert_int_equal(close(fd), 0);
    assert_int_equal(admin_open(&r->admin, &r->loop, NULL, &o, &why), 0);
    assert_int_equal(request(r, "GET", "/healthz", ""), 200);
    buffer_fini(&why);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_ROOM(admin_socket_is_for_its_owner_alone),
        WITH_ROOM(admin_refuses_paths_and_methods_it_does_not_have),
        WITH_ROOM(admin_tells_its_status),
        WITH_ROOM(admin_lists_page_by_page_and_in_order),
        WITH_ROOM(admin_asks_for_no_page_that_nobody_reads),
        WITH_ROOM(admin_says_so_when_the_queue_fails),
        WITH_ROOM(admin_changes_only_what_was_meant),
        WITH_ROOM(admin_tells_who_fills_the_queue),
        WITH_ROOM(admin_refuses_a_large_body),
        WITH_ROOM(admin_tells_all_about_one_message),
        WITH_ROOM(admin_hands_out_content_and_breaks_off_what_is_damaged),
        WITH_ROOM(admin_pages_lists_by_limit_and_after),
        WITH_ROOM(admin_tells_where_mail_waits_and_which_routes_there_are),
        WITH_ROOM(admin_survives_a_client_that_leaves_while_it_waits),
        WITH_ROOM(admin_closes_while_a_client_waits),
        WITH_ROOM(admin_replaces_a_dead_socket_and_nothing_else),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
