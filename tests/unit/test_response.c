/*
 * test_response - pushed streams, files and headers, over endpoints that are made up.
 */
#include "relay/admin/admin.h"
#include "relay/admin/endpoints.h"
#include "tests/unit/no_figures.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cmocka.h>

enum { TURNS = 200000, PUSH_MOST = 100000 };

/* ---------------------------------------------- the endpoints, no queue ---- */

static const struct request_file page = { .bytes = SPAN_INIT("<p>hello"),
                                          .media = "text/html; charset=utf-8",
                                          .policy = "default-src 'self'" };

static struct {
    struct admin *admin;
    uint64_t token;
    unsigned gone;
} pushed;

static void on_gone(struct request *r, void *user)
{
    assert_int_equal(r->token, pushed.token);
    assert_ptr_equal(user, &pushed);
    pushed.gone++;
}

static void get_page(struct request *r)
{
    request_answer_file(r, &page);
}

static void get_events(struct request *r)
{
    pushed.admin = r->admin;
    pushed.token = r->token;
    r->gone = on_gone;
    r->gone_user = &pushed;
    request_push_begin(r, PUSH_MOST);
}

static void get_message(struct request *r)
{
    buffer_put_string(&r->answer, "Subject: x\r\n");
    request_answer(r, 200);
}

static const struct endpoint table[] = {
    { "GET", "/", get_page, ROLE_ANYONE, MEDIA_FILE },
    { "GET", "/events", get_events, ROLE_READ, MEDIA_EVENTS },
    { "GET", "/message", get_message, ROLE_READ, MEDIA_MESSAGE },
    { NULL, NULL, NULL, ROLE_ANYONE, MEDIA_JSON },
};

bool endpoints_find(struct request *r, const char *method, const char *path)
{
    for (const struct endpoint *e = table; e->method; e++)
        if (strcmp(e->path, path) == 0 && strcmp(e->method, method) == 0)
            r->endpoint = e;
    if (!r->endpoint)
        request_refuse(r, 404, "no");
    return r->endpoint != NULL;
}

void endpoints_run(struct request *r)
{
    r->endpoint->run(r);
}

void queue_stats(struct queue *q, struct queue_stats *out)
{
    (void)q;
    *out = (struct queue_stats){ .puts = 7 };
}

struct queue_port *queue_port_open(struct queue *q,
                                   const struct queue_port_events *events,
                                   void *user)
{
    (void)q;
    (void)events;
    (void)user;
    return NULL;
}

/* ------------------------------------------------------------- a client ---- */

struct room {
    char folder[64], path[96];
    uv_loop_t loop;
    struct admin *admin;
    struct buffer in;
};

void queue_port_close(struct queue_port *p)
{
    (void)p;
}

void queue_port_drain(struct queue_port *p)
{
    (void)p;
}

static int room_open(void **state)
{
    struct room *r = calloc(1, sizeof(*r));
    struct buffer why = { 0 };
    struct admin_options o = { 0 };

    memset(&pushed, 0, sizeof(pushed));
    (void)snprintf(r->folder, sizeof(r->folder), "/tmp/waypost-answer-XXXXXX");
    assert_non_null(mkdtemp(r->folder));
    (void)snprintf(r->path, sizeof(r->path), "%s/socket", r->folder);
    o.socket = span_of(r->path);
    assert_int_equal(uv_loop_init(&r->loop), 0);
    assert_int_equal(admin_open(&r->admin, &r->loop, NULL, &o, &why), 0);
    *state = r;
    return 0;
}

static int room_close(void **state)
{
    struct room *r = *state;

    if (r->admin)
        admin_close(r->admin, NULL, NULL);
    assert_int_equal(uv_run(&r->loop, UV_RUN_DEFAULT), 0);
    assert_int_equal(uv_loop_close(&r->loop), 0);
    assert_int_equal(rmdir(r->folder), 0);
    buffer_fini(&r->in);
    free(r);
    return 0;
}

static int ask(struct room *r, const char *path, const char *headers)
{
    struct sockaddr_un at = { .sun_family = AF_UNIX };
    int fd = socket(AF_UNIX, SOCK_STREAM, 0);
    struct buffer out = { 0 };

    memcpy(at.sun_path, r->path, strlen(r->path));
    assert_int_equal(connect(fd, (struct sockaddr *)&at, sizeof(at)), 0);
    assert_int_equal(fcntl(fd, F_SETFL, O_NONBLOCK), 0);
    buffer_printf(&out, "GET %s HTTP/1.1\r\nHost: x\r\n%s\r\n", path, headers);
    assert_int_equal(send(fd, out.at, out.len, MSG_NOSIGNAL), out.len);
    buffer_fini(&out);
    buffer_clear(&r->in);
    return fd;
}

static void turn(struct room *r, int times)
{
    for (int i = 0; i < times; i++)
        uv_run(&r->loop, UV_RUN_NOWAIT);
}

/* Until this has come, or, where text is NULL, the end. */
static void hear(struct room *r, int fd, const char *text)
{
    char bytes[4096];

    for (int i = 0; i < TURNS; i++) {
        ssize_t n = read(fd, bytes, sizeof(bytes));

        if (n > 0)
            buffer_put(&r->in, span_make(bytes, (size_t)n));
        if (text ? strstr(buffer_string(&r->in), text) != NULL : n == 0)
            return;
        turn(r, 1);
    }
    fail_msg("%s", buffer_string(&r->in));
}

static bool heard(struct room *r, const char *text)
{
    return strstr(buffer_string(&r->in), text) != NULL;
}

