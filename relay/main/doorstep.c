/*
 * doorstep - the listening sockets that are there before the relay is.
 */
#include "relay/main/doorstep.h"

#include "relay/net/listener.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

/* Where a socket listens. */
static bool find_place(int fd, struct host_address *out_host,
                       uint16_t *out_port)
{
    struct sockaddr_storage address = { 0 };
    socklen_t len = sizeof address;

    if (getsockname(fd, (struct sockaddr *)&address, &len) < 0)
        return false;
    host_address_from_socket(out_host, out_port, &address);
    return true;
}

static struct notify_socket *find(struct doorstep *d, struct span name,
                                  const struct host_address *at, uint16_t port)
{
    for (size_t i = 0; i < d->count; i++) {
        struct notify_socket *s = &d->sockets[i];
        struct host_address host;
        uint16_t its_port;

        if (s->fd < 0)
            continue;
        if (name.len && span_is(s->name, name))
            return s;
        if (at && find_place(s->fd, &host, &its_port) && its_port == port &&
            host_address_is(&host, at))
            return s;
    }
    return NULL;
}

/* By its place alone: names live no longer than the settings. */
static void open_low(struct doorstep *d, struct span name,
                     const struct host_address *host, uint16_t port)
{
    int fd;

    if (port == 0 || port >= DOORSTEP_PORTS ||
        d->count == NOTIFY_SOCKETS_MOST || find(d, name, host, port))
        return;
    fd = listener_bind(host, port);
    if (fd >= 0)
        d->sockets[d->count++] = (struct notify_socket){ .fd = fd };
    else if (d->refusal_count < NOTIFY_SOCKETS_MOST)
        d->refusals[d->refusal_count++] =
            (struct doorstep_refusal){ *host, port, fd };
}

void doorstep_open(struct doorstep *d, const struct settings *s)
{
    d->count = notify_sockets(getenv("LISTEN_FDS"), getenv("LISTEN_FDNAMES"),
                              getenv("LISTEN_PID"), getpid(), NOTIFY_FIRST_FD,
                              d->sockets, NOTIFY_SOCKETS_MOST);
    if (geteuid() != 0)
        return;
    for (size_t i = 0; i < s->listener_count; i++)
        open_low(d, s->listeners[i].title, &s->listeners[i].host,
                 s->listeners[i].port);
    if (s->admin.http.len)
        open_low(d, SPAN("admin"), &s->admin.http_host, s->admin.http_port);
}

int doorstep_take(struct doorstep *d, struct span name,
                  const struct host_address *host, uint16_t port)
{
    struct notify_socket *s = find(d, name, host, port);
    int fd = s ? s->fd : -1;

    if (s)
        s->fd = -1;
    return fd;
}

int doorstep_reason(const struct doorstep *d, const struct host_address *host,
                    uint16_t port, int rc)
{
    for (size_t i = 0; rc == -EACCES && i < d->refusal_count; i++)
        if (d->refusals[i].port == port &&
            host_address_is(&d->refusals[i].host, host))
            return d->refusals[i].rc;
    return rc;
}

void doorstep_close(struct doorstep *d)
{
    for (size_t i = 0; i < d->count; i++)
        if (d->sockets[i].fd >= 0)
            (void)close(d->sockets[i].fd);
    d->count = 0;
}
