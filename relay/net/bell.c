/*
 * bell - wakes a loop, also where a thread of low priority rings.
 */
#include "relay/net/bell.h"

#include "policy/vocabulary/error.h"

#include <sys/eventfd.h>
#include <unistd.h>

static void on_ready(uv_poll_t *poll, int status, int events)
{
    struct bell *b = poll->data;
    uint64_t rings;

    (void)status;
    (void)events;
    if (read(b->fd, &rings, sizeof rings) == (ssize_t)sizeof rings)
        b->rung(b->user);
}

void bell_open(struct bell *b, uv_loop_t *loop, void (*rung)(void *user),
               void *user)
{
    *b = (struct bell){ .rung = rung, .user = user };
    b->fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    ASSERT(b->fd >= 0 && uv_poll_init(loop, &b->poll, b->fd) == 0);
    b->poll.data = b;
    ASSERT(uv_poll_start(&b->poll, UV_READABLE, on_ready) == 0);
}

void bell_ring(struct bell *b)
{
    const uint64_t one = 1;

    /* It fails only where so many rings have not been heard yet that one more tells nothing. */
    if (write(b->fd, &one, sizeof one) < 0)
        return;
}

static void on_closed(uv_handle_t *handle)
{
    struct bell *b = handle->data;

    (void)close(b->fd);
    b->closed(b->user);
}

void bell_close(struct bell *b, void (*closed)(void *user))
{
    b->closed = closed;
    (void)uv_poll_stop(&b->poll);
    uv_close((uv_handle_t *)&b->poll, on_closed);
}
