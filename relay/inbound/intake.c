/*
 * intake - from accepted connection to queued message.
 */
#include "relay/inbound/intake.h"

#include "policy/route.h"
#include "policy/vocabulary/memory.h"
#include "queue/queue.h"
#include "relay/inbound/deposit.h"
#include "relay/inbound/session.h"
#include "relay/net/census.h"
#include "relay/net/conn.h"
#include "relay/net/log.h"
#include "relay/net/registry.h"

#include <stdlib.h>
#include <unistd.h>

enum {
    APPENDS_MOST = 2,             /* parts of one message on their way to disk */
    LINGER_MS = 5000,             /* for a peer to take our last words */
    SHUT_DOWN_MS = 8000,          /* then sessions are cut */
};

struct visit {
    struct conn conn;
    struct session *session;
    struct session_world world;
    struct intake *intake;
    struct settings *settings;
    const struct listener_settings *listener; /* in settings */
    struct queue_body *body;      /* content that left memory already ... */
    uint64_t body_id;             /* ... of this message */
    struct host_address client;
    uint64_t token;
    int64_t cut_ms;               /* when a lingering connection is closed */
    unsigned appends;             /* parts under way */
    bool is_storing;              /* a put is under way */
    bool is_counted;              /* by the census */
    bool is_pumping;
    struct visit *next, **here;
};

struct intake {
    struct worker *worker;
    struct census *census;
    struct registry registry;
    struct visit *visits;
    size_t count;
    int64_t cut_ms;               /* going down: when the rest is cut; 0: not */
    void (*empty)(struct worker *w);
    struct buffer scratch;
};

/* ---------------------------------------------------- what engines ask ---- */

static uint64_t world_new_id(void *user)
{
    struct visit *v = user;

    return queue_new_id(v->intake->worker->queue);
}

static bool world_has_room(void *user, uint64_t bytes)
{
    struct visit *v = user;

    return queue_has_room(v->intake->worker->queue, bytes);
}

static bool world_has_route(void *user, struct span sender,
                            const struct address *to)
{
    struct visit *v = user;

    return route_find(v->settings, sender, to) != NULL;
}

static const enum log_event events[] = {
    [SESSION_CONNECTED] = LOG_CONNECT,
    [SESSION_MAIL_REFUSED] = LOG_REFUSED,
    [SESSION_RCPT_REFUSED] = LOG_REFUSED,
    [SESSION_DATA_REFUSED] = LOG_REFUSED,
    [SESSION_COMMAND_REFUSED] = LOG_REFUSED,
    [SESSION_CUT] = LOG_LOST,
    [SESSION_DISCONNECTED] = LOG_DISCONNECT,
    [SESSION_LOGIN] = LOG_NOTE,
    [SESSION_LOGIN_FAILED] = LOG_REFUSED,
};

/* The engine tells of its birth before we have it. */
static struct span helo_of(const struct visit *v)
{
    return v->session ? session_helo(v->session) : SPAN("");
}

static void remember_refusal(struct visit *v, const struct session_event *e,
                             struct span client, struct span reply)
{
    queue_refuse(v->intake->worker->queue, &(struct queue_refusal){
        .at_ms = wall_ms(), .client = client,
        .helo = helo_of(v), .sender = e->sender, .recipient = e->recipient, .reply = reply,
        .rule = e->rule ? e->rule->title : SPAN("") });
}

static void world_tell(void *user, const struct session_event *e)
{
    struct visit *v = user;
    struct buffer client = { 0 }, text = { 0 };

    host_address_print(&client, &v->client);
    if (e->reply.code)
        reply_print(&text, &e->reply);
    else
        buffer_put(&text, e->reply.text);
    log_put(&(struct log_line){
        .event = events[e->kind],
        .host = SPAN("unknown"), .address = buffer_span(&client),
        .stage = span_of(e->stage), .text = buffer_span(&text),
        .sender = e->sender, .recipient = e->recipient,
        .helo = helo_of(v),
        .protocol = SPAN("ESMTP"),
        .rule = e->rule ? e->rule->title : SPAN(""),
        .place = e->rule ? e->rule->place : (struct place){ 0 },
        .commands = v->session ? session_commands(v->session) : 0,
        .count = v->session ? session_messages(v->session) : 0 });
    if (events[e->kind] == LOG_REFUSED)
        remember_refusal(v, e, buffer_span(&client), buffer_span(&text));
    buffer_fini(&client);
    buffer_fini(&text);
}

