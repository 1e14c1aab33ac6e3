/*
 * request - what an endpoint may ask of its request, and how it answers.
 *
 * Requests are in the server's list from their first header to the end of their
 * answer.
 */
#include "relay/admin/admin_private.h"

#include "policy/vocabulary/memory.h"
#include "relay/admin/endpoints.h"
#include "relay/admin/listing.h"

#include <poll.h>
#include <stdlib.h>
#include <time.h>

enum {
    BODY_MOST = 64 * 1024,
    PAGE_MOST = 500, /* rows */
    PAGE_BYTES = 256 * 1024,
};

struct request *request_new(struct admin *a, struct MHD_Connection *c)
{
    struct request *r = NEW(struct request);

    r->admin = a;
    r->connection = c;
    r->visit = portal_visit(c);
    r->token = ++a->last_token;
    r->body.cap = BODY_MOST;
    filter_init(&r->filter);
    r->next = a->requests;
    a->requests = r;
    return r;
}

void request_free(struct request *r)
{
    struct request **at = &r->admin->requests;

    if (r->gone)
        r->gone(r, r->gone_user);
    while (*at != r)
        at = &(*at)->next;
    *at = r->next;
    filter_fini(&r->filter);
    r->admin->body_bytes -= r->body.len;
    buffer_fini(&r->body);
    buffer_fini(&r->answer);
    free(r);
}

struct request *request_find(void *user, uint64_t token)
{
    struct admin *a = user;
    struct request *r = a->requests;

    while (r && r->token != token)
        r = r->next;
    return r;
}

struct queue *request_queue(const struct request *r)
{
    return r->admin->queue;
}

struct queue_port *request_port(const struct request *r)
{
    return r->admin->port;
}

