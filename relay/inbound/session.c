/*
 * session - one client's SMTP dialogue, as an engine: life and input.
 *
 * Happy path: the greeting is in the output at once; session_feed cuts the
 * input into command lines (session_line.c) that the verb table runs
 * (session_verbs.c), or gives it to the content reader (session_data.c); after
 * the final dot nothing is consumed until session_stored.
 *
 * Failures: a refusal is a reply and an event; the client's silence (session_time.c),
 * flood, and nonsense end in CLOSING, where input is thrown away.
 *
 * Owns everything that hangs off struct session; an idle one has no buffer but
 * what its output still holds.
 */
#include "relay/inbound/session_private.h"

#include "policy/vocabulary/memory.h"

#include <stdlib.h>

/* clang-format off */
static const unsigned successors[] = {
    [AT_GREETING] = IN(GREETING) | IN(READY) | IN(SECURING) | IN(SKIPPING) |
                    IN(CONSULTING) | IN(WAITING) | IN(DENIED) | IN(CLOSING),
    [AT_READY]    = IN(READY) | IN(MAIL) | IN(SECURING) | IN(ASKING) |
                    IN(GREETING) | IN(SKIPPING) | IN(TURNING) | IN(CONSULTING) |
                    IN(CLOSING),
    [AT_MAIL]     = IN(READY) | IN(RCPT) | IN(SECURING) | IN(SKIPPING) |
                    IN(CONSULTING) | IN(CLOSING),
    [AT_RCPT]     = IN(READY) | IN(RCPT) | IN(CONTENT) | IN(CHUNK) |
                    IN(SECURING) | IN(SKIPPING) | IN(CONSULTING) | IN(CLOSING),
    [AT_CONTENT]  = IN(READY) | IN(STORING) | IN(CONSULTING) | IN(CLOSING),
    [AT_CHUNK]    = IN(READY) | IN(CHUNKS) | IN(STORING) | IN(CONSULTING) |
                    IN(CLOSING),
    [AT_CHUNKS]   = IN(READY) | IN(CHUNK) | IN(SKIPPING) | IN(CLOSING),
    [AT_SKIPPING] = IN(GREETING) | IN(READY) | IN(MAIL) | IN(RCPT) |
                    IN(CLOSING),
    [AT_STORING]  = IN(READY) | IN(CLOSING),
    [AT_CLOSING]  = IN(CLOSING),
    [AT_SECURING] = IN(GREETING) | IN(CLOSING),
    [AT_LOGIN]    = IN(ASKING) | IN(READY) | IN(CLOSING),
    [AT_ASKING]   = IN(LOGIN) | IN(READY) | IN(PAUSING) | IN(CLOSING),
    [AT_PAUSING]  = IN(READY) | IN(CLOSING),
    [AT_TURNING]  = IN(CLOSING),
    /* back to where it came from, and only there */
    [AT_CONSULTING] = IN(GREETING) | IN(READY) | IN(MAIL) | IN(RCPT) |
                    IN(CONTENT) | IN(CHUNK) | IN(CLOSING),
    [AT_WAITING]  = IN(GREETING) | IN(CLOSING),
    [AT_DENIED]   = IN(CLOSING),
};
/* clang-format on */

_Static_assert(sizeof(struct session) <= 1024, "idle sessions are small");

void session_move(struct session *s, enum session_state next)
{
    ASSERT(successors[s->state] & (1u << next));
    s->state = next;
}

static void tell(struct session *s, enum session_event_kind kind,
                 const struct reply *reply)
{
    struct session_event e = { .kind = kind, .stage = s->stage };

    if (reply)
        e.reply = *reply;
    e.sender = s->draft.sender.text;
    s->world->tell(s->world->user, &e);
}

static struct span own_copy(struct span text)
{
    return span_make(span_dup(text), text.len);
}

void session_forget_client(struct session *s)
{
    free((char *)s->helo.at);
    free((char *)s->login.at);
    s->helo = s->login = span_make(NULL, 0);
    s->mechanism = NULL;
    s->extended = s->is_helo_told = s->is_login_told = false;
}

