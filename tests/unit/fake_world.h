/*
 * fake_world - what surrounds an inbound session, for tests.
 *
 * A configuration out of a string, a clock that stands still until told, a
 * queue that keeps the latest message in memory and says what the test wants.
 * Static functions, so that each test is one program of one file.
 */
#ifndef WAYPOST_FAKE_WORLD_H
#define WAYPOST_FAKE_WORLD_H

#include "policy/vocabulary/memory.h"
#include "relay/inbound/session.h"

#include <stdio.h>
#include <stdlib.h>

#define UNUSED __attribute__((unused))

enum { FAKE_FULL = 1, FAKE_BROKEN = 2, FAKE_LATER = 4 };

struct fake_world {
    struct session_world world;
    struct settings *settings;
    struct session *session;
    int64_t now_ms;
    unsigned mood; /* FAKE_... */
    uint64_t last_id;
    struct buffer output; /* what the session said */
    struct buffer told;   /* one line for each event */
    uint64_t stored;      /* messages; of the latest: */
    struct buffer sender, recipients, content, message_id;
    struct envelope envelope; /* its numbers only */
    struct buffer waiting;    /* input while an answer is awaited */
};

static const int64_t fake_start_ms = 1700000000000;

/* As an administrator would write it; tests put their own lines behind. */
static const char fake_configuration[] =
    "hostname = \"mx.ok.test\"\n"
    "queue { path = \"/nonexistent/queue.db\" }\n"
    "listener \"edge\" { address = \"127.0.0.1:2525\" }\n"
    "rule \"domains\" { to = {\"ok.test\", \"noroute.test\"} action = relay }\n"
    "rule \"trusted\" { client = {\"10.0.0.0/8\"} action = relay }\n"
    "route \"*\" { via = {\"mx\"} }\n";

/* Of the file "senders". */
static const char fake_senders[] = "joe joe@ok.test, @joe.test\n"
                                   "ann ann@ok.test\n";

static int fake_read_file(void *user, const char *path, struct buffer *out)
{
    buffer_put_string(out, strcmp(path, "senders") ? user : fake_senders);
    return 0;
}

/* Faults go to stderr and end the test. */
static UNUSED struct settings *fake_settings(const char *text)
{
    struct settings_source source = {
        .path = "test.conf",
        .machine_name = "mx.ok.test",
        .state_folder = "/nonexistent",
        .read_file = fake_read_file,
        .user = (void *)text,
    };
    struct buffer faults = { 0 }, warnings = { 0 };
    struct settings *s = settings_read(&source, &faults, &warnings);

    if (!s)
        (void)fprintf(stderr, "%s", buffer_string(&faults));
    ASSERT(s);
    buffer_fini(&faults);
    buffer_fini(&warnings);
    return s;
}

static uint64_t fake_new_id(void *user)
{
    struct fake_world *w = user;

    return ++w->last_id;
}

static bool fake_has_room(void *user, uint64_t bytes)
{
    struct fake_world *w = user;

    (void)bytes;
    return !(w->mood & FAKE_FULL);
}

static enum session_way fake_way(void *user, struct span sender,
                                 const struct destiny *to, uint64_t bytes)
{
    struct span domain = to->address.domain;

    (void)user;
    (void)sender;
    if (span_is_nocase(domain, SPAN("noroute.test")))
        return WAY_NONE;
    return span_is_nocase(domain, SPAN("full.ok.test")) && bytes > 100
               ? WAY_FULL
               : WAY_OPEN;
}

static void fake_tell(void *user, const struct session_event *e)
{
    static const char *const kinds[] = { "connected",   "mail",    "rcpt",
                                         "data",        "command", "cut",
                                         "disconnected", "login",
                                         "login failed", "said",
                                         "would" };
    struct fake_world *w = user;

    buffer_printf(&w->told, "%s %s ", kinds[e->kind], e->stage);
    if (e->reply.code)
        reply_print(&w->told, &e->reply);
    buffer_put_string(&w->told, " from=<");
    buffer_put_escaped(&w->told, e->sender);
    buffer_put_string(&w->told, "> to=<");
    buffer_put_escaped(&w->told, e->recipient);
    buffer_put_string(&w->told, ">");
    if (e->mechanism)
        buffer_printf(&w->told, " by=%s login=%.*s why=%.*s", e->mechanism,
                      SPAN_FMT(e->login), SPAN_FMT(e->why));
    if (e->kind == SESSION_RULE_SAID || e->kind == SESSION_RULE_WOULD)
        buffer_printf(&w->told, " why=%.*s", SPAN_FMT(e->why));
    if (e->rule)
        buffer_printf(&w->told, " rule=\"%.*s\"", SPAN_FMT(e->rule->title));
    buffer_put_byte(&w->told, '\n');
}

