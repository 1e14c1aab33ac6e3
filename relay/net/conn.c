/*
 * conn - one TCP connection on a worker's loop.
 *
 *   OPEN --finish--> LINGERING (our side is shut, input is thrown away)
 *     |                  |
 *     +------ close -----+--> CLOSING --> closed()
 */
#include "relay/net/conn.h"

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

/* Input kept while the owner is busy; reading has stopped by then, so one read buffer
 * more than this is the most that can wait. */
enum { CONN_WAITING_CAP = 2 * WORKER_READ_SIZE };

static void on_alloc(uv_handle_t *handle, size_t hint, uv_buf_t *buf)
{
    struct conn *c = handle->data;

    (void)hint;
    *buf = uv_buf_init(c->worker->read_buffer, WORKER_READ_SIZE);
}

static void keep(struct conn *c, struct span rest)
{
    c->waiting.cap = CONN_WAITING_CAP;
    buffer_put(&c->waiting, rest);
    ASSERT(!c->waiting.overflow);
}

/* Shows what waits, then what is new. */
static void show(struct conn *c, struct span in)
{
    if (c->waiting.len) {
        keep(c, in);
        in = buffer_span(&c->waiting);
    }
    size_t used = in.len ? c->events->input(c->user, in) : 0;

    if (c->is_closing)
        return;
    if (c->waiting.len) {
        buffer_drop(&c->waiting, used);
        if (!c->waiting.len)
            buffer_fini(&c->waiting);
    } else if (used < in.len) {
        keep(c, span_skip(in, used));
    }
    if (c->waiting.len)
        conn_pause(c);
}

static void on_read(uv_stream_t *stream, ssize_t n, const uv_buf_t *buf)
{
    struct conn *c = stream->data;

    if (n == 0)
        return;
    if (n > 0) {
        if (!c->is_lingering)
            show(c, (struct span){ buf->base, (size_t)n });
        return;
    }
    conn_pause(c);
    if (c->is_lingering) {
        conn_close(c);
        return;
    }
    c->is_ended = true;
    c->events->ended(c->user, n == UV_EOF ? 0 : (int)n);
}

static int read_on(struct conn *c)
{
    int rc;

    if (c->is_reading || c->is_ended || c->is_closing)
        return 0;
    rc = uv_read_start((uv_stream_t *)&c->tcp, on_alloc, on_read);
    c->is_reading = rc == 0;
    return rc;
}

int conn_open(struct conn *c, struct worker *w, int fd,
              const struct conn_events *events, void *user)
{
    int rc;

    *c = (struct conn){ .worker = w, .events = events, .user = user };
    ASSERT(uv_tcp_init(&w->loop, &c->tcp) == 0); /* only fills in the handle */
    c->tcp.data = c;
    if ((rc = uv_tcp_open(&c->tcp, fd)) < 0) {
        (void)close(fd);
        return rc;
    }
    (void)uv_tcp_nodelay(&c->tcp, 1);
    return read_on(c);
}

void conn_pause(struct conn *c)
{
    if (c->is_reading)
        (void)uv_read_stop((uv_stream_t *)&c->tcp);
    c->is_reading = false;
}

void conn_resume(struct conn *c)
{
    if (c->is_closing || c->is_lingering)
        return;
    if (c->waiting.len)
        show(c, (struct span){ NULL, 0 });
    if (!c->is_closing && !c->is_lingering && !c->waiting.len)
        (void)read_on(c);
}

static int write_rest(struct conn *c);

static void end_our_side(struct conn *c)
{
    int rc = uv_shutdown(&c->shutdown, (uv_stream_t *)&c->tcp, NULL);

    if (rc < 0 || c->is_ended)
        conn_close(c);
    else
        (void)read_on(c);
}

static void on_written(uv_write_t *req, int rc)
{
    struct conn *c = req->data;

    free(c->out);
    c->out = NULL;
    c->out_len = 0;
    if (rc < 0 || c->is_closing)
        return; /* the read side tells of a broken connection */
    if (c->next.len) {
        (void)write_rest(c);
    } else if (c->is_lingering) {
        end_our_side(c);
    } else {
        c->events->drained(c->user);
    }
}

static int write_rest(struct conn *c)
{
    uv_buf_t buf;

    c->out = c->next.at;
    c->out_len = c->next.len;
    c->next = (struct buffer){ 0 };
    buf = uv_buf_init(c->out, (unsigned)c->out_len);
    c->write.data = c;
    return uv_write(&c->write, (uv_stream_t *)&c->tcp, &buf, 1, on_written);
}

int conn_send(struct conn *c, struct buffer *b)
{
    uv_buf_t buf = uv_buf_init(b->at, (unsigned)b->len);
    int n = 0;

    if (c->is_closing || b->len == 0) {
        buffer_clear(b);
        return 0;
    }
    if (!c->out) {
        n = uv_try_write((uv_stream_t *)&c->tcp, &buf, 1);
        if (n == UV_EAGAIN)
            n = 0;
        if (n < 0) {
            buffer_clear(b);
            return n;
        }
    }
    if ((size_t)n == b->len) {
        buffer_clear(b);
        return 0;
    }
    buffer_drop(b, (size_t)n);
    if (c->next.len == 0) { /* hand the buffer over instead of copying it */
        buffer_fini(&c->next);
        c->next = *b;
        *b = (struct buffer){ .cap = b->cap };
    } else {
        buffer_put(&c->next, buffer_span(b));
        buffer_clear(b);
    }
    return c->out ? 0 : write_rest(c);
}

size_t conn_unsent(const struct conn *c)
{
    return c->out_len + c->next.len;
}

void conn_finish(struct conn *c)
{
    if (c->is_closing || c->is_lingering)
        return;
    c->is_lingering = true;
    buffer_fini(&c->waiting);
    if (!c->out)
        end_our_side(c);
}

static void on_closed(uv_handle_t *handle)
{
    struct conn *c = handle->data;

    buffer_fini(&c->waiting);
    buffer_fini(&c->next);
    free(c->out);
    c->out = NULL;
    c->events->closed(c->user);
}

void conn_close(struct conn *c)
{
    if (c->is_closing)
        return;
    c->is_closing = true;
    c->is_reading = false;
    uv_close((uv_handle_t *)&c->tcp, on_closed);
}