static struct request *pusher(void)
{
    return request_find(pushed.admin, pushed.token);
}

/* ---------------------------------------------------------------- tests ---- */

static void every_answer_is_shielded(void **state)
{
    static const char *const paths[] = { "/message", "/none", "/" };
    struct room *r = *state;

    for (size_t i = 0; i < 3; i++) {
        int fd = ask(r, paths[i], "Connection: close\r\n");

        hear(r, fd, NULL);
        assert_true(heard(r, "X-Content-Type-Options: nosniff\r\n"));
        assert_true(heard(r, "X-Frame-Options: DENY\r\n"));
        assert_true(heard(r, "Referrer-Policy: no-referrer\r\n"));
        assert_true(heard(r, "Content-Security-Policy: default-src "));
        assert_true(heard(r, "Cache-Control: no-"));
        assert_int_equal(close(fd), 0);
    }
}

static void an_answer_has_the_media_of_its_endpoint(void **state)
{
    struct room *r = *state;
    int fd = ask(r, "/message", "Connection: close\r\n");

    hear(r, fd, NULL);
    assert_true(heard(r, "Content-Type: message/rfc822\r\n"));
    assert_true(heard(r, "Content-Disposition: attachment\r\n"));
    assert_int_equal(close(fd), 0);
    fd = ask(r, "/none", "Connection: close\r\n");
    hear(r, fd, NULL);
    assert_true(heard(r, "Content-Type: application/json\r\n"));
    assert_int_equal(close(fd), 0);
}

static void a_file_that_is_had_is_not_sent_again(void **state)
{
    struct room *r = *state;
    int fd = ask(r, "/", "Connection: close\r\n");
    char header[128], *tag, *end;

    hear(r, fd, NULL);
    assert_true(heard(r, "200 OK"));
    assert_true(heard(r, "text/html"));
    assert_true(heard(r, "Content-Security-Policy: default-src 'self'\r\n"));
    assert_true(heard(r, "<p>hello"));
    tag = strstr(r->in.at, "ETag: ");
    assert_non_null(tag);
    end = strstr(tag, "\r\n");
    assert_non_null(end);
    (void)snprintf(header, sizeof(header),
                   "Connection: close\r\nIf-None-Match: \"x\", %.*s\r\n",
                   (int)(end - tag - 6), tag + 6);
    assert_int_equal(close(fd), 0);
    fd = ask(r, "/", header);
    hear(r, fd, NULL);
    assert_true(heard(r, "304 Not Modified"));
    assert_false(heard(r, "hello"));
    assert_int_equal(close(fd), 0);
}

static void what_is_pushed_goes_out_at_once(void **state)
{
    struct room *r = *state;
    int fd = ask(r, "/events", "");

    hear(r, fd, "text/event-stream");
    turn(r, 50);
    for (int i = 0; i < 3; i++) {
        char text[32];

        (void)snprintf(text, sizeof(text), "data: %d\n\n", i);
        assert_true(request_push(pusher(), span_of(text)));
        hear(r, fd, text);
    }
    assert_int_equal(pushed.gone, 0);
    request_push_end(pusher());
    hear(r, fd, NULL);
    assert_true(heard(r, "\r\n0\r\n"));
    assert_int_equal(pushed.gone, 1);
    assert_null(pusher());
    assert_int_equal(close(fd), 0);
}

static void who_reads_slowly_loses_news_and_costs_no_memory(void **state)
{
    struct room *r = *state;
    int fd = ask(r, "/events", ""), lost = 0;
    char text[1000];

    memset(text, 'x', sizeof(text));
    turn(r, 50);
    for (int i = 0; i < 5000; i++) {
        if (!request_push(pusher(), span_make(text, sizeof(text))))
            lost++;
        assert_in_range(pusher()->answer.len, 0, PUSH_MOST + 20000);
        turn(r, 1);
    }
    assert_in_range(lost, 1000, 4999);
    assert_int_equal(close(fd), 0);
    turn(r, 50);
    assert_int_equal(pushed.gone, 1);
}

static void who_goes_away_is_noticed_at_the_next_push(void **state)
{
    struct room *r = *state;
    int fd = ask(r, "/events", "");

    turn(r, 50);
    assert_int_equal(close(fd), 0);
    for (int i = 0; i < 10 && pusher(); i++) {
        assert_true(request_push(pusher(), SPAN("data: x\n\n")));
        turn(r, 20);
    }
    assert_int_equal(pushed.gone, 1);
}

static void a_stream_ends_when_the_relay_does(void **state)
{
    struct room *r = *state;
    int fd = ask(r, "/events", "");

    turn(r, 50);
    admin_close(r->admin, NULL, NULL);
    r->admin = NULL;
    assert_int_equal(pushed.gone, 1);
    hear(r, fd, NULL);
    assert_int_equal(close(fd), 0);
}

#define WITH_ROOM(test)                                                        \
    cmocka_unit_test_setup_teardown(test, room_open, room_close)

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_ROOM(every_answer_is_shielded),
        WITH_ROOM(an_answer_has_the_media_of_its_endpoint),
        WITH_ROOM(a_file_that_is_had_is_not_sent_again),
        WITH_ROOM(what_is_pushed_goes_out_at_once),
        WITH_ROOM(who_reads_slowly_loses_news_and_costs_no_memory),
        WITH_ROOM(who_goes_away_is_noticed_at_the_next_push),
        WITH_ROOM(a_stream_ends_when_the_relay_does),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
