/*
 * conn - one TCP connection on a worker's loop.
 *
 * Input is shown to the owner as it comes, borrowed from the worker's read buffer; what
 * the owner does not consume is kept and reading stops until conn_resume. Output is
 * written at once as far as the socket takes it, the rest is kept. One way to die:
 * conn_close, in any state and as often as one likes; `closed` comes once, later, and
 * is the only place that may free the owner.
 *
 * Under TLS (conn_start_tls) the owner sees and gives plain text all the same; what it gives
 * before the handshake is done is kept until then. A peer that goes without close_notify has
 * `ended` with ERROR_TRUNCATED, not 0; one that sent more in clear after the call in which
 * the handshake was begun, with ERROR_PROTOCOL.
 */
#ifndef WAYPOST_CONN_H
#define WAYPOST_CONN_H

#include "policy/vocabulary/buffer.h"
#include "relay/net/hand.h"
#include "relay/net/tls.h"
#include "relay/net/worker.h"

#include <uv.h>

struct conn;
struct conn_showing;

struct conn_events {
    /* Answers how much was consumed. Less than all: reading stops until conn_resume. */
    size_t (*input)(void *user, struct span in);
    /* The peer has shut its writing side (rc 0), or the connection broke. Input that came
     * before was consumed. */
    void (*ended)(void *user, int rc);
    /* Everything written so far has left. Only after a write that had to wait. */
    void (*drained)(void *user);
    /* The TLS handshake is done: see conn_tls. One that fails is `ended` with ERROR_TLS.
     * May be NULL for who never begins one. */
    void (*secured)(void *user);
    void (*closed)(void *user);
};

struct conn {
    uv_tcp_t tcp;
    uv_write_t write;
    uv_shutdown_t shutdown;
    struct worker *worker;
    const struct conn_events *events;
    void *user;
    struct tls *tls;              /* NULL: clear text */
    struct buffer waiting;        /* input not consumed yet, plain text */
    struct buffer early;          /* output until the handshake is done */
    struct conn_showing *showing; /* of what came with a hand; see conn_hand.c */
    int end;                      /* told by `ended` once nothing waits: is_at_end */
    char *out;                    /* being written by libuv */
    size_t out_len;
    struct buffer next;           /* to be written after it */
    bool is_reading, is_ended, is_lingering, is_closing;
    bool is_secured;              /* the handshake is done */
    bool is_showing;              /* within events->input */
    bool is_at_end;               /* of the peer's bytes; the owner does not know yet */
};

/* Takes a connected, nonblocking fd; reading starts. On failure the fd is gone, and
 * conn_close must be called all the same. */
MUST int conn_open(struct conn *c, struct worker *w, int fd,
                   const struct conn_events *events, void *user);
/* The connection of another owner goes on under these events (see hand.h): nothing is sent or
 * forgotten. Input comes from the next turn of the loop on, first what waits in the hand. On
 * failure the hand is gone, and conn_close must be called all the same. */
MUST int conn_take(struct conn *c, struct worker *w, struct hand *take_h,
                   const struct conn_events *events, void *user);
/* Takes descriptor, TLS and unread input out of it; only when all was sent (conn_unsent is
 * 0), no handshake is under way and the peer has not ended. Not from within `secured`; from
 * within `input` what of that is not consumed is the caller's to put into out_h->waiting.
 * `closed` comes later, as after conn_close; tls_facts that were borrowed are the hand's
 * now. Negative: it cannot be, and out_h is untouched. */
MUST int conn_give(struct conn *c, struct hand *out_h);
/* For conn_close alone: a hand's input is not shown any more. */
void conn_show_no_more(struct conn *c);
/* Shows what waits again, then reads on. May call input before it returns. */
void conn_resume(struct conn *c);
void conn_pause(struct conn *c);
/* Sends all of b and clears it; 0, or the connection is broken. */
int conn_send(struct conn *c, struct buffer *b);
/* What was sent so far goes in clear, then the handshake begins (take_t is the conn's).
 * False, and take_t is gone, when input is waiting that came before it: the connection is
 * to be closed (RFC 3207 4.2). Deadlines are the owner's. */
MUST bool conn_start_tls(struct conn *c, struct tls *take_t);
/* NULL: clear text. After `secured`, tls_facts of it; after ERROR_TLS, tls_trouble. */
const struct tls *conn_tls(const struct conn *c);
/* Bytes not yet taken by the socket. */
size_t conn_unsent(const struct conn *c);
/* Closes after what is unsent has left: shuts our side and gives the peer a moment, so
 * that a reset does not eat our last words. */
void conn_finish(struct conn *c);
void conn_close(struct conn *c);

#endif
