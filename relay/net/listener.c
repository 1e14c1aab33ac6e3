/*
 * listener - one listening socket on the main loop.
 */
#include "relay/net/listener.h"

#include "policy/vocabulary/memory.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
    LISTEN_BACKLOG = 4096,
    ACCEPT_AT_ONCE = 64,
    ACCEPT_PAUSE_MS = 200,
};

struct listener {
    uv_poll_t poll;
    uv_timer_t pause;
    int fd, reserve_fd;
    int open;                     /* handles not closed yet */
    struct host_address host;
    uint16_t port;
    size_t index;
    listener_accept_fn *accept;
    void *user;
};

void host_address_from_socket(struct host_address *out_a, uint16_t *out_port,
                              const struct sockaddr_storage *s)
{
    static const unsigned char mapped[12] = { [10] = 0xff, [11] = 0xff };

    struct sockaddr_in in = { 0 };
    struct sockaddr_in6 in6 = { 0 };

    if (s->ss_family == AF_INET) {
        memcpy(&in, s, sizeof in);
        memcpy(out_a->bytes, mapped, 12);
        memcpy(out_a->bytes + 12, &in.sin_addr, 4);
        *out_port = ntohs(in.sin_port);
    } else {
        memcpy(&in6, s, sizeof in6);
        memcpy(out_a->bytes, &in6.sin6_addr, 16);
        *out_port = ntohs(in6.sin6_port);
    }
}

static void on_ready(uv_poll_t *handle, int status, int events);

static void on_pause_over(uv_timer_t *timer)
{
    struct listener *l = timer->data;

    if (l->reserve_fd < 0)
        l->reserve_fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
    (void)uv_poll_start(&l->poll, UV_READABLE, on_ready);
}

/* Tell one waiting client the truth by closing on it, then rest. */
static void out_of_descriptors(struct listener *l)
{
    int fd;

    if (l->reserve_fd >= 0) {
        (void)close(l->reserve_fd);
        fd = accept4(l->fd, NULL, NULL, SOCK_CLOEXEC);
        if (fd >= 0)
            (void)close(fd);
        l->reserve_fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
    }
    (void)uv_poll_stop(&l->poll);
    (void)uv_timer_start(&l->pause, on_pause_over, ACCEPT_PAUSE_MS, 0);
}

static void on_ready(uv_poll_t *handle, int status, int events)
{
    struct listener *l = handle->data;

    (void)status;
    (void)events;
    for (int i = 0; i < ACCEPT_AT_ONCE; i++) {
        struct sockaddr_storage peer = { 0 };
        socklen_t len = sizeof peer;
        struct host_address address = { 0 };
        uint16_t port = 0;
        int fd = accept4(l->fd, (struct sockaddr *)&peer, &len,
                         SOCK_NONBLOCK | SOCK_CLOEXEC);

        if (fd < 0 && (errno == EMFILE || errno == ENFILE))
            out_of_descriptors(l);
        if (fd < 0 && errno == ECONNABORTED)
            continue;
        if (fd < 0)
            return;
        host_address_from_socket(&address, &port, &peer);
        l->accept(l->user, l, fd, &address);
    }
}

int listener_bind(const struct host_address *host, uint16_t port)
{
    struct sockaddr_storage s = { 0 };
    socklen_t len;
    int on = 1, off = 0, fd;

    if (host_address_is_v4(host)) {
        struct sockaddr_in *in = (void *)&s;

        in->sin_family = AF_INET;
        in->sin_port = htons(port);
        memcpy(&in->sin_addr, host->bytes + 12, 4);
        len = sizeof *in;
    } else {
        struct sockaddr_in6 *in6 = (void *)&s;

        in6->sin6_family = AF_INET6;
        in6->sin6_port = htons(port);
        memcpy(&in6->sin6_addr, host->bytes, 16);
        len = sizeof *in6;
    }
    fd = socket(s.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return -errno;
    (void)setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    if (s.ss_family == AF_INET6) /* [::] serves IPv4 as well */
        (void)setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof off);
    if (bind(fd, (struct sockaddr *)&s, len) < 0 ||
        listen(fd, LISTEN_BACKLOG) < 0) {
        int rc = -errno;

        (void)close(fd);
        return rc;
    }
    return fd;
}

int listener_open(struct listener **out_l, uv_loop_t *loop,
                  const struct host_address *host, uint16_t port,
                  int passed_fd, listener_accept_fn *accept, void *user)
{
    int fd = passed_fd >= 0 ? passed_fd : listener_bind(host, port);
    struct listener *l;

    if (fd < 0)
        return fd;
    l = NEW(struct listener);
    *l = (struct listener){ .fd = fd, .host = *host, .port = port,
                            .accept = accept, .user = user };
    l->reserve_fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
    ASSERT(uv_poll_init(loop, &l->poll, fd) == 0);
    ASSERT(uv_timer_init(loop, &l->pause) == 0);
    l->poll.data = l->pause.data = l;
    l->open = 2;
    (void)uv_poll_start(&l->poll, UV_READABLE, on_ready);
    *out_l = l;
    return 0;
}

bool listener_is_at(const struct listener *l, const struct host_address *host,
                    uint16_t port)
{
    return l->port == port && host_address_is(&l->host, host);
}

void listener_set_index(struct listener *l, size_t index)
{
    l->index = index;
}

size_t listener_index(const struct listener *l)
{
    return l->index;
}

static void on_handle_closed(uv_handle_t *handle)
{
    struct listener *l = handle->data;

    if (--l->open)
        return;
    if (l->reserve_fd >= 0)
        (void)close(l->reserve_fd);
    free(l);
}

void listener_close(struct listener *l)
{
    (void)uv_poll_stop(&l->poll);
    (void)close(l->fd);
    uv_close((uv_handle_t *)&l->poll, on_handle_closed);
    uv_close((uv_handle_t *)&l->pause, on_handle_closed);
}
