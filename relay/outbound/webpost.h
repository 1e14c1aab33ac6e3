/*
 * webpost - something sent or asked for over HTTPS, and what came back.
 *
 * libcurl's multi interface on a loop of libuv. Nothing of the environment is obeyed (no
 * proxy, no netrc), no redirect is followed, the server's certificate is verified, a
 * connection serves once unless it is asked to be kept, and the answer is at most 64 KB.
 *
 * All functions on the loop's thread; done comes once, later, unless the post was dropped
 * or the desk closed.
 */
#ifndef WAYPOST_WEBPOST_H
#define WAYPOST_WEBPOST_H

#include "policy/vocabulary/buffer.h"
#include "policy/vocabulary/error.h"

#include <uv.h>

enum { WEBPOST_ANSWER_MOST = 64 * 1024, WEBPOST_HEADERS = 4 };

struct webpost_desk;
struct webpost;

struct webpost_question {
    struct span url;
    struct span headers[WEBPOST_HEADERS]; /* "Name: value", or empty; without a
                                             Content-Type it is a form */
    struct span body;
    struct span authorities; /* file; empty: the system's */
    int64_t connect_ms, total_ms;
    bool status_is_all;    /* what the answer says besides is not read */
    bool keeps_connection; /* for the next post to the same server */
    bool is_get;           /* asks for a text, over https alone; body is empty */
    struct span resolve;   /* "HOST:PORT:ADDRESS,...": where the server is; empty: the
                              system's resolver knows */
};

/* rc < 0: nothing came; why tells it, cleaned. Else status and body. */
struct webpost_answer {
    int rc;
    unsigned status;
    struct span media;     /* Content-Type, or empty */
    struct span body;
    struct span why;
};
typedef void webpost_fn(void *user, const struct webpost_answer *a);

struct webpost_desk *webpost_desk_open(uv_loop_t *loop);
/* Drops what is under way; frees itself when the loop has closed its handles. */
void webpost_desk_close(struct webpost_desk *d);

/* Everything is copied; the copies of headers and body are wiped. */
struct webpost *webpost_send(struct webpost_desk *d,
                             const struct webpost_question *q, webpost_fn *done,
                             void *user);
void webpost_drop(struct webpost *p);

#endif
