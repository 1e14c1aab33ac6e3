/*
 * intake_world - what the engines ask of the world, and what they tell it.
 *
 * Questions go to the queue and the routes; events become lines of the log, and
 * refusals are remembered for the history besides.
 */
#include "relay/inbound/intake_private.h"

#include "relay/inbound/pickup.h"
#include "relay/inbound/record.h"
#include "relay/net/gauge.h"
#include "relay/net/listener.h"
#include "relay/net/log.h"

static uint64_t world_new_id(void *user)
{
    struct visit *v = user;
    uint64_t id = v->first_id;

    v->first_id = 0;
    return id ? id : queue_new_id(v->intake->worker->queue);
}

static bool world_has_room(void *user, uint64_t bytes)
{
    struct visit *v = user;

    return queue_has_room(v->intake->worker->queue, bytes);
}

static enum session_way world_way(void *user, struct span sender,
                                  const struct destiny *to, uint64_t bytes)
{
    const struct visit *v = user;
    struct buffer lane = { 0 };
    bool is_full;

    if (!to->route)
        return WAY_NONE;
    if (to->route->quota_bytes == 0 ||
        destinies_lane(session_settings(v->session), sender, to, &lane) < 0)
        return WAY_OPEN;
    is_full = queue_is_over_quota(v->intake->worker->queue, buffer_span(&lane),
                                  bytes, to->route->quota_bytes);
    buffer_fini(&lane);
    return is_full ? WAY_FULL : WAY_OPEN;
}

/* A balancer's own port is not its client's. */
static void world_ends(void *user, struct session_ends *out)
{
    const struct visit *v = user;
    struct sockaddr_storage peer = { 0 }, ours = { 0 };
    struct host_address from;
    int peer_len = sizeof peer, our_len = sizeof ours;
    uint16_t port;

    if (uv_tcp_getpeername(&v->conn.tcp, (struct sockaddr *)&peer, &peer_len) <
            0 ||
        uv_tcp_getsockname(&v->conn.tcp, (struct sockaddr *)&ours, &our_len) < 0)
        return;
    if (peer.ss_family == AF_UNIX)
        return; /* it has none */
    host_address_from_socket(&from, &port, &peer);
    if (host_address_is(&from, &v->client))
        out->client_port = port;
    host_address_from_socket(&out->server, &out->server_port, &ours);
}

static const enum log_event events[] = {
    [SESSION_CONNECTED] = LOG_CONNECT,
    [SESSION_MAIL_REFUSED] = LOG_REFUSED,
    [SESSION_RCPT_REFUSED] = LOG_REFUSED,
    [SESSION_DATA_REFUSED] = LOG_REFUSED,
    [SESSION_COMMAND_REFUSED] = LOG_REFUSED,
    [SESSION_CUT] = LOG_LOST,
    [SESSION_DISCONNECTED] = LOG_DISCONNECT,
    [SESSION_RULE_SAID] = LOG_REMARK,
    [SESSION_RULE_WOULD] = LOG_REMARK,
    [SESSION_LOGIN] = LOG_LOGIN,
    [SESSION_LOGIN_FAILED] = LOG_LOGIN_FAILED,
};

/* The engine tells of its birth before we have it. */
static struct span helo_of(const struct visit *v)
{
    return v->session ? session_helo(v->session) : SPAN("");
}

static const enum gauge_stage stages[] = {
    [SESSION_MAIL_REFUSED] = GAUGE_AT_MAIL,
    [SESSION_RCPT_REFUSED] = GAUGE_AT_RCPT,
    [SESSION_DATA_REFUSED] = GAUGE_AT_DATA,
    [SESSION_COMMAND_REFUSED] = GAUGE_AT_COMMAND,
};

static void count(const struct visit *v, const struct session_event *e)
{
    struct gauge *g = v->intake->worker->gauge;

    if (events[e->kind] == LOG_REFUSED) {
        gauge_refused(g, v->gauge, stages[e->kind]);
        if (e->rule && e->rule->action == ACTION_GREYLIST)
            gauge_count(g, GAUGE_GREYLISTED);
    } else if (e->kind == SESSION_CUT) {
        gauge_count(g, GAUGE_LOST);
    } else if (e->kind == SESSION_LOGIN) {
        gauge_count(g, GAUGE_LOGINS);
    } else if (e->kind == SESSION_LOGIN_FAILED) {
        gauge_count(g, GAUGE_LOGINS_FAILED);
    }
}

