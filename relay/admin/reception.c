/*
 * reception - the server's callbacks: who comes, with what, and may they?
 *
 *   header --> gate_meet --> endpoints_find --> gate_read --> token --> gate_pass
 *              400 403 421   404 405            403 415       401 429   401 403
 *          --> body up to its cap (413) --> the endpoint
 *
 * A refusal is answered at once; so much of the body is still read and thrown away that
 * the client sees it.
 */
#include "relay/admin/reception.h"

#include "relay/admin/admin_private.h"
#include "relay/admin/endpoints.h"
#include "relay/admin/response.h"

#include <stdio.h>

enum {
    BODY_READ_MOST = 1024 * 1024, /* thrown away before the 413, then cut */
    BODIES_MOST =
        64 * 1024 * 1024, /* of all requests, where large ones may be */
};

/* ------------------------------------------------------------- header ---- */

static const char *header(const struct request *r, const char *name)
{
    return MHD_lookup_connection_value(r->connection, MHD_HEADER_KIND, name);
}

static enum MHD_Result count_header(void *user, enum MHD_ValueKind kind,
                                    const char *name, const char *value)
{
    struct gate_request *q = user;

    (void)kind;
    if (span_is_nocase(span_of(name), SPAN("Content-Length")))
        q->lengths++;
    if (span_is_nocase(span_of(name), SPAN("Host")))
        q->names++;
    if (span_is_nocase(span_of(name), SPAN("Transfer-Encoding"))) {
        q->codings++;
        q->coding = value;
    }
    return MHD_YES;
}

static struct gate_request describe(const struct request *r, const char *method)
{
    struct gate_request q = {
        .is_local = portal_is_local(r->visit->portal),
        .is_change = strcmp(method, "GET") != 0 && strcmp(method, "HEAD") != 0,
        .host = header(r, "Host"),
        .origin = header(r, "Origin"),
        .site = header(r, "Sec-Fetch-Site"),
        .media = header(r, "Content-Type"),
    };

    (void)MHD_get_connection_values(r->connection, MHD_HEADER_KIND,
                                    count_header, &q);
    return q;
}

/* True: it is let in so far. */
static bool is_let_in(struct request *r, struct gate_refusal refusal)
{
    if (refusal.status)
        request_refuse(r, refusal.status, "%s", refusal.text);
    return refusal.status == 0;
}

/* ---------------------------------------------------------------- who ---- */

static void name_local(struct request *r, uid_t uid)
{
    const struct admin *a = r->admin;

    (void)snprintf(r->who, sizeof(r->who), "uid=%lu(%s)", (unsigned long)uid,
                   uid == 0 ? "root" : a->own_name);
}

/* Of the unix socket: false, and refused, when it is nobody who may. */
static bool is_known_here(struct request *r)
{
    uid_t uid = 0;
    bool is_good = doorway_lets_in(r->visit->fd, &uid);

    name_local(r, uid);
    r->role = ROLE_LOCAL;
    if (!is_good)
        request_refuse(r, 403, "only root and the relay's own user may ask");
    return is_good;
}

/* NULL: refused. Who shows one that is right is never kept waiting: others may come from
 * the same address, and tokens are too long to be found by trying. */
static const struct tokenfile_entry *find_token(struct request *r,
                                                struct span token)
{
    struct admin *a = r->admin;
    const struct tokenfile_entry *e;
    uint64_t now_ms = uv_now(a->loop);

    admin_look_at_tokens(a, false);
    e = tokenwatch_find(&a->tokenwatch, token);
    if (e)
        return e;
    if (!tries_allow(&a->tries, &r->visit->client, now_ms)) {
        request_refuse(r, 429, "too many wrong tokens; wait a moment");
        return NULL;
    }
    admin_look_at_tokens(a, true);
    e = tokenwatch_find(&a->tokenwatch, token);
    if (!e) {
        tries_note(&a->tries, &r->visit->client, now_ms);
        request_refuse(r, 401, "there is no such token");
    }
    return e;
}