struct session *session_new(struct settings *settings,
                            const struct listener_settings *listener,
                            const struct session_client *client,
                            const struct session_world *world, int64_t now_ms)
{
    struct session *s = NEW(struct session);
    struct buffer text = { 0 };

    s->settings = settings_hold(settings);
    s->listener = listener;
    s->world = world;
    s->client = s->peer = client->address;
    host_address_print(&text, &client->address);
    s->client_text = own_copy(buffer_span(&text));
    buffer_fini(&text);
    s->client_name = own_copy(client->name);
    s->login = own_copy(client->login);
    s->uid = client->uid;
    s->mechanisms = client->mechanisms;
    s->srs_secrets = client->srs_secrets;
    s->has_tls = client->has_tls;
    s->tls = client->tls;
    s->name = id_print(client->id);
    s->stage = "CONNECT";
    s->deadline_ms = now_ms + settings->limits.silence_ms;
    tell(s, SESSION_CONNECTED, NULL);
    if (client->self)
        *client->self = s;
    if (listener->tls != LISTENER_TLS_IMPLICIT)
        session_begin(s, now_ms);
    else if (s->has_tls)
        session_tls_wait(s, now_ms);
    else
        session_move(s, AT_CLOSING); /* nothing can be said that is understood */
    return s;
}

void session_free(struct session *s)
{
    if (!s)
        return;
    tell(s, SESSION_DISCONNECTED, NULL);
    session_reset(s);
    session_trust_forget(s);
    session_auth_drop(s);
    session_consult_drop(s);
    session_forget_client(s);
    session_line_done(s);
    buffer_fini(&s->output);
    free((char *)s->client_text.at);
    free((char *)s->client_name.at);
    settings_release(s->settings);
    free(s);
}

void session_reset(struct session *s)
{
    free(s->content);
    free(s->draft.recipients);
    free(s->recipient_hashes);
    buffer_fini(&s->draft.content);
    buffer_fini(&s->draft.head);
    session_judge_drop(s);
    arena_reset(&s->arena);
    s->content = NULL;
    s->draft = (struct draft){ 0 };
    s->recipient_hashes = NULL;
    s->recipient_room = 0;
    s->refused_recipients = 0;
    s->declared_bytes = 0;
    s->holds_header = s->keeps_head = s->is_chunked = s->bad_author = false;
    s->chunk.total = 0;
    session_consult_end_mail(s);
    /* What XFORWARD said comes before MAIL and lasts as long as the mail. */
    if (s->state != AT_READY && s->state != AT_GREETING)
        session_trust_forget(s);
    if (s->next_settings) {
        settings_release(s->settings);
        s->settings = s->next_settings;
        s->listener = s->next_listener;
        s->next_settings = NULL;
    }
}

/* ------------------------------------------------------------ saying ---- */

void session_say(struct session *s, struct span line)
{
    buffer_put(&s->output, line);
    buffer_put(&s->output, SPAN("\r\n"));
}

/* The line and the draft stay until session_free: whoever found a reason to
 * close may still be looking at them. Only the content is let go. */
void session_end(struct session *s)
{
    session_move(s, AT_CLOSING);
    buffer_fini(&s->draft.content);
}

void session_hang_up(struct session *s, const struct reply *reply)
{
    reply_write(&s->output, reply);
    tell(s, SESSION_CUT, reply);
    session_end(s);
}

void session_hang_up_as_host(struct session *s, struct reply reply)
{
    struct buffer text = { 0 };

    buffer_put(&text, s->settings->hostname);
    buffer_put_byte(&text, ' ');
    buffer_put(&text, reply.text);
    reply.text = buffer_span(&text);
    session_hang_up(s, &reply);
    buffer_fini(&text);
}

void session_count_error(struct session *s)
{
    if (s->listener->is_local) /* a list with dead members is no attack */
        return;
    if (s->state != AT_CLOSING && ++s->errors >= s->settings->limits.errors)
        session_hang_up_as_host(s,
                                REPLY(421, 4, 7, 0, "Error: too many errors"));
}

void session_refuse_as(struct session *s, const struct session_event *e)
{
    reply_write(&s->output, &e->reply);
    s->world->tell(s->world->user, e);
    session_count_error(s);
}

void session_refuse_for(struct session *s, enum session_event_kind kind,
                        const struct reply *reply, struct span sender,
                        struct span recipient, const struct rule *rule)
{
    session_refuse_as(s, &(struct session_event){ .kind = kind,
                                                  .stage = s->stage,
                                                  .reply = *reply,
                                                  .sender = sender,
                                                  .recipient = recipient,
                                                  .rule = rule });
}