/* -------------------------------------------------------- the end of it ---- */

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
    forget_body(v);
    uncount(v);
    registry_drop(&i->registry, v->token);
    session_free(v->session);
    settings_release(v->settings);
    free(v);
    i->count--;
    atomic_fetch_sub(&i->worker->sessions, 1);
    if (i->count == 0 && i->empty)
        i->empty(i->worker);
}

static void leave(struct visit *v)
{
    conn_finish(&v->conn);
    v->cut_ms = wall_ms() + LINGER_MS;
}

/* ------------------------------------------------------------- storing ---- */

static void go_on(struct visit *v);

static void on_appended(void *user, uint64_t token, int rc)
{
    struct worker *w = user;
    struct visit *v = registry_find(&w->intake->registry, token);

    (void)rc; /* kept by the body: the put will fail */
    if (!v)
        return;
    v->appends--;
    go_on(v);
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

static void on_stored(void *user, uint64_t token, int rc, uint64_t id)
{
    struct worker *w = user;
    struct visit *v = registry_find(&w->intake->registry, token);

    if (!v || !v->is_storing) {
        (void)id;
        return;
    }
    v->is_storing = false;
    if (rc == 0)
        deposit_log(session_draft(v->session));
    session_stored(v->session, rc, wall_ms());
    go_on(v);
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
    if (deposit(i->worker->port, v->settings, d, body, &i->scratch, on_stored,
                v->token)) {
        v->body = NULL;
        return;
    }
    forget_body(v);
    on_stored(i->worker, v->token, 0, d->id); /* all of it was discarded */
}

/* ------------------------------------------------------------- pumping ---- */

static bool must_wait(const struct visit *v)
{
    return v->is_storing || v->appends >= APPENDS_MOST ||
           (v->body && queue_is_behind(v->intake->worker->queue)) ||
           conn_unsent(&v->conn) > 0;
}

static bool is_over(const struct visit *v)
{
    return v->conn.is_closing || v->conn.is_lingering;
}

/* After the engine has moved: take its content, its output and its wishes. */
static void attend(struct visit *v)
{
    struct draft *d = session_draft(v->session);

    if (v->body && (!d || d->id != v->body_id))
        forget_body(v); /* refused at its end, or cut */
    if (d && session_in_content(v->session) && d->content.len > CONTENT_SMALL)
        move_content(v, d);
    if (session_wants(v->session) == SESSION_STORES && !v->is_storing)
        store(v);
    if (session_wants(v->session) == SESSION_CLOSES)
        uncount(v);
    if (conn_send(&v->conn, session_output(v->session)) < 0)
        conn_close(&v->conn);
    else
        buffer_fini(session_output(v->session)); /* an idle session has none */
    if (!is_over(v) && session_wants(v->session) == SESSION_CLOSES)
        leave(v);
}

/*
 * Feeds the engine as far as it goes. Content is fed in pieces of a part, so that what
 * is in memory stays bounded however much was read at once.
 */
static void pump(struct visit *v, struct span in, size_t *out_used)
{
    size_t used = 0;

    v->is_pumping = true;
    while (used < in.len && !must_wait(v) && !is_over(v)) {
        struct span piece = span_first(span_skip(in, used), CONTENT_SMALL);
        size_t n;

        if (session_wants(v->session) != SESSION_READS)
            break;
        n = session_feed(v->session, piece, wall_ms());
        used += n;
        attend(v);
        if (n == 0)
            break;
    }
    v->is_pumping = false;
    *out_used = is_over(v) ? in.len : used;
}

/* Something that was waited for has come. */
static void go_on(struct visit *v)
{
    if (v->conn.is_closing)
        return;
    attend(v);
    if (is_over(v) || must_wait(v) || v->is_pumping)
        return;
    conn_resume(&v->conn);
    if (!is_over(v) && v->conn.is_ended && !v->conn.waiting.len &&
        !must_wait(v)) {
        session_end_of_input(v->session, wall_ms());
        attend(v);
    }
}

static size_t visit_input(void *user, struct span in)
{
    size_t used;

    pump(user, in, &used);
    if (used < in.len)
        conn_pause(&((struct visit *)user)->conn);
    return used;
}

static void visit_ended(void *user, int rc)
{
    struct visit *v = user;

    if (rc == 0 && (must_wait(v) || v->conn.waiting.len)) {
        go_on(v); /* what was sent before the end still counts */
        return;
    }
    session_end_of_input(v->session, wall_ms());
    if (rc < 0)
        conn_close(&v->conn);
    else
        attend(v);
}

static void visit_drained(void *user)
{
    go_on(user);
}

static const struct conn_events visit_events = {
    .input = visit_input, .ended = visit_ended, .drained = visit_drained,
    .closed = visit_closed,
};

/* ----------------------------------------------------- the worker's side ---- */

void intake_open(struct worker *w, struct census *census)
{
    w->intake = NEW(struct intake);
    w->intake->worker = w;
    w->intake->census = census;
}

void intake_accept(struct intake *i, int fd, struct settings *settings,
                   size_t listener, const struct host_address *client)
{
    struct visit *v = NEW(struct visit);

    v->intake = i;
    v->client = *client;
    v->is_counted = true;
    v->settings = settings_hold(settings);
    v->listener = &v->settings->listeners[listener];
    v->world = (struct session_world){ world_new_id, world_has_room,
                                       world_has_route, world_tell, v };
    v->token = registry_put(&i->registry, v);
    v->next = i->visits;
    v->here = &i->visits;
    if (v->next)
        v->next->here = &v->next;
    i->visits = v;
    i->count++;
    v->session = session_new(v->settings, v->listener, &(struct session_client){ .address = *client, .name = SPAN("unknown") },
                             &v->world, wall_ms());
    if (conn_open(&v->conn, i->worker, fd, &visit_events, v) < 0)
        conn_close(&v->conn);
    else if (i->cut_ms)
        session_shut_down(v->session, wall_ms());
    attend(v);
}

void intake_tick(struct intake *i)
{
    int64_t now = wall_ms();

    for (struct visit *v = i->visits, *next; v; v = next) {
        next = v->next;
        if (v->conn.is_closing)
            continue;
        if (v->conn.is_lingering ? now >= v->cut_ms
                                 : i->cut_ms && now >= i->cut_ms) {
            conn_close(&v->conn);
        } else if (!v->conn.is_lingering && !v->is_storing &&
                   now >= session_deadline_ms(v->session)) {
            session_timeout(v->session, now);
            attend(v);
        }
    }
}

void intake_eased(struct intake *i)
{
    for (struct visit *v = i->visits, *next; v; v = next) {
        next = v->next;
        if (v->body)
            go_on(v);
    }
}

static const struct listener_settings *find_listener(const struct settings *s,
                                                     struct span title)
{
    for (size_t n = 0; n < s->listener_count; n++)
        if (span_is(s->listeners[n].title, title))
            return &s->listeners[n];
    return NULL;
}

/* A session whose listener is gone ends under the settings it began with. */
void intake_reload(struct intake *i)
{
    struct settings *now = i->worker->settings;

    for (struct visit *v = i->visits; v; v = v->next) {
        const struct listener_settings *l =
            find_listener(now, v->listener->title);

        if (!l || is_over(v))
            continue;
        session_reload(v->session, now, l);
        settings_release(v->settings);
        v->settings = settings_hold(now);
        v->listener = l;
    }
}

void intake_shut_down(struct intake *i, void (*empty)(struct worker *w))
{
    int64_t now = wall_ms();

    i->empty = empty;
    i->cut_ms = now + SHUT_DOWN_MS;
    for (struct visit *v = i->visits, *next; v; v = next) {
        next = v->next;
        if (is_over(v))
            continue;
        session_shut_down(v->session, now);
        attend(v);
    }
    if (i->count == 0)
        empty(i->worker);
}

void intake_close(struct intake *i)
{
    ASSERT(i->count == 0);
    registry_fini(&i->registry);
    buffer_fini(&i->scratch);
    free(i);
}
