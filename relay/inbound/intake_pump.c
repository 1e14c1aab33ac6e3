/*
 * intake_pump - bytes between connection, session and queue.
 *
 * Feeds the engine while it takes input, and does what it wants in between:
 * content and drafts go to the queue, handshakes and logins are
 * intake_login.c's. Whatever is waited for, its answer ends in go_on.
 */
#include "relay/inbound/intake_private.h"

#include "policy/vocabulary/memory.h"
#include "queue/queue.h"
#include "relay/inbound/deposit.h"
#include "relay/inbound/record.h"
#include "relay/inbound/inquest.h"
#include "relay/net/census.h"
#include "relay/net/gauge.h"

#include <arpa/inet.h>

#include <stdlib.h>
#include <string.h>

enum {
    APPENDS_MOST = 2, /* parts of one message on their way to disk */
    LINGER_MS = 5000, /* for a peer to take our last words */
};

static void forget_body(struct visit *v)
{
    if (v->body)
        queue_body_abandon(v->body);
    v->body = NULL;
}

/* Before the last words are sent: who has read them may come again at once. */
static void uncount(struct visit *v)
{
    if (v->is_counted)
        census_leave(v->intake->census, &v->client);
    v->is_counted = false;
}

static void visit_closed(void *user)
{
    struct visit *v = user;
    struct intake *i = v->intake;

    *v->here = v->next;
    if (v->next)
        v->next->here = v->here;
    gauge_closed(i->worker->gauge, v->gauge);
    forget_body(v);
    intake_login_drop(v);
    turn_free(v->turn);
    uncount(v);
    registry_drop(&i->registry, v->token);
    inquest_fini(&v->inquest);
    intake_receive_tell(v);
    session_free(v->session);
    settings_release(v->settings);
    buffer_fini(&v->login);
    free(v);
    intake_gone(i);
}

static void leave(struct visit *v)
{
    conn_finish(&v->conn);
    v->cut_ms = wall_ms() + LINGER_MS;
}

/* ------------------------------------------------------------- storing ---- */

static void on_appended(void *user, uint64_t token, int rc)
{
    struct worker *w = user;
    struct visit *v = registry_find(&w->intake->registry, token);

    (void)rc; /* kept by the body: the put will fail */
    if (!v)
        return;
    v->appends--;
    intake_pump_go_on(v);
}

/* Moves the content out of memory: the buffer itself goes, nothing is copied. */
static void move_content(struct visit *v, struct draft *d)
{
    struct buffer *c = &d->content;

    if (c->len == 0)
        return;
    if (!v->body) {
        v->body = queue_body_open(v->intake->worker->port, d->id);
        v->body_id = d->id;
    }
    d->taken_bytes += c->len;
    v->appends++;
    queue_body_append(v->body, c->at, c->len, on_appended, v->token);
    *c = (struct buffer){ .cap = c->cap };
}

static void count_accepted(const struct visit *v, const struct draft *d)
{
    struct gauge *g = v->intake->worker->gauge;

    gauge_accepted(g, v->gauge);
    gauge_add(g, GAUGE_SIZE, d->envelope.size_bytes);
    gauge_add(g, GAUGE_RECIPIENTS, d->count);
}

static void on_stored(void *user, uint64_t token, int rc, uint64_t id)
{
    struct worker *w = user;
    struct visit *v = registry_find(&w->intake->registry, token);

    if (!v || !v->is_storing) {
        (void)id;
        return;
    }
    v->is_storing = false;
    if (rc == 0) {
        deposit_log(session_draft(v->session));
        record_accepted(w, session_draft(v->session));
        count_accepted(v, session_draft(v->session));
    }
    session_stored(v->session, rc, wall_ms());
    intake_pump_go_on(v);
}

static void store(struct visit *v)
{
    struct intake *i = v->intake;
    struct draft *d = session_draft(v->session);
    struct queue_body *body;

    if (v->body)
        move_content(v, d);
    body = v->body;
    v->is_storing = true;
    /* its rules and routes are what the draft points to */
    if (deposit(i->worker->port, session_settings(v->session), d, body,
                &i->scratch, on_stored, v->token)) {
        v->body = NULL;
        return;
    }
    forget_body(v);
    on_stored(i->worker, v->token, 0, d->id); /* all of it was discarded */
}

/* ------------------------------------------------------------- turning ---- */

static uint16_t port_of(const struct conn *c)
{
    struct sockaddr_storage to = { 0 };
    int len = sizeof to;

    if (uv_tcp_getpeername(&c->tcp, (struct sockaddr *)&to, &len) < 0)
        return 0;
    /* the port stands at the same place in both */
    return ntohs(((struct sockaddr_in *)&to)->sin_port);
}

/* What the client said before it had our 250 can be no answer to what comes now. */
static bool give_away(struct visit *v)
{
    struct turn *t = v->turn;

    t->port = port_of(&v->conn);
    if (v->conn.waiting.len && !v->conn.is_showing)
        return false;
    if (conn_give(&v->conn, &t->hand) < 0)
        return false;
    v->turn = NULL;
    v->intake->worker->sides.deliver(v->intake->worker, t);
    return true;
}

