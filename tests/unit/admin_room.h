/*
 * admin_room - the HTTP interface on a socket in a folder of a test's own, and a client.
 *
 * Each turn of the loop is the test's, so that nothing waits and nothing is late.
 */
#ifndef WAYPOST_ADMIN_ROOM_H
#define WAYPOST_ADMIN_ROOM_H

#include "policy/route.h"
#include "tests/unit/admin_queue.h"

#include <fcntl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <jansson.h>

enum { TURNS = 200000 };

struct room {
    char folder[64], path[96];
    uv_loop_t loop;
    struct admin *admin;
    struct buffer in; /* the latest answer, headers and body */
};

static inline void fill_status(void *user, struct admin_status *out)
{
    (void)user;
    *out = (struct admin_status){ .workers = 2, .sessions = 5, .epoch = 1 };
}

static inline const struct settings *tell_settings(void *user)
{
    static struct hop by_mx = { .kind = HOP_MX, .text = SPAN_INIT("mx") };
    static struct route routes[] = {
        { .title = SPAN_INIT("spare"), .via = &by_mx, .via_count = 1 }
    };
    static struct settings settings = { .routes = routes, .route_count = 1 };

    (void)user;
    if (!settings.route_index)
        settings.route_index = route_index_new(routes, 1);
    return &settings;
}

/* Providers: "isp/1", which is fetched from until fake_fetch_end, and "other". */
static struct {
    admin_fetched_fn *done;
    void *user;
    uint64_t token;
    unsigned begun;
} fake_fetch;

static inline void list_fetches(void *user, admin_fetch_fn *each,
                                void *each_user)
{
    assert_ptr_equal(user, &fake_fetch);
    each(each_user, &(struct admin_fetch){ .name = SPAN("isp/1"),
                                           .from = SPAN("smtps://isp.test"),
                                           .is_running = true,
                                           .every_ms = 900000,
                                           .next_ms = 5000 });
    each(each_user, &(struct admin_fetch){ .name = SPAN("other"),
                                           .last_ms = 7000,
                                           .result = SPAN("450 \xff no") });
}

static inline enum admin_fetch_answer begin_fetch(void *user, struct span name,
                                                  admin_fetched_fn *done,
                                                  void *done_user,
                                                  uint64_t token)
{
    assert_ptr_equal(user, &fake_fetch);
    if (span_is(name, SPAN("late")))
        return ADMIN_FETCH_NOT_NOW;
    if (!span_is(name, SPAN("isp/1")))
        return ADMIN_FETCH_UNKNOWN;
    fake_fetch.begun++;
    fake_fetch.done = done;
    fake_fetch.user = done_user;
    fake_fetch.token = token;
    return ADMIN_FETCH_BEGUN;
}

static inline void fake_fetch_end(void)
{
    fake_fetch.done(fake_fetch.user, fake_fetch.token,
                    &(struct admin_fetch){ .name = SPAN("isp/1"),
                                           .is_ok = true,
                                           .messages = 12,
                                           .refused = 1,
                                           .last_ms = 9000,
                                           .result = SPAN("12 messages") });
}

static inline int room_open(void **state)
{
    struct room *r = calloc(1, sizeof(*r));
    struct buffer why = { 0 };
    struct admin_options o = { .status = fill_status,
                               .settings = tell_settings,
                               .fetches = { list_fetches, begin_fetch,
                                            &fake_fetch } };

    memset(&fake, 0, sizeof(fake));
    memset(&fake_fetch, 0, sizeof(fake_fetch));
    memset(&fake_wish, 0, sizeof(fake_wish));
    (void)snprintf(r->folder, sizeof(r->folder), "/tmp/waypost-admin-XXXXXX");
    assert_non_null(mkdtemp(r->folder));
    (void)snprintf(r->path, sizeof(r->path), "%s/socket", r->folder);
    o.socket = span_of(r->path);
    assert_int_equal(uv_loop_init(&r->loop), 0);
    assert_int_equal(admin_open(&r->admin, &r->loop, NULL, &o, &why), 0);
    assert_int_equal(why.len, 0);
    *state = r;
    return 0;
}

static inline int room_close(void **state)
{
    struct room *r = *state;

    if (r->admin)
        admin_close(r->admin, NULL, NULL);
    assert_int_equal(uv_run(&r->loop, UV_RUN_DEFAULT), 0);
    assert_int_equal(uv_loop_close(&r->loop), 0);
    assert_int_equal(access(r->path, F_OK), -1);
    assert_int_equal(rmdir(r->folder), 0);
    buffer_fini(&r->in);
    free(r);
    return 0;
}

static inline int dial(struct room *r)
{
    struct sockaddr_un at = { .sun_family = AF_UNIX };
    int fd = socket(AF_UNIX, SOCK_STREAM, 0);

    memcpy(at.sun_path, r->path, strlen(r->path));
    assert_int_equal(connect(fd, (struct sockaddr *)&at, sizeof(at)), 0);
    assert_int_equal(fcntl(fd, F_SETFL, O_NONBLOCK), 0);
    return fd;
}

static inline void say(int fd, struct span text)
{
    assert_int_equal(send(fd, text.at, text.len, MSG_NOSIGNAL), text.len);
}

/* Turns the loop until the server has closed. */
static inline void hear(struct room *r, int fd)
{
    char bytes[4096];

    buffer_clear(&r->in);
    for (int i = 0; i < TURNS; i++) {
        ssize_t n = read(fd, bytes, sizeof(bytes));

        if (n == 0)
            break;
        if (n > 0)
            buffer_put(&r->in, span_make(bytes, (size_t)n));
        else
            uv_run(&r->loop, UV_RUN_NOWAIT);
    }
    assert_int_equal(close(fd), 0);
}

/* Asks and answers the status; the whole answer is in r->in. */
static inline int request(struct room *r, const char *method, const char *path,
                          const char *body)
{
    struct buffer out = { 0 };
    int fd = dial(r);

    buffer_printf(&out,
                  "%s %s HTTP/1.1\r\nHost: x\r\nConnection: close\r\n"
                  "Content-Length: %zu\r\n\r\n%s",
                  method, path, strlen(body), body);
    say(fd, buffer_span(&out));
    buffer_fini(&out);
    hear(r, fd);
    assert_true(r->in.len > 12);
    return (int)strtol(buffer_string(&r->in) + 9, NULL, 10);
}

static inline bool heard(struct room *r, const char *text)
{
    return strstr(buffer_string(&r->in), text) != NULL;
}

#define WITH_ROOM(test)                                                        \
    cmocka_unit_test_setup_teardown(test, room_open, room_close)

#endif
