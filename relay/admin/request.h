/*
 * request - one HTTP request, between the server (admin.c) and its endpoints
 * (endpoints.c).
 *
 *   READS --whole body--> THINKS --answer--> ANSWERS
 *                           |  ^
 *              request_wait |  | request_answer, request_go_on
 *                           v  | (from a callback of the queue)
 *                          WAITS
 *                     (the connection is suspended)
 *
 * A streamed answer goes to and fro between ANSWERS and WAITS, a page at a time:
 * the next page is asked for only when the one before has left for the client.
 *
 * Waits are known by token: a late answer for a request that is gone finds none.
 */
#ifndef WAYPOST_REQUEST_H
#define WAYPOST_REQUEST_H

#include "relay/admin/admin.h"
#include "relay/admin/filter.h"

enum request_state {
    REQUEST_READS,
    REQUEST_THINKS,
    REQUEST_WAITS,
    REQUEST_ANSWERS,
};

struct endpoint;
struct request;

/* Asks for the next page of a streamed answer, then waits. */
typedef void request_more_fn(struct request *r);

struct request {
    struct admin *admin;
    struct MHD_Connection *connection;
    struct request *next;
    uint64_t token;
    enum request_state state;
    const struct endpoint *endpoint;
    struct span name; /* what stood for the last part of the path */
    struct buffer body;
    uint64_t body_bytes; /* that came, also of what was thrown away */
    bool is_stream;
    char who[32]; /* "uid=0", for the audit event */
    struct filter filter;

    int status;        /* HTTP's */
    const char *allow; /* methods, for a 405 */
    struct buffer answer;
    size_t sent;           /* of the answer, when it is a stream */
    request_more_fn *more; /* a stream has more; NULL: that was all */
    uint64_t after_id;     /* the page that follows starts after it */
    uint32_t page_rows;
    const char *pattern; /* of names; borrowed from the query */
};

/* What an endpoint may do: request.c. */
struct queue *request_queue(const struct request *r);
struct queue_port *request_port(const struct request *r);
int64_t request_now_ms(const struct request *r);
uint64_t request_uptime_s(const struct request *r);
void request_ask_status(const struct request *r, struct admin_status *out);
/* NULL: nobody fetches. */
const struct admin_fetches *request_fetches(const struct request *r);
/* NULL: nobody explains. */
const struct admin_explains *request_explains(const struct request *r);
/* Of the query, borrowed; NULL: not given. */
const char *request_parameter(const struct request *r, const char *name);
/* Each query parameter goes into the filter; false: answered with 400. */
bool request_read_query(struct request *r);

/* The whole answer is in r->answer. */
void request_answer(struct request *r, int status);
/* One object. */
void request_answer_json(struct request *r, json_t *take_o);
/* 503: rc is what the queue said. */
void request_refuse_queue(struct request *r, int rc);
/* {"error": "..."} */
void request_refuse(struct request *r, int status, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
/* An answer will come by a callback of the queue. */
void request_wait(struct request *r);
/* The answer came by no callback of the queue: the server is to look at it. */
void request_soon(const struct request *r);
/* The page in r->answer may be sent; r->more tells of further ones. */
void request_go_on(struct request *r);
/* From a callback: who waits under this token, or NULL. user: the port's. */
struct request *request_find(void *user, uint64_t token);

#endif
