/*
 * notify - telling the service manager how we are, and taking its sockets.
 *
 * One datagram for each state. A manager that does not listen any more is no
 * reason to stop, so failures to send are left alone.
 */
#include "relay/net/notify.h"

#include "policy/vocabulary/buffer.h"

#include <errno.h>
#include <fcntl.h>
#include <stddef.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

int notify_open(struct notify *n, const char *socket_name)
{
    struct sockaddr_un to = { .sun_family = AF_UNIX };
    struct span name = span_of(socket_name);
    socklen_t len =
        (socklen_t)(offsetof(struct sockaddr_un, sun_path) + name.len);
    int rc;

    n->fd = -1;
    if (!name.len)
        return 0;
    if ((name.at[0] != '/' && name.at[0] != '@') ||
        name.len >= sizeof(to.sun_path))
        return -EINVAL;
    memcpy(to.sun_path, name.at, name.len);
    if (name.at[0] == '@')
        to.sun_path[0] = '\0';
    n->fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (n->fd < 0)
        return -errno;
    if (connect(n->fd, (struct sockaddr *)&to, len) == 0)
        return 0;
    rc = -errno;
    notify_fini(n);
    return rc;
}

void notify_fini(struct notify *n)
{
    if (n->fd >= 0)
        (void)close(n->fd);
    n->fd = -1;
}

static void tell(struct notify *n, struct span state)
{
    if (n->fd >= 0)
        (void)send(n->fd, state.at, state.len, MSG_NOSIGNAL);
}

void notify_ready(struct notify *n)
{
    tell(n, SPAN("READY=1\n"));
}

void notify_reloading(struct notify *n, uint64_t now_us)
{
    struct buffer b = { 0 };

    buffer_printf(&b, "RELOADING=1\nMONOTONIC_USEC=%llu\n",
                  (unsigned long long)now_us);
    tell(n, buffer_span(&b));
    buffer_fini(&b);
}

void notify_stopping(struct notify *n)
{
    tell(n, SPAN("STOPPING=1\n"));
}

void notify_status(struct notify *n, struct span text)
{
    struct buffer b = { 0 };

    buffer_put_string(&b, "STATUS=");
    buffer_put_escaped(&b, text);
    buffer_put_byte(&b, '\n');
    tell(n, buffer_span(&b));
    buffer_fini(&b);
}

void notify_watchdog(struct notify *n)
{
    tell(n, SPAN("WATCHDOG=1\n"));
}

/* Is it set, and not our own number? */
static bool is_for_another(const char *pid, pid_t own_pid)
{
    uint64_t n;

    return pid && (!span_number(span_of(pid), &n) || n != (uint64_t)own_pid);
}

int64_t notify_watchdog_ms(const char *usec, const char *pid, pid_t own_pid)
{
    uint64_t n;

    if (!span_number(span_of(usec), &n) || is_for_another(pid, own_pid))
        return 0;
    n /= 2000;
    return n > INT64_MAX ? 0 : (int64_t)n;
}

static bool is_listening(int fd)
{
    int type = 0, listens = 0;
    socklen_t len = sizeof(int);

    return getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &len) == 0 &&
           type == SOCK_STREAM &&
           getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &listens, &len) == 0 &&
           listens;
}

static bool make_ours(int fd)
{
    int flags = fcntl(fd, F_GETFL);

    return flags >= 0 && fcntl(fd, F_SETFL, flags | O_NONBLOCK) == 0 &&
           fcntl(fd, F_SETFD, FD_CLOEXEC) == 0;
}

size_t notify_sockets(const char *count, const char *names, const char *pid,
                      pid_t own_pid, int first_fd,
                      struct notify_socket *out_sockets, size_t most)
{
    struct span rest = span_of(names);
    size_t found = 0;
    uint64_t n;

    /* Unlike the watchdog's, this number must be there. */
    if (!pid || is_for_another(pid, own_pid) ||
        !span_number(span_of(count), &n))
        return 0;
    for (uint64_t i = 0; i < n && i < NOTIFY_SOCKETS_MOST; i++) {
        struct span name = span_split(rest, ':', &rest);
        int fd = first_fd + (int)i;

        if (found < most && is_listening(fd) && make_ours(fd))
            out_sockets[found++] = (struct notify_socket){ fd, name };
    }
    return found;
}