/* The 250 has left: the connection is the outbound side's. */
static void turn(struct visit *v)
{
    if (conn_unsent(&v->conn) || give_away(v))
        return;
    session_end_of_input(v->session, wall_ms());
    intake_pump_attend(v);
}

/* ------------------------------------------------------------- pumping ---- */

static bool must_wait(const struct visit *v)
{
    return session_wants(v->session) == SESSION_STARTS_TLS ||
           session_wants(v->session) == SESSION_AUTHENTICATES ||
           session_wants(v->session) == SESSION_WAITS ||
           session_wants(v->session) == SESSION_ASKS || v->is_storing ||
           v->appends >= APPENDS_MOST ||
           (v->body && queue_is_behind(v->intake->worker->queue)) ||
           conn_unsent(&v->conn) > 0;
}

bool intake_pump_is_over(const struct visit *v)
{
    return v->conn.is_closing || v->conn.is_lingering;
}

/* What is to be done once its words are on their way. */
static void follow(struct visit *v)
{
    switch (session_wants(v->session)) {
    case SESSION_STARTS_TLS:
        if (!v->is_securing)
            intake_login_secure(v);
        break;
    case SESSION_AUTHENTICATES:
        if (!v->is_asking)
            intake_login_ask(v);
        break;
    case SESSION_CLOSES:
        if (v->is_securing) /* nobody would understand our last words */
            conn_close(&v->conn);
        else
            leave(v);
        break;
    case SESSION_TURNS:
        if (!v->is_pumping) /* see visit_input */
            turn(v);
        break;
    case SESSION_READS:
    case SESSION_ASKS:
    case SESSION_WAITS:
    case SESSION_STORES:
        break;
    }
}

/* After the engine has moved: take its content, its output and its wishes. */
void intake_pump_attend(struct visit *v)
{
    struct draft *d;

    inquest_hold(v);
    d = session_draft(v->session);
    if (v->body && (!d || d->id != v->body_id))
        forget_body(v); /* refused at its end, or cut */
    if (d && session_in_content(v->session) && d->content.len > CONTENT_SMALL)
        move_content(v, d);
    if (session_wants(v->session) == SESSION_STORES && !v->is_storing)
        store(v);
    if (session_wants(v->session) == SESSION_CLOSES) {
        intake_login_drop(v);
        turn_free(v->turn);
        v->turn = NULL;
        uncount(v);
    }
    if (conn_send(&v->conn, session_output(v->session)) < 0)
        conn_close(&v->conn);
    else
        buffer_fini(session_output(v->session)); /* an idle session has none */
    if (!intake_pump_is_over(v))
        follow(v);
}

/*
 * Feeds the engine as far as it goes. Content is fed in pieces of a part, so that what
 * is in memory stays bounded however much was read at once.
 */
static void pump(struct visit *v, struct span in, size_t *out_used)
{
    size_t used = 0;

    v->is_pumping = true;
    while (used < in.len && !must_wait(v) && !intake_pump_is_over(v)) {
        struct span piece = span_first(span_skip(in, used), CONTENT_SMALL);
        size_t n;

        if (session_wants(v->session) != SESSION_READS)
            break;
        n = session_feed(v->session, piece, wall_ms());
        used += n;
        if (session_heard_login(v->session))
            explicit_bzero((char *)piece.at, n); /* our own read buffer */
        intake_pump_attend(v);
        if (n == 0)
            break;
    }
    v->is_pumping = false;
    *out_used = intake_pump_is_over(v) ? in.len : used;
}

/* Something that was waited for has come. */
void intake_pump_go_on(struct visit *v)
{
    if (v->conn.is_closing)
        return;
    intake_pump_attend(v);
    if (intake_pump_is_over(v) || must_wait(v) || v->is_pumping)
        return;
    conn_resume(&v->conn);
    if (!intake_pump_is_over(v) && v->conn.is_ended && !v->conn.waiting.len &&
        !must_wait(v)) {
        session_end_of_input(v->session, wall_ms());
        intake_pump_attend(v);
    }
}

static size_t visit_input(void *user, struct span in)
{
    struct visit *v = user;
    size_t used;

    pump(v, in, &used);
    if (used < in.len)
        conn_pause(&v->conn);
    else if (session_wants(v->session) == SESSION_TURNS && !intake_pump_is_over(v))
        turn(v);
    return used;
}

static void visit_ended(void *user, int rc)
{
    struct visit *v = user;

    if (rc == 0 && (must_wait(v) || v->conn.waiting.len)) {
        intake_pump_go_on(v); /* what was sent before the end still counts */
        return;
    }
    if (rc < 0)
        intake_login_trouble(v, rc);
    session_end_of_input(v->session, wall_ms());
    if (rc < 0)
        conn_close(&v->conn);
    else
        intake_pump_attend(v);
}

static void visit_drained(void *user)
{
    intake_pump_go_on(user);
}

static void visit_secured(void *user)
{
    intake_login_secured(user);
}

const struct conn_events intake_pump_events = {
    .input = visit_input,
    .ended = visit_ended,
    .drained = visit_drained,
    .secured = visit_secured,
    .closed = visit_closed,
};