static void fake_note(void *user, struct span key, struct span value,
                      int64_t expire_ms)
{
    struct fake_world *w = user;

    (void)expire_ms;
    buffer_printf(&w->told, "NOTE %.*s = %.*s\n", SPAN_FMT(key),
                  SPAN_FMT(value));
}

/* Hosts that are away, by their names. */
static UNUSED enum session_release
fake_release(void *user, const struct session_request *r,
             const struct facts *facts)
{
    struct fake_world *w = user;

    (void)facts;
    buffer_printf(&w->told, "RELEASE %d %.*s\n", (int)r->kind,
                  SPAN_FMT(r->name));
    if (span_is(r->name, SPAN("waits.test")))
        return RELEASE_STARTED;
    if (span_is(r->name, SPAN("empty.test")))
        return RELEASE_NOTHING;
    return span_is(r->name, SPAN("fetch.test")) ? RELEASE_CANNOT
                                                : RELEASE_REFUSED;
}

/* The same, who fetch theirs. */
static UNUSED enum session_turn_answer
fake_turn(void *user, const struct session_turn *t, const struct facts *facts)
{
    static const struct {
        struct span first;
        enum session_turn_answer said;
    } answers[] = {
        { SPAN_INIT("empty.test"), TURN_EMPTY },
        { SPAN_INIT("taken.test"), TURN_TAKEN },
        { SPAN_INIT("other.test"), TURN_REFUSED },
        { SPAN_INIT("ill.test"), TURN_NOT_NOW },
        { SPAN_INIT("tls.test"), TURN_NEEDS_TLS },
    };
    struct fake_world *w = user;

    buffer_printf(&w->told, "TURN for %.*s:", SPAN_FMT(facts->login));
    for (size_t i = 0; i < t->count; i++)
        buffer_printf(&w->told, " %.*s", SPAN_FMT(t->domains[i]));
    buffer_put_byte(&w->told, '\n');
    for (size_t i = 0; t->count && i < sizeof answers / sizeof answers[0]; i++)
        if (span_is(t->domains[0], answers[i].first))
            return answers[i].said;
    return TURN_BEGINS;
}

static UNUSED void fake_ends(void *user, struct session_ends *out)
{
    (void)user;
    out->client_port = 40001;
    out->server_port = 25;
    ASSERT(host_address_parse(SPAN("192.0.2.25"), &out->server));
}

static UNUSED struct session_world fake_world_of(struct fake_world *w)
{
    return (struct session_world){
        .new_id = fake_new_id,
        .has_room = fake_has_room,
        .way = fake_way,
        .release = fake_release,
        .turn = fake_turn,
        .ends = fake_ends,
        .note = fake_note,
        .tell = fake_tell,
        .user = w,
    };
}

/* Opens a session from this address, e.g. "192.0.2.1". There is a certificate, and
 * everything can be verified; what is offered is the configuration's business. */
static UNUSED void fake_open(struct fake_world *w, const char *configuration,
                             const char *client)
{
    struct host_address address;

    *w = (struct fake_world){ 0 };
    w->world = fake_world_of(w);
    w->now_ms = fake_start_ms;
    w->settings = fake_settings(configuration);
    ASSERT(host_address_parse(span_of(client), &address));
    w->session = session_new(w->settings, &w->settings->listeners[0], &(struct session_client){ .address = address, .name = SPAN("client.test"), .mechanisms = MECHANISM_ALL, .has_tls = true }, &w->world, w->now_ms);
}

static UNUSED void fake_close(struct fake_world *w)
{
    session_free(w->session);
    settings_release(w->settings);
    buffer_fini(&w->output);
    buffer_fini(&w->told);
    buffer_fini(&w->sender);
    buffer_fini(&w->recipients);
    buffer_fini(&w->content);
    buffer_fini(&w->message_id);
    buffer_fini(&w->waiting);
}

static void fake_take_output(struct fake_world *w)
{
    struct buffer *out = session_output(w->session);

    buffer_put(&w->output, buffer_span(out));
    buffer_fini(out);
}

