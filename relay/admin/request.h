/*
 * request - one HTTP request, between the server (reception.c) and the endpoints (those of
 * the table in endpoints.c, each in its own file).
 *
 *   READS --whole body--> THINKS --answer--> ANSWERS
 *                           |  ^
 *              request_wait |  | request_answer, request_go_on
 *                           v  | (from a callback, on the main loop)
 *                          WAITS
 *                     (the connection is suspended)
 *
 * A streamed answer goes to and fro between ANSWERS and WAITS, a page at a time:
 * the next page is asked for only when the one before has left for the client.
 *
 * Waits are known by token: a late answer for a request that is gone finds none.
 *
 * How an endpoint answers (its row's media says what an answer is; errors are always JSON,
 * by request_refuse):
 *
 *   at once          fill r->answer (or request_answer_json), request_answer
 *   later            request_wait; in the callback request_find, then as above, and
 *                    request_soon unless the queue's port called
 *   page by page     fill r->answer, set r->more, request_go_on; r->more is called when the
 *                    page has left, and fills the next one or waits for it
 *   as it happens    request_push_begin; request_push from anywhere on the main loop, any
 *                    time later; request_push_end, or never. Keep r->token, not r: find it
 *                    by request_find(admin, token) each time, or forget it in r->gone
 *   a file           request_answer_file: with ETag, 304 and a policy of its own
 *
 * r->gone, where set, is called once, when the request is over however it ended, and must
 * not answer any more.
 */
#ifndef WAYPOST_REQUEST_H
#define WAYPOST_REQUEST_H

#include "relay/admin/admin.h"
#include "relay/admin/filter.h"
#include "relay/admin/tokenfile.h"

enum request_state {
    REQUEST_READS,
    REQUEST_THINKS,
    REQUEST_WAITS,
    REQUEST_ANSWERS,
};

struct endpoint;
struct flow;
struct request;

/* Asks for the next page of a streamed answer, then waits. */
typedef void request_more_fn(struct request *r);
/* The request is over. */
typedef void request_gone_fn(struct request *r, void *user);

/* Something that is always the same; it lives as long as the program. */
struct request_file {
    struct span bytes;
    const char *media;    /* "text/html; charset=utf-8" */
    const char *policy;   /* of Content-Security-Policy; NULL: as of all answers, nothing */
    const char *encoding; /* of the bytes: "gzip"; NULL: none */
};

struct request {
    struct admin *admin;
    struct MHD_Connection *connection;
    struct visit *visit;
    struct request *next;
    uint64_t token;
    enum request_state state;
    const struct endpoint *endpoint;
    struct span name; /* what stood for the last part of the path */
    struct buffer body;
    uint64_t body_bytes; /* that came, also of what was thrown away */
    bool is_crowded;     /* others hold so much that this one was thrown away */
    bool is_stream;
    bool is_push;   /* a stream that others put into, when they like */
    bool is_cut;    /* a stream that broke off: the client is to see that */
    size_t push_most;
    char who[96]; /* "uid=0(root)" or "token=NAME", for the audit event */
    enum role role;
    struct tokenfile_entry key; /* by which it was let in; name: key_name */
    char key_name[TOKENFILE_NAME_MOST + 1]; /* "": by none */
    struct filter filter;

    int status;        /* HTTP's */
    const char *allow; /* methods, for a 405 */
    struct buffer answer;
    size_t sent;           /* of the answer, when it is a stream */
    request_more_fn *more; /* a stream has more; NULL: that was all */
    uint64_t after_id;     /* the page that follows starts after it */
    uint32_t page_rows;
    struct queue_place place; /* ... or after this, in the history */
    uint64_t limit;      /* of rows, by the query; 0: none */
    const char *after;   /* by the query; NULL: from the first on; borrowed */
    const char *pattern; /* of names; borrowed from the query */
    const struct request_file *file;
    request_gone_fn *gone; /* NULL: nobody wants to know */
    void *gone_user;
};

/* What an endpoint may do: request.c. */
struct queue *request_queue(const struct request *r);
struct queue_port *request_port(const struct request *r);
int64_t request_now_ms(const struct request *r);
uint64_t request_uptime_s(const struct request *r);
/* The relay's, as the settings have it now; borrowed. */
struct span request_hostname(const struct request *r);
int64_t request_started_ms(const struct request *r);
void request_ask_status(const struct request *r, struct admin_status *out);
/* NULL: nobody fetches. */
const struct admin_fetches *request_fetches(const struct request *r);
/* Who knows what is counted. */
const struct admin_gauges *request_gauges(const struct request *r);
/* What all loops have counted, added to io_sum. */
void request_sum(const struct request *r, struct gauge_sum *io_sum);
const struct flow *request_flow(const struct request *r);
/* The busiest destinations, as they were when they were last looked at. */
const struct queue_busy *request_busy(const struct request *r);
/* Looks at them. */
void request_look(const struct request *r);
/* NULL: nobody is told by webhooks. */
const struct admin_webhooks *request_webhooks(const struct request *r);
/* NULL: nobody explains. */
const struct admin_explains *request_explains(const struct request *r);
/* NULL: nobody probes. */
const struct admin_probes *request_probes(const struct request *r);
/* What deliveries came to; NULL: nobody knows. */
struct acquaintance *request_acquaintances(const struct request *r);
/* Today's, borrowed until the next turn of the loop; NULL: nobody says. */
const struct settings *request_settings(const struct request *r);
/* Of the query, borrowed; NULL: not given. */
const char *request_parameter(const struct request *r, const char *name);
/* Each query parameter goes into the filter, but of lists limit, after and progress;
 * false: answered with 400. */
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
/* Rows for r->answer, taken from the queue's buffer. r->page_rows, which begins small so that
 * the first are there at once, doubles while pages stay small. */
enum { REQUEST_PAGE_FIRST = 20 };
void request_take_text(struct request *r, struct buffer *text);
/* The answer is what will be pushed, and goes out from now on; of what the client has not
 * read yet at most so many bytes are kept. */
void request_push_begin(struct request *r, size_t most);
/* All of it, or, when there is no room, nothing and false: what to leave out, the caller
 * decides. An empty push is a question whether there is room. */
bool request_push(struct request *r, struct span bytes);
/* That was all; what was pushed still goes out. */
void request_push_end(struct request *r);
void request_answer_file(struct request *r, const struct request_file *f);
/* Has who waits for the answer gone away? The server finds that out only when it sends. */
bool request_is_left(const struct request *r);
/* From a callback: who waits under this token, or NULL. user: the port's. */
struct request *request_find(void *user, uint64_t token);

#endif