/* By token; false: refused. Who shows none is anyone. */
static bool is_known_by_token(struct request *r)
{
    struct span token = gate_token(header(r, "Authorization"));
    const struct tokenfile_entry *e;

    if (!token.len)
        return true;
    e = find_token(r, token);
    if (!e)
        return false;
    r->role = e->role;
    r->key = *e;
    (void)snprintf(r->key_name, sizeof(r->key_name), "%.*s", SPAN_FMT(e->name));
    r->key.name = span_of(r->key_name);
    (void)snprintf(r->who, sizeof(r->who), "token=%s", r->key_name);
    return true;
}

/* --------------------------------------------------------------- body ---- */

/* So much is read, of what is too much as well. */
static size_t body_read_most(const struct request *r)
{
    return r->body.cap > BODY_READ_MOST ? r->body.cap : BODY_READ_MOST;
}

static void refuse_body(struct request *r)
{
    request_refuse(r, 413, "the body is over %zu bytes", r->body.cap);
}

/* So large that it is not even read to its end, which would let the client see
 * the answer for sure. */
static bool has_huge_body(struct request *r)
{
    const char *length = header(r, MHD_HTTP_HEADER_CONTENT_LENGTH);
    uint64_t n;

    return length &&
           (!span_number(span_of(length), &n) || n > body_read_most(r));
}

/* What was kept so far is let go of when there is no room for more. For small bodies there
 * always is: as many as there may be connections. */
static void keep_body(struct request *r, struct span some)
{
    size_t before = r->body.len;

    if (r->endpoint && r->endpoint->body_most)
        r->is_crowded |= r->admin->body_bytes + some.len > BODIES_MOST;
    if (r->is_crowded)
        buffer_fini(&r->body);
    else
        buffer_put(&r->body, some);
    r->admin->body_bytes += r->body.len;
    r->admin->body_bytes -= before;
}

/* ---------------------------------------------------------- callbacks ---- */

/* The header is there. Answers at once where nothing more needs to be read. */
static void begin(struct request *r, const char *method, const char *path)
{
    struct gate_request q = describe(r, method);

    if (q.is_local && !is_known_here(r))
        return;
    if (!is_let_in(r, gate_meet(&r->admin->gate, &q)) ||
        !endpoints_find(r, method, path) || !is_let_in(r, gate_read(&q)))
        return;
    if (!q.is_local && !is_known_by_token(r))
        return;
    if (is_let_in(r, gate_pass(r->role, r->endpoint->role)) && has_huge_body(r))
        refuse_body(r);
}

enum MHD_Result reception_access(void *user, struct MHD_Connection *c,
                                 const char *path, const char *method,
                                 const char *version, const char *upload,
                                 size_t *upload_len, void **request)
{
    struct request *r = *request;

    (void)version;
    if (!r) {
        *request = r = request_new(portal_admin(user), c);
        portal_await_body(r->visit);
        begin(r, method, path);
        return r->state == REQUEST_ANSWERS ? response_send(r) : MHD_YES;
    }
    if (*upload_len) {
        r->body_bytes += *upload_len;
        keep_body(r, span_make(upload, *upload_len));
        *upload_len = 0;
        return r->body_bytes > body_read_most(r) ? MHD_NO : MHD_YES;
    }
    if (r->state == REQUEST_READS) {
        portal_await_nothing(r->visit);
        r->state = REQUEST_THINKS;
        if (r->is_crowded)
            request_refuse(r, 503, "too much is being sent here just now");
        else if (r->body.overflow)
            refuse_body(r);
        else
            endpoints_run(r);
    }
    return r->state == REQUEST_ANSWERS ? response_send(r) : MHD_YES;
}

void reception_completed(void *user, struct MHD_Connection *c, void **request,
                         enum MHD_RequestTerminationCode how)
{
    struct request *r = *request;

    (void)user;
    (void)c;
    (void)how;
    if (!r)
        return;
    portal_await_header(r->visit);
    request_free(r);
    *request = NULL;
}
