/*
 * race: the first address that answers wins, and nothing is left open.
 *
 * Uses loopback with ports of the kernel's choosing. Silent is a listener whose queue is
 * full: it drops what else comes.
 */
#include "relay/net/race.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>
#include <cmocka.h>

enum { TIMEOUT_MS = 5000, FILLERS = 4 };

struct world {
    uv_loop_t loop;
    int listener, closed, silent, fillers[FILLERS];
    uint16_t open_port, closed_port, silent_port;
    bool has_returned;
    int calls, fd;
    struct race_result result;
    struct race_target failed[8];
    int failed_rc[8];
};

static int bind_somewhere(uint16_t *out_port)
{
    struct sockaddr_in in = { .sin_family = AF_INET,
                              .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    socklen_t len = sizeof in;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);

    assert_true(fd >= 0);
    assert_int_equal(bind(fd, (struct sockaddr *)&in, len), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&in, &len), 0);
    *out_port = ntohs(in.sin_port);
    return fd;
}

static void fill(struct world *w)
{
    struct sockaddr_in in = { .sin_family = AF_INET,
                              .sin_addr.s_addr = htonl(INADDR_LOOPBACK),
                              .sin_port = htons(w->silent_port) };

    for (size_t i = 0; i < FILLERS; i++) {
        w->fillers[i] = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
        (void)connect(w->fillers[i], (struct sockaddr *)&in, sizeof in);
    }
}

static int setup(void **state)
{
    struct world *w = calloc(1, sizeof *w);

    assert_non_null(w);
    assert_int_equal(uv_loop_init(&w->loop), 0);
    w->listener = bind_somewhere(&w->open_port);
    assert_int_equal(listen(w->listener, 16), 0);
    w->closed = bind_somewhere(&w->closed_port);
    w->silent = bind_somewhere(&w->silent_port);
    assert_int_equal(listen(w->silent, 0), 0);
    fill(w);
    w->fd = -1;
    *state = w;
    return 0;
}

static int teardown(void **state)
{
    struct world *w = *state;

    assert_int_equal(uv_loop_close(&w->loop), 0); /* no handle is left */
    if (w->fd >= 0)
        close(w->fd);
    close(w->listener);
    close(w->closed);
    close(w->silent);
    for (size_t i = 0; i < FILLERS; i++)
        close(w->fillers[i]);
    free(w);
    return 0;
}

static size_t count_descriptors(void)
{
    DIR *d = opendir("/proc/self/fd");
    size_t n = 0;

    assert_non_null(d);
    while (readdir(d))
        n++;
    closedir(d);
    return n;
}

static struct race_target target(const char *address, uint16_t port, size_t tag)
{
    struct race_target t = { .port = port, .tag = tag };

    assert_true(host_address_parse(span_of(address), &t.address));
    return t;
}

static void on_done(void *user, const struct race_result *r)
{
    struct world *w = user;

    assert_true(w->has_returned);
    w->calls++;
    w->result = *r;
    w->fd = r->fd;
    for (size_t i = 0; i < r->failed_count; i++) {
        w->failed[i] = r->failed[i];
        w->failed_rc[i] = r->failed_rc[i];
    }
}

static struct race *start(struct world *w, const struct race_target *targets,
                          size_t count, int64_t timeout_ms, bool refuse_unsafe)
{
    struct race *r;

    uv_update_time(&w->loop);
    w->has_returned = false;
    r = race_start(&w->loop, targets, count, timeout_ms, refuse_unsafe, on_done,
                   w);
    w->has_returned = true;
    return r;
}

static void run(struct world *w, const struct race_target *targets,
                size_t count)
{
    (void)start(w, targets, count, TIMEOUT_MS, false);
    uv_run(&w->loop, UV_RUN_DEFAULT);
    assert_int_equal(w->calls, 1);
}

static bool was_met(struct world *w)
{
    int fd = accept(w->listener, NULL, NULL);

    if (fd >= 0)
        close(fd);
    return fd >= 0;
}

static void the_descriptor_is_connected_nonblocking_and_without_delay(
    void **state)
{
    struct world *w = *state;
    struct race_target t = target("127.0.0.1", w->open_port, 7);
    int nodelay = 0;
    socklen_t len = sizeof nodelay;

    run(w, &t, 1);
    assert_int_equal(w->result.rc, 0);
    assert_int_equal(w->result.winner.tag, 7);
    assert_int_equal(w->result.winner.port, w->open_port);
    assert_int_equal(w->result.failed_count, 0);
    assert_true(w->fd >= 0);
    assert_true(fcntl(w->fd, F_GETFL) & O_NONBLOCK);
    assert_true(fcntl(w->fd, F_GETFD) & FD_CLOEXEC);
    assert_int_equal(
        getsockopt(w->fd, IPPROTO_TCP, TCP_NODELAY, &nodelay, &len), 0);
    assert_true(nodelay);
    assert_true(was_met(w));
    assert_false(was_met(w));
}

static void one_that_refuses_makes_room_for_the_next_at_once(void **state)
{
    struct world *w = *state;
    const struct race_target t[] = {
        target("127.0.0.1", w->closed_port, 1),
        target("::1", w->closed_port, 2), /* refused, or no such family */
        target("127.0.0.1", w->open_port, 3),
        target("127.0.0.1", w->open_port, 4),
    };

    run(w, t, 4);
    assert_int_equal(w->result.rc, 0);
    assert_int_equal(w->result.winner.tag, 3);
    assert_int_equal(w->result.failed_count, 2);
    assert_int_equal(w->failed[0].tag, 1);
    assert_int_equal(w->failed_rc[0], -ECONNREFUSED);
    assert_int_equal(w->failed[1].tag, 2);
    assert_true(w->failed_rc[1] < 0);
    assert_true(was_met(w));
    assert_false(was_met(w));
}

