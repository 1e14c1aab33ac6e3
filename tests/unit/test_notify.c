/*
 * test_notify - what the service manager hears, and which of its sockets we
 * take.
 */
#include "relay/net/notify.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cmocka.h>

enum { ME = 4711 };

struct manager {
    char folder[64], path[96];
    int fd;
};

static int manager_open(void **state)
{
    struct manager *m = calloc(1, sizeof(*m));
    struct sockaddr_un at = { .sun_family = AF_UNIX };

    (void)snprintf(m->folder, sizeof(m->folder), "/tmp/waypost-notify-XXXXXX");
    assert_non_null(mkdtemp(m->folder));
    (void)snprintf(m->path, sizeof(m->path), "%s/notify", m->folder);
    m->fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK, 0);
    memcpy(at.sun_path, m->path, strlen(m->path));
    assert_int_equal(bind(m->fd, (struct sockaddr *)&at, sizeof(at)), 0);
    *state = m;
    return 0;
}

static int manager_close(void **state)
{
    struct manager *m = *state;

    assert_int_equal(close(m->fd), 0);
    assert_int_equal(unlink(m->path), 0);
    assert_int_equal(rmdir(m->folder), 0);
    free(m);
    return 0;
}

static void assert_heard(struct manager *m, const char *text)
{
    char heard[256];
    ssize_t n = recv(m->fd, heard, sizeof(heard) - 1, 0);

    assert_true(n >= 0);
    heard[n] = '\0';
    assert_string_equal(heard, text);
}

static void notify_says_each_state_in_one_datagram(void **state)
{
    struct manager *m = *state;
    struct notify n;

    assert_int_equal(notify_open(&n, m->path), 0);
    notify_ready(&n);
    assert_heard(m, "READY=1\n");
    notify_reloading(&n, 123456789);
    assert_heard(m, "RELOADING=1\nMONOTONIC_USEC=123456789\n");
    notify_status(&n, SPAN("7 waiting\nREADY=1"));
    assert_heard(m, "STATUS=7 waiting\\x0AREADY=1\n");
    notify_watchdog(&n);
    assert_heard(m, "WATCHDOG=1\n");
    notify_stopping(&n);
    assert_heard(m, "STOPPING=1\n");
    notify_fini(&n);
    notify_fini(&n);
}

static void notify_without_a_manager_does_nothing(void **state)
{
    struct notify n;

    (void)state;
    assert_int_equal(notify_open(&n, NULL), 0);
    assert_int_equal(n.fd, -1);
    notify_ready(&n);
    notify_fini(&n);
    assert_int_equal(notify_open(&n, ""), 0);
    assert_int_equal(notify_open(&n, "relative"), -EINVAL);
    assert_int_equal(notify_open(&n, "/nowhere/at/all"), -ENOENT);
    assert_int_equal(n.fd, -1);
}

static void notify_watchdog_runs_twice_in_each_interval(void **state)
{
    (void)state;
    assert_int_equal(notify_watchdog_ms("30000000", "4711", ME), 15000);
    assert_int_equal(notify_watchdog_ms("30000000", NULL, ME), 15000);
    assert_int_equal(notify_watchdog_ms("30000000", "4712", ME), 0);
    assert_int_equal(notify_watchdog_ms("30000000", "x", ME), 0);
    assert_int_equal(notify_watchdog_ms(NULL, NULL, ME), 0);
    assert_int_equal(notify_watchdog_ms("-5", NULL, ME), 0);
}

static int listening_socket(void)
{
    /* A nameless unix socket may listen too. */
    struct sockaddr_un at = { .sun_family = AF_UNIX };
    int fd = socket(AF_UNIX, SOCK_STREAM, 0);

    assert_int_equal(bind(fd, (struct sockaddr *)&at, sizeof(sa_family_t)), 0);
    assert_int_equal(listen(fd, 1), 0);
    return fd;
}

static void notify_takes_listening_sockets_with_their_names(void **state)
{
    enum { FIRST = 100 };
    struct notify_socket s[4];
    int fds[3] = { listening_socket(), socket(AF_UNIX, SOCK_DGRAM, 0),
                   listening_socket() };

    (void)state;
    for (int i = 0; i < 3; i++) {
        assert_int_equal(dup2(fds[i], FIRST + i), FIRST + i);
        assert_int_equal(close(fds[i]), 0);
    }
    assert_int_equal(notify_sockets("3", "a:b:c", "4711", ME, FIRST, s, 4), 2);
    assert_int_equal(s[0].fd, FIRST);
    assert_true(span_is(s[0].name, SPAN("a")));
    assert_int_equal(s[1].fd, FIRST + 2);
    assert_true(span_is(s[1].name, SPAN("c")));
    assert_true(fcntl(FIRST, F_GETFD) & FD_CLOEXEC);
    assert_true(fcntl(FIRST, F_GETFL) & O_NONBLOCK);
    assert_int_equal(notify_sockets("3", NULL, "4711", ME, FIRST, s, 4), 2);
    assert_int_equal(s[1].name.len, 0);
    assert_int_equal(notify_sockets("3", "a:b:c", "4711", ME, FIRST, s, 1), 1);
    assert_int_equal(notify_sockets("99", "", "4711", ME, FIRST, s, 4), 2);
    /* Not for us. */
    assert_int_equal(notify_sockets("3", "", "4712", ME, FIRST, s, 4), 0);
    assert_int_equal(notify_sockets("3", "", NULL, ME, FIRST, s, 4), 0);
    assert_int_equal(notify_sockets(NULL, "", "4711", ME, FIRST, s, 4), 0);
    assert_int_equal(notify_sockets("-1", "", "4711", ME, FIRST, s, 4), 0);
    for (int i = 0; i < 3; i++)
        assert_int_equal(close(FIRST + i), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(notify_says_each_state_in_one_datagram,
                                        manager_open, manager_close),
        cmocka_unit_test(notify_without_a_manager_does_nothing),
        cmocka_unit_test(notify_watchdog_runs_twice_in_each_interval),
        cmocka_unit_test(notify_takes_listening_sockets_with_their_names),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
