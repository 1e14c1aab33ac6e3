/*
 * conn - one TCP connection on a worker's loop.
 *
 *   OPEN --finish--> LINGERING (our side is shut, input is thrown away)
 *     |                  |
 *     +------ close -----+--> CLOSING --> closed()
 *
 * TLS stands between the socket and the owner: what is read goes through tls_feed into
 * the worker's scratch, what is sent goes through tls_write; below and above nothing is
 * different.
 */
#include "relay/net/conn.h"

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

/* It held what may be a password. */
static void forget_waiting(struct conn *c)
{
    if (c->waiting.at)
        explicit_bzero(c->waiting.at, c->waiting.size);
    buffer_fini(&c->waiting);
}

/* The peer will send no more: the owner hears of it when it has taken all there is. */
static void tell_end(struct conn *c)
{
    if (!c->is_at_end || c->is_ended || c->waiting.len)
        return;
    c->is_ended = true;
    c->events->ended(c->user, c->end);
}

static void come_to_end(struct conn *c, int rc)
{
    conn_pause(c);
    if (!c->is_at_end)
        c->end = rc;
    c->is_at_end = true;
    tell_end(c);
}

/* Shows what waits, then what is new. */
static void show(struct conn *c, struct span in)
{
    struct tls *before = c->tls;
    size_t used;

    if (c->waiting.len) {
        keep(c, in);
        in = buffer_span(&c->waiting);
    }
    c->is_showing = true;
    used = in.len ? c->events->input(c->user, in) : 0;
    c->is_showing = false;
    if (c->is_closing)
        return;
    if (c->waiting.len) {
        buffer_drop(&c->waiting, used);
        if (!c->waiting.len)
            forget_waiting(c);
    } else if (used < in.len) {
        keep(c, span_skip(in, used));
    }
    if (c->waiting.len && c->tls != before) {
        forget_waiting(c); /* said in clear, meant to be heard under TLS */
        come_to_end(c, ERROR_PROTOCOL);
    } else if (c->waiting.len) {
        conn_pause(c);
    }
}

/* ----------------------------------------------------------------- TLS ---- */

static int send_clear(struct conn *c, struct buffer *b);
static int read_on(struct conn *c);

static int send_sealed(struct conn *c)
{
    struct buffer *out = tls_output(c->tls);
    int rc = send_clear(c, out);

    buffer_fini(out); /* an idle conversation has none */
    return rc;
}

static void become_secured(struct conn *c)
{
    c->is_secured = true;
    if (c->early.len)
        (void)conn_send(c, &c->early);
    buffer_fini(&c->early);
    if (c->events->secured)
        c->events->secured(c->user);
}

/* One round of the engine; the events it gives rise to. */
static void turn_engine(struct conn *c, struct span in, struct buffer *plain)
{
    enum tls_said said = tls_feed(c->tls, in, plain);

    (void)send_sealed(c);
    if (said == TLS_OPENED) {
        become_secured(c);
        said = tls_feed(c->tls, (struct span){ NULL, 0 }, plain);
    }
    if (plain->len && !c->is_closing && !c->is_lingering)
        show(c, buffer_span(plain));
    if (c->is_closing || c->is_lingering)
        return;
    if (said == TLS_CLOSED)
        come_to_end(c, 0);
    else if (said == TLS_BROKEN)
        come_to_end(c, ERROR_TLS);
}

/* The scratch is the worker's; while it is in use here it is nobody's. It held what may
 * be a password. */
static void feed_engine(struct conn *c, struct span in)
{
    struct worker *w = c->worker;
    struct buffer plain = w->plain;

    w->plain = (struct buffer){ 0 };
    turn_engine(c, in, &plain);
    if (plain.len)
        explicit_bzero(plain.at, plain.len);
    buffer_clear(&plain);
    buffer_fini(&w->plain);
    w->plain = plain;
}

bool conn_start_tls(struct conn *c, struct tls *take_t)
{
    ASSERT(!c->tls);
    if ((c->waiting.len && !c->is_showing) || c->is_at_end || c->is_closing ||
        c->is_lingering) {
        tls_free(take_t);
        return false;
    }
    c->tls = take_t;
    feed_engine(c, (struct span){ NULL, 0 }); /* a client speaks first */
    (void)read_on(c);
    return true;
}

const struct tls *conn_tls(const struct conn *c)
{
    return c->tls;
}

/* ------------------------------------------------------------- reading ---- */

static void on_read(uv_stream_t *stream, ssize_t n, const uv_buf_t *buf)
{
    struct conn *c = stream->data;
    struct span in = { buf->base, n > 0 ? (size_t)n : 0 };

    if (n == 0)
        return;
    if (n > 0) {
        if (c->is_lingering)
            return;
        if (c->tls)
            feed_engine(c, in);
        else
            show(c, in);
        if (c->waiting.len)
            explicit_bzero(buf->base, (size_t)n); /* it has a copy */
        return;
    }
    conn_pause(c);
    if (c->is_lingering)
        conn_close(c);
    else if (n == UV_EOF)
        come_to_end(c, c->tls ? tls_cut(c->tls) : 0);
    else
        come_to_end(c, (int)n);
}

static int read_on(struct conn *c)
{
    int rc;

    if (c->is_reading || c->is_at_end || c->is_closing)
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
    if (c->is_closing || c->is_lingering || c->waiting.len)
        return;
    if (c->is_at_end)
        tell_end(c);
    else
        (void)read_on(c);
}

static int write_rest(struct conn *c);

static void end_our_side(struct conn *c)
{
    int rc = uv_shutdown(&c->shutdown, (uv_stream_t *)&c->tcp, NULL);

    if (rc < 0 || c->is_at_end)
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
    } else if (!c->tls || c->is_secured) {
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

static int send_clear(struct conn *c, struct buffer *b)
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

int conn_send(struct conn *c, struct buffer *b)
{
    int rc = 0;

    if (!c->tls)
        return send_clear(c, b);
    if (c->is_closing || c->is_lingering) {
        buffer_clear(b);
        return 0;
    }
    if (c->is_secured)
        rc = tls_write(c->tls, buffer_span(b));
    else
        buffer_put(&c->early, buffer_span(b));
    buffer_clear(b);
    return rc < 0 ? rc : send_sealed(c);
}

size_t conn_unsent(const struct conn *c)
{
    return c->out_len + c->next.len + c->early.len;
}

void conn_finish(struct conn *c)
{
    if (c->is_closing || c->is_lingering)
        return;
    c->is_lingering = true;
    forget_waiting(c);
    buffer_fini(&c->early);
    if (c->tls) {
        tls_end(c->tls);
        (void)send_sealed(c);
    }
    if (!c->out)
        end_our_side(c);
}

static void on_closed(uv_handle_t *handle)
{
    struct conn *c = handle->data;

    forget_waiting(c);
    buffer_fini(&c->early);
    buffer_fini(&c->next);
    free(c->out);
    c->out = NULL;
    tls_free(c->tls);
    c->tls = NULL;
    c->events->closed(c->user);
}

void conn_close(struct conn *c)
{
    if (c->is_closing)
        return;
    c->is_closing = true;
    c->is_reading = false;
    conn_show_no_more(c);
    uv_close((uv_handle_t *)&c->tcp, on_closed);
}