static void world_tell(void *user, const struct session_event *e)
{
    struct visit *v = user;
    struct span name =
        v->session ? session_client_name(v->session) : SPAN("unknown");
    struct buffer client = { 0 }, text = { 0 };

    host_address_print(&client,
                       v->session ? session_client(v->session) : &v->client);
    if (e->reply.code)
        reply_print(&text, &e->reply);
    else
        buffer_put(&text, e->reply.text);
    if (e->kind == SESSION_CUT && v->trouble.len) {
        buffer_put(&text, SPAN("TLS: "));
        buffer_put(&text, v->trouble);
    } else if (e->kind == SESSION_CUT && v->is_securing) {
        buffer_put(&text, SPAN("TLS: the handshake was not finished"));
    }
    if (e->why.len) {
        if (text.len)
            buffer_put(&text, SPAN(": "));
        buffer_put(&text, e->why);
    }
    log_put(&(struct log_line){
        .event = events[e->kind],
        .host = name,
        .address = buffer_span(&client),
        .stage = span_of(e->stage),
        .status = e->kind == SESSION_RULE_WOULD ? SPAN("shadow") : SPAN("info"),
        .text = buffer_span(&text),
        .sender = e->sender,
        .recipient = e->recipient,
        .login = e->login,
        .mechanism = span_of(e->mechanism),
        .session = v->session ? session_name(v->session) : SPAN(""),
        .helo = helo_of(v),
        .protocol =
            v->session ? session_said_protocol(v->session) : SPAN("SMTP"),
        .rule = e->rule ? e->rule->title : SPAN(""),
        .place = e->rule ? e->rule->place : (struct place){ 0 },
        .commands = v->session ? session_commands(v->session) : 0,
        .count = v->session ? session_messages(v->session) : 0 });
    if (events[e->kind] == LOG_REFUSED)
        record_refusal(v->intake->worker, v->session, e,
                       buffer_span(&client), buffer_span(&text));
    count(v, e);
    buffer_fini(&client);
    buffer_fini(&text);
}

static enum session_release world_release(void *user,
                                          const struct session_request *r,
                                          const struct facts *facts)
{
    const struct visit *v = user;

    return pickup_release(v->intake->worker->queue, v->settings, r, facts);
}

static void tell_turn(const struct visit *v, const struct session_turn *t,
                      const struct facts *facts)
{
    struct buffer text = { 0 };

    buffer_put_escaped(&text, facts->login);
    buffer_put_string(&text, " fetches over ");
    buffer_put_escaped(&text, session_client_name(v->session));
    buffer_put_byte(&text, '[');
    host_address_print(&text, session_client(v->session));
    buffer_put_string(&text, t->count ? "]:" : "]: all that is his");
    for (size_t i = 0; i < t->count; i++) {
        buffer_put_byte(&text, ' ');
        buffer_put_escaped(&text, t->domains[i]);
    }
    log_text(LOG_NOTE, "%s", buffer_string(&text));
    buffer_fini(&text);
}

static enum session_turn_answer world_turn(void *user,
                                           const struct session_turn *t,
                                           const struct facts *facts)
{
    struct visit *v = user;
    struct worker *w = v->intake->worker;
    enum session_turn_answer said;

    if (v->intake->cut_ms || !w->sides.deliver)
        return TURN_NOT_NOW;
    said = pickup_turn(w->port, v->settings, t, facts, &v->turn);
    if (said != TURN_BEGINS)
        return said;
    v->turn->client = facts->client;
    v->turn->client_name = session_client_name(v->session);
    v->turn->client_name.at = span_dup(v->turn->client_name);
    v->turn->login = facts->login;
    v->turn->login.at = span_dup(facts->login);
    tell_turn(v, t, facts);
    return said;
}

static void world_note(void *user, struct span key, struct span value,
                       int64_t expire_ms)
{
    struct visit *v = user;
    struct span rest, kind = span_split(key, '\t', &rest);

    queue_note_put(v->intake->worker->queue, kind, rest, value, expire_ms);
}

const struct session_world intake_world = {
    .new_id = world_new_id,
    .has_room = world_has_room,
    .way = world_way,
    .release = world_release,
    .turn = world_turn,
    .ends = world_ends,
    .note = world_note,
    .tell = world_tell,
};