void session_refuse(struct session *s, enum session_event_kind kind,
                    const struct reply *reply)
{
    session_refuse_for(s, kind, reply, s->draft.sender.text, SPAN(""), NULL);
}

/* ------------------------------------------------------------- input ---- */

static size_t feed_commands(struct session *s, struct span in, int64_t now_ms)
{
    struct span line;
    bool has_line = false;
    size_t n = session_line_take(s, in, now_ms, &line, &has_line);

    if (has_line) {
        if (s->state == AT_LOGIN)
            session_auth_line(s, line);
        else
            session_verbs_run(s, line, n < in.len, now_ms);
        session_line_done(s);
    }
    return n;
}

static size_t feed_one(struct session *s, struct span in, int64_t now_ms)
{
    if (s->state == AT_WAITING)
        return session_waits_feed(s, in);
    if (s->state == AT_CONTENT)
        return session_data_feed(s, in, now_ms);
    if (s->state == AT_CHUNK || s->state == AT_SKIPPING)
        return session_chunk_feed(s, in, now_ms);
    return feed_commands(s, in, now_ms);
}

size_t session_feed(struct session *s, struct span in, int64_t now_ms)
{
    struct span rest = in;

    s->heard_login = false;
    while (rest.len && session_wants(s) == SESSION_READS)
        rest = span_skip(rest, feed_one(s, rest, now_ms));
    return s->state == AT_CLOSING ? in.len : in.len - rest.len;
}

enum session_wants session_wants(const struct session *s)
{
    static const enum session_wants wants[] = {
        [AT_GREETING] = SESSION_READS,        [AT_READY] = SESSION_READS,
        [AT_MAIL] = SESSION_READS,            [AT_RCPT] = SESSION_READS,
        [AT_CONTENT] = SESSION_READS,         [AT_LOGIN] = SESSION_READS,
        [AT_CHUNK] = SESSION_READS,           [AT_CHUNKS] = SESSION_READS,
        [AT_SKIPPING] = SESSION_READS,
        [AT_STORING] = SESSION_STORES,        [AT_CLOSING] = SESSION_CLOSES,
        [AT_SECURING] = SESSION_STARTS_TLS,   [AT_PAUSING] = SESSION_WAITS,
        [AT_ASKING] = SESSION_AUTHENTICATES,  [AT_TURNING] = SESSION_TURNS,
        [AT_CONSULTING] = SESSION_ASKS,       [AT_WAITING] = SESSION_READS,
        [AT_DENIED] = SESSION_READS,
    };

    return wants[s->state];
}

bool session_heard_login(const struct session *s)
{
    return s->heard_login;
}

struct buffer *session_output(struct session *s)
{
    return &s->output;
}

void session_end_of_input(struct session *s, int64_t now_ms)
{
    (void)now_ms;
    if (s->state == AT_STORING) {
        s->input_ended = true;
        return;
    }
    if (s->state == AT_CLOSING)
        return;
    tell(s, SESSION_CUT, NULL);
    session_end(s);
}

/* ------------------------------------------------------------ looking --- */

struct settings *session_settings(const struct session *s)
{
    return s->settings;
}

struct draft *session_draft(struct session *s)
{
    const unsigned with_draft =
        IN(CONTENT) | IN(CHUNK) | IN(CHUNKS) | IN(STORING);

    return with_draft & (1u << session_consult_place(s)) ? &s->draft : NULL;
}

bool session_in_content(const struct session *s)
{
    return (IN(CONTENT) | IN(CHUNK) | IN(CHUNKS)) & (1u << s->state) &&
           !s->holds_header;
}

const char *session_stage(const struct session *s)
{
    return s->stage;
}

uint32_t session_messages(const struct session *s)
{
    return s->messages;
}

uint32_t session_mails(const struct session *s)
{
    return s->mails;
}

uint32_t session_commands(const struct session *s)
{
    return s->commands;
}

const struct host_address *session_client(const struct session *s)
{
    return &s->client;
}

struct span session_client_name(const struct session *s)
{
    return s->client_name;
}

struct span session_helo(const struct session *s)
{
    return s->helo;
}

struct span session_name(const struct session *s)
{
    return span_of(s->name.at);
}