/* The queue's part: keeps a copy of the draft. */
static void fake_store(struct fake_world *w)
{
    struct draft *d = session_draft(w->session);

    w->stored++;
    w->envelope = d->envelope;
    buffer_clear(&w->sender);
    buffer_clear(&w->recipients);
    buffer_clear(&w->content);
    buffer_clear(&w->message_id);
    buffer_put(&w->sender, d->envelope.sender);
    buffer_put(&w->message_id, d->envelope.message_id);
    buffer_put(&w->content, buffer_span(&d->head));
    buffer_put(&w->content, buffer_span(&d->content));
    for (size_t i = 0; i < d->count; i++)
        buffer_printf(&w->recipients, "%s%.*s%s%s", i ? " " : "",
                      SPAN_FMT(d->recipients[i].address.text),
                      d->recipients[i].hold ? "(hold)" : "",
                      d->recipients[i].discard ? "(discard)" : "");
}

static void fake_feed(struct fake_world *w, struct span in);

/* The answer of the queue, and what the client sent meanwhile. */
static UNUSED void fake_answer(struct fake_world *w, int rc)
{
    struct buffer rest = w->waiting;

    w->waiting = (struct buffer){ 0 };
    if (rc == 0)
        fake_store(w);
    session_stored(w->session, rc, w->now_ms);
    fake_take_output(w);
    fake_feed(w, buffer_span(&rest));
    buffer_fini(&rest);
}

/* What the client sent while an answer was awaited. */
static void fake_go_on(struct fake_world *w)
{
    struct buffer rest = w->waiting;

    w->waiting = (struct buffer){ 0 };
    fake_take_output(w);
    fake_feed(w, buffer_span(&rest));
    buffer_fini(&rest);
}

/* A handshake is done. */
static const struct tls_facts fake_tls = {
    .protocol = "TLSv1.3",
    .cipher = "TLS_AES_256_GCM_SHA384",
    .bits = 256,
    .exporter = SPAN_INIT("exporter"),
};
static const struct tls_facts fake_tls_certificate = {
    .protocol = "TLSv1.3",
    .cipher = "TLS_AES_256_GCM_SHA384",
    .bits = 256,
    .trust = TLS_VERIFIED,
    .fingerprint = SPAN_INIT("sha256:00ff"),
    .name = SPAN_INIT("device.test"),
    .exporter = SPAN_INIT("exporter"),
};

static UNUSED void fake_secure(struct fake_world *w,
                               const struct tls_facts *facts)
{
    session_secured(w->session, facts, w->now_ms);
    fake_go_on(w);
}

/* The answer to a step of a login. */
static UNUSED void fake_login(struct fake_world *w, enum sasl_said said,
                              const char *text, const char *login)
{
    struct sasl_result r = { said, span_of(text), span_of(login) };

    session_authenticated(w->session, &r, w->now_ms);
    fake_go_on(w);
}

/* An answer to the question in hand about this mailbox, a key without its route; text NULL:
 * it cannot be had. Where it was the last one the session goes on. */
static UNUSED void fake_tell_mailbox(struct fake_world *w, const char *text)
{
    size_t count;
    const struct evidence_question *q = session_questions(w->session, &count);

    ASSERT(count == 1 && q->kind == EVIDENCE_MAILBOX);
    if (text)
        evidence_put(session_evidence(w->session), q->kind, q->key,
                     EVIDENCE_ANSWERED, span_of(text));
    session_answered(w->session, w->now_ms);
    fake_go_on(w);
}

static UNUSED void fake_feed(struct fake_world *w, struct span in)
{
    size_t n = 0;

    if (session_wants(w->session) != SESSION_STORES)
        n = session_feed(w->session, in, w->now_ms);
    fake_take_output(w);
    buffer_put(&w->waiting, span_skip(in, n));
    if (session_wants(w->session) == SESSION_STORES && !(w->mood & FAKE_LATER))
        fake_answer(w, w->mood & FAKE_BROKEN ? ERROR_STORE : 0);
}

static UNUSED void fake_say(struct fake_world *w, const char *line)
{
    fake_feed(w, span_of(line));
}

/* Moves the clock, stopping at each deadline on the way. */
static UNUSED void fake_wait(struct fake_world *w, int64_t ms)
{
    int64_t end = w->now_ms + ms;

    while (session_deadline_ms(w->session) <= end) {
        if (session_deadline_ms(w->session) > w->now_ms)
            w->now_ms = session_deadline_ms(w->session);
        session_timeout(w->session, w->now_ms);
    }
    w->now_ms = end;
    fake_go_on(w);
}

/* The next line that was said, without its end; false when there is none. */
static UNUSED bool fake_heard(struct fake_world *w, struct buffer *out_line)
{
    size_t n = span_find(buffer_span(&w->output), '\n');

    if (n == w->output.len)
        return false;
    ASSERT(n > 0 && w->output.at[n - 1] == '\r');
    buffer_clear(out_line);
    buffer_put(out_line, span_make(w->output.at, n - 1));
    buffer_drop(&w->output, n + 1);
    return true;
}

#endif