static void when_all_refuse_the_last_error_is_the_result(void **state)
{
    struct world *w = *state;
    const struct race_target t[] = {
        target("127.0.0.1", w->closed_port, 1),
        target("127.0.0.1", w->closed_port, 2),
        target("127.0.0.1", w->closed_port, 3),
    };

    run(w, t, 3);
    assert_int_equal(w->result.rc, -ECONNREFUSED);
    assert_int_equal(w->result.fd, -1);
    assert_int_equal(w->result.winner.tag, 3);
    assert_int_equal(w->result.failed_count, 2);
}

static void without_targets_there_is_no_host_to_reach(void **state)
{
    struct world *w = *state;

    run(w, NULL, 0);
    assert_int_equal(w->result.rc, -EHOSTUNREACH);
    assert_int_equal(w->result.fd, -1);
}

static void a_silent_one_does_not_hold_up_the_next(void **state)
{
    struct world *w = *state;
    const struct race_target t[] = { target("127.0.0.1", w->silent_port, 1),
                                     target("127.0.0.1", w->open_port, 2) };
    size_t before = count_descriptors();

    run(w, t, 2);
    assert_int_equal(w->result.rc, 0);
    assert_int_equal(w->result.winner.tag, 2);
    assert_int_equal(w->result.failed_count, 0);
    /* libuv's own descriptors are there since the loop began */
    assert_int_equal(count_descriptors(), before + 1);
}

static void a_silent_one_is_given_up_when_its_time_is_over(void **state)
{
    struct world *w = *state;
    struct race_target t = target("127.0.0.1", w->silent_port, 1);

    (void)start(w, &t, 1, 20, false);
    uv_run(&w->loop, UV_RUN_DEFAULT);
    assert_int_equal(w->calls, 1);
    assert_int_equal(w->result.rc, -ETIMEDOUT);
    assert_int_equal(w->result.fd, -1);
}

static void an_unsafe_address_is_refused_without_a_connection(void **state)
{
    struct world *w = *state;
    const struct race_target t[] = {
        target("127.0.0.1", w->open_port, 1),
        target("::ffff:127.0.0.1", w->open_port, 2),
        target("::1", w->open_port, 3), target("0.0.0.0", w->open_port, 4),
        target("::", w->open_port, 5)
    };

    (void)start(w, t, 5, TIMEOUT_MS, true);
    uv_run(&w->loop, UV_RUN_DEFAULT);
    assert_int_equal(w->calls, 1);
    assert_int_equal(w->result.rc, -EACCES);
    assert_int_equal(w->result.failed_count, 4);
    for (size_t i = 0; i < 4; i++)
        assert_int_equal(w->failed_rc[i], -EACCES);
    assert_false(was_met(w));
}

static void a_cancelled_race_says_nothing_and_leaves_nothing(void **state)
{
    struct world *w = *state;
    const struct race_target t[] = { target("127.0.0.1", w->silent_port, 1),
                                     target("127.0.0.1", w->open_port, 2) };
    size_t before = count_descriptors();

    /* at once; while it tries; when it has won but not yet said so */
    for (int turns = 0; turns < 6; turns++) {
        struct race *r = start(w, turns < 3 ? t : t + 1, turns < 3 ? 2 : 1,
                               TIMEOUT_MS, false);

        for (int i = 0; i < turns % 3 && w->calls == 0; i++)
            uv_run(&w->loop, UV_RUN_NOWAIT);
        if (w->calls == 0)
            race_cancel(r);
        else
            close(w->fd);
        uv_run(&w->loop, UV_RUN_DEFAULT);
        w->calls = 0;
        w->fd = -1;
        assert_int_equal(count_descriptors(), before);
    }
    while (was_met(w))
        ;
}

static void families_alternate_and_ipv6_is_first(void **state)
{
    static const struct {
        const char *in, *out;
    } rows[] = {
        { "", "" },
        { "a", "a" },
        { "A", "A" },
        { "aA", "Aa" },
        { "Aa", "Aa" },
        { "abAB", "AaBb" },
        { "abcA", "Aabc" },
        { "ABCa", "AaBC" },
        { "ABC", "ABC" },
        { "abc", "abc" },
        { "abAcBdC", "AaBbCcd" },
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct race_target t[8];
        size_t n = strlen(rows[i].in);

        for (size_t k = 0; k < n; k++)
            t[k] = target(rows[i].in[k] < 'a' ? "2001:db8::1" : "192.0.2.1", 25,
                          (size_t)rows[i].in[k]);
        race_order(t, n);
        for (size_t k = 0; k < n; k++)
            assert_int_equal(t[k].tag, rows[i].out[k]);
    }
}

#define RACE_TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        RACE_TEST(the_descriptor_is_connected_nonblocking_and_without_delay),
        RACE_TEST(one_that_refuses_makes_room_for_the_next_at_once),
        RACE_TEST(when_all_refuse_the_last_error_is_the_result),
        RACE_TEST(without_targets_there_is_no_host_to_reach),
        RACE_TEST(a_silent_one_does_not_hold_up_the_next),
        RACE_TEST(a_silent_one_is_given_up_when_its_time_is_over),
        RACE_TEST(an_unsafe_address_is_refused_without_a_connection),
        RACE_TEST(a_cancelled_race_says_nothing_and_leaves_nothing),
        cmocka_unit_test(families_alternate_and_ipv6_is_first),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