int64_t request_now_ms(const struct request *r)
{
    struct timespec t;

    (void)r;
    (void)clock_gettime(CLOCK_REALTIME, &t);
    return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

uint64_t request_uptime_s(const struct request *r)
{
    return (uv_hrtime() - r->admin->started_ns) / 1000000000U;
}

int64_t request_started_ms(const struct request *r)
{
    return r->admin->started_ms;
}

const struct admin_gauges *request_gauges(const struct request *r)
{
    return &r->admin->gauges;
}

void request_sum(const struct request *r, struct gauge_sum *io_sum)
{
    if (r->admin->gauges.sum)
        r->admin->gauges.sum(r->admin->gauges.user, io_sum);
}

const struct flow *request_flow(const struct request *r)
{
    return r->admin->flow;
}

const struct queue_busy *request_busy(const struct request *r)
{
    return r->admin->busy;
}

void request_look(const struct request *r)
{
    queue_busy_look(r->admin->queue, r->admin->busy);
}

struct span request_hostname(const struct request *r)
{
    return r->admin->gate.hostname;
}

void request_ask_status(const struct request *r, struct admin_status *out)
{
    if (r->admin->status)
        r->admin->status(r->admin->user, out);
}

const struct admin_fetches *request_fetches(const struct request *r)
{
    return r->admin->fetches.list ? &r->admin->fetches : NULL;
}

const struct admin_webhooks *request_webhooks(const struct request *r)
{
    return r->admin->webhooks.list ? &r->admin->webhooks : NULL;
}

const struct admin_explains *request_explains(const struct request *r)
{
    return r->admin->explains.begin ? &r->admin->explains : NULL;
}

const struct admin_probes *request_probes(const struct request *r)
{
    return r->admin->probes.begin ? &r->admin->probes : NULL;
}

struct acquaintance *request_acquaintances(const struct request *r)
{
    return r->admin->acquaintances;
}

const struct settings *request_settings(const struct request *r)
{
    return r->admin->settings ? r->admin->settings(r->admin->user) : NULL;
}

void request_soon(const struct request *r)
{
    bell_ring(&r->admin->bell);
}

void request_wait(struct request *r)
{
    ASSERT(r->state == REQUEST_THINKS || r->state == REQUEST_ANSWERS);
    r->state = REQUEST_WAITS;
    MHD_suspend_connection(r->connection);
}

/* The answer, or its next page, is there. */
static void request_wake(struct request *r)
{
    if (r->state == REQUEST_WAITS)
        MHD_resume_connection(r->connection);
    r->state = REQUEST_ANSWERS;
}

void request_answer(struct request *r, int status)
{
    r->status = status;
    request_wake(r);
}

void request_go_on(struct request *r)
{
    r->status = 200;
    r->is_stream = true;
    request_wake(r);
}

void request_take_text(struct request *r, struct buffer *text)
{
    if (r->answer.len) {
        buffer_put(&r->answer, buffer_span(text));
    } else {
        buffer_fini(&r->answer);
        r->answer = *text;
        *text = (struct buffer){ 0 };
    }
    /* Messages with very many recipients come in smaller pages. */
    if (r->answer.len > PAGE_BYTES)
        r->page_rows = r->page_rows > 1 ? r->page_rows / 2 : 1;
    else if (r->answer.len)
        r->page_rows =
            r->page_rows * 2 < PAGE_MOST ? r->page_rows * 2 : PAGE_MOST;
}

void request_push_begin(struct request *r, size_t most)
{
    r->is_push = true;
    r->push_most = most;
    request_go_on(r);
}

bool request_push(struct request *r, struct span bytes)
{
    ASSERT(r->is_push);
    if (r->answer.len - r->sent + bytes.len > r->push_most)
        return false;
    buffer_drop(&r->answer, r->sent);
    r->sent = 0;
    buffer_put(&r->answer, bytes);
    if (bytes.len) {
        request_wake(r);
        request_soon(r);
    }
    return true;
}

void request_push_end(struct request *r)
{
    ASSERT(r->is_push);
    r->is_push = false;
    request_wake(r);
    request_soon(r);
}

void request_cut(struct request *r)
{
    if (!r->is_stream)
        return;
    r->is_cut = true;
    if (r->state != REQUEST_WAITS)
        return;
    request_wake(r);
    request_soon(r);
}

void request_answer_file(struct request *r, const struct request_file *f)
{
    r->file = f;
    request_answer(r, 200);
}

void request_refuse(struct request *r, int status, const char *format, ...)
{
    struct buffer why = { 0 };
    json_t *o = json_object();
    va_list args;

    va_start(args, format);
    buffer_vprintf(&why, format, args);
    va_end(args);
    ASSERT(json_object_set_new(o, "error", listing_text(buffer_span(&why))) ==
           0);
    buffer_clear(&r->answer);
    listing_put_object(&r->answer, o);
    buffer_fini(&why);
    request_answer(r, status);
}

void request_answer_json(struct request *r, json_t *take_o)
{
    char *text = json_dumps(take_o, JSON_COMPACT | JSON_ENSURE_ASCII |
                                        JSON_REAL_PRECISION(12));

    ASSERT(text);
    buffer_put_string(&r->answer, text);
    buffer_put_byte(&r->answer, '\n');
    free(text);
    json_decref(take_o);
    request_answer(r, 200);
}

void request_refuse_queue(struct request *r, int rc)
{
    request_refuse(r, 503, "the queue cannot answer: %s", error_text(rc));
}

bool request_is_left(const struct request *r)
{
    const union MHD_ConnectionInfo *info = MHD_get_connection_info(
        r->connection, MHD_CONNECTION_INFO_CONNECTION_FD);
    struct pollfd p = { .events = POLLRDHUP };

    if (!info)
        return false;
    p.fd = info->connect_fd;
    return poll(&p, 1, 0) > 0 &&
           (p.revents & (POLLRDHUP | POLLHUP | POLLERR)) != 0;
}

struct query {
    struct request *request;
    struct buffer why;
};

/* What lists take besides filters. */
static bool is_of_lists(struct query *q, struct span key, const char *value)
{
    if (span_is(key, SPAN("limit"))) {
        if (!value || !span_number(span_of(value), &q->request->limit) ||
            q->request->limit == 0)
            buffer_put_string(&q->why, "limit should be a number over 0");
        return true;
    }
    if (span_is(key, SPAN("after"))) {
        q->request->after = value ? value : "";
        return true;
    }
    return span_is(key, SPAN("progress")) || span_is(key, SPAN("by"));
}

static enum MHD_Result add_parameter(void *user, enum MHD_ValueKind kind,
                                     const char *key, size_t key_len,
                                     const char *value, size_t value_len)
{
    struct query *q = user;

    (void)kind;
    if (q->request->endpoint->media == MEDIA_LINES &&
        is_of_lists(q, span_make(key, key_len), value))
        return q->why.len == 0 ? MHD_YES : MHD_NO;
    return filter_add(&q->request->filter, span_make(key, key_len),
                      span_make(value, value_len), request_now_ms(q->request),
                      &q->why)
               ? MHD_YES
               : MHD_NO;
}

bool request_read_query(struct request *r)
{
    struct query q = { .request = r };
    bool is_good;

    (void)MHD_get_connection_values_n(r->connection, MHD_GET_ARGUMENT_KIND,
                                      add_parameter, &q);
    is_good = q.why.len == 0;
    if (!is_good)
        request_refuse(r, 400, "%s", buffer_string(&q.why));
    buffer_fini(&q.why);
    return is_good;
}

const char *request_parameter(const struct request *r, const char *name)
{
    return MHD_lookup_connection_value(r->connection, MHD_GET_ARGUMENT_KIND,
                                       name);
}
