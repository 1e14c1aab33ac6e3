/*
 * conn_hand - a connection that changes its owner.
 *
 * Given: the descriptor is doubled before libuv closes its own, so that what the peer sees
 * goes on; what the old owner left unread and the TLS conversation move along. Taken: the
 * rest is shown from a timer that has a life of its own, since the new owner may be gone
 * before the loop has turned.
 */
#include "relay/net/conn.h"

#include "policy/vocabulary/memory.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <sys/socket.h>

enum {
    QUIET_S = 60, /* then the kernel asks whether the peer is there */
    ASK_S = 10,   /* again and again */
    /* for an answer, or for what was sent to be taken; a block of content may take as
     * long (RFC 5321 4.5.3.2) */
    UNHEARD_MS = 180 * 1000,
};

/* Ends by itself, at the next turn or when its connection closes. */
struct conn_showing {
    uv_timer_t timer;
    struct conn *conn; /* NULL: gone */
};

int conn_give(struct conn *c, struct hand *out_h)
{
    uv_os_fd_t own;
    int fd;

    if (c->is_closing || c->is_lingering || c->is_at_end)
        return ERROR_GONE;
    if (conn_unsent(c) || (c->tls && !c->is_secured))
        return -EBUSY;
    ASSERT(uv_fileno((uv_handle_t *)&c->tcp, &own) == 0);
    if ((fd = fcntl(own, F_DUPFD_CLOEXEC, 0)) < 0)
        return -errno;
    *out_h = (struct hand){ .fd = fd, .tls = c->tls };
    c->tls = NULL;
    if (!c->is_showing) {
        out_h->waiting = c->waiting;
        c->waiting = (struct buffer){ 0 };
    }
    conn_close(c);
    return 0;
}

static void on_showing_closed(uv_handle_t *handle)
{
    free(handle->data);
}

void conn_show_no_more(struct conn *c)
{
    if (!c->showing)
        return;
    c->showing->conn = NULL;
    uv_close((uv_handle_t *)&c->showing->timer, on_showing_closed);
    c->showing = NULL;
}

static void on_next_turn(uv_timer_t *timer)
{
    struct conn *c = ((struct conn_showing *)timer->data)->conn;

    conn_show_no_more(c);
    conn_resume(c);
}

static void show_soon(struct conn *c)
{
    struct conn_showing *s = NEW(struct conn_showing);

    s->conn = c;
    ASSERT(uv_timer_init(&c->worker->loop, &s->timer) == 0);
    s->timer.data = s;
    ASSERT(uv_timer_start(&s->timer, on_next_turn, 0, 0) == 0);
    c->showing = s;
}

/*
 * Who dials in is sometimes cut off without a word, dials again, and is told that somebody
 * is at his mail: himself. So it is noticed after three minutes, not ten. Where an option
 * is not to be had it takes longer.
 */
static void watch(int fd)
{
    static const struct {
        int level, name, value;
    } options[] = {
        { SOL_SOCKET, SO_KEEPALIVE, 1 },
        { IPPROTO_TCP, TCP_KEEPIDLE, QUIET_S },
        { IPPROTO_TCP, TCP_KEEPINTVL, ASK_S },
        { IPPROTO_TCP, TCP_USER_TIMEOUT, UNHEARD_MS },
    };

    for (size_t i = 0; i < sizeof options / sizeof *options; i++)
        (void)setsockopt(fd, options[i].level, options[i].name,
                         &options[i].value, sizeof options[i].value);
}

int conn_take(struct conn *c, struct worker *w, struct hand *take_h,
              const struct conn_events *events, void *user)
{
    int rc;

    *c = (struct conn){ .worker = w, .events = events, .user = user };
    ASSERT(uv_tcp_init(&w->loop, &c->tcp) == 0); /* only fills in the handle */
    c->tcp.data = c;
    if ((rc = uv_tcp_open(&c->tcp, take_h->fd)) < 0) {
        hand_drop(take_h);
        return rc;
    }
    watch(take_h->fd);
    c->tls = take_h->tls;
    c->is_secured = c->tls != NULL;
    c->waiting = take_h->waiting;
    *take_h = HAND_NONE;
    show_soon(c);
    return 0;
}
