/*
 * probe_session - a probe's way to hosts that speak SMTP or LMTP.
 *
 * The itinerary and the talk tell what happens, the witness what is said; all of it becomes
 * lines here, in probe_lookup.c, in probe_assurance.c and in probe_tls.c. A host that lets us in is
 * asked about the recipient, if there is one, and left; then the next member's turn has come.
 */
#include "relay/outbound/probe_private.h"

#include "relay/net/conn.h"

enum {
    LINGER_MS = 1000,
    PATIENCE_MS = 12000, /* for one address */
    LINES_MOST = 200,
};

/* Shorter than usual: a person waits. */
static const struct client_timeouts timeouts = {
    .greeting = 25000,
    .helo = 15000,
    .mail = 15000,
    .rcpt = 20000,
    .data = 15000,
    .block = 15000,
    .dot = 15000,
    .quit = 1000,
    .handshake = 15000,
};

static const struct hop *hop_of(const struct probe *p)
{
    return itinerary_hop(&p->itinerary);
}

static const char *relay_of(struct probe *p)
{
    return buffer_string(&p->itinerary.relay);
}

/* ------------------------------------------------------------- said and heard ---- */

static void put_line(struct probe *p, const char *mark, struct span text)
{
    struct buffer b = { 0 };

    if (!p->lines)
        p->lines = json_array();
    if (json_array_size(p->lines) < LINES_MOST) {
        buffer_put_string(&b, mark);
        buffer_put(&b, span_first(text, LIMIT_REPLY_STORED));
        ASSERT(json_array_append_new(p->lines, probe_text(buffer_span(&b))) ==
               0);
    }
    buffer_fini(&b);
}

static void put_reply(struct probe *p, const struct reply *r)
{
    struct span rest = r->text, line;
    struct buffer b = { 0 };

    do {
        line = span_split(rest, '\n', &rest);
        buffer_clear(&b);
        buffer_printf(&b, "%03d%c", r->code, rest.at ? '-' : ' ');
        if (r->status.class) {
            status_print(&b, r->status);
            buffer_put_byte(&b, ' ');
        }
        buffer_put(&b, span_trim(line));
        put_line(p, "< ", buffer_span(&b));
    } while (rest.at);
    buffer_fini(&b);
}

static void on_said(void *user, struct span line)
{
    struct probe *p = user;

    if (span_starts_nocase(line, SPAN("AUTH "))) {
        struct span name = span_skip(line, 5);

        buffer_clear(&p->mechanism);
        buffer_put_escaped(&p->mechanism,
                           span_first(name, span_find(name, ' ')));
    }
    put_line(p, "> ", line);
}

static void tell_greeting(struct probe *p, const struct reply *r)
{
    struct buffer b = { 0 };

    buffer_put_escaped(&b, span_first(r->text, span_find(r->text, '\n')));
    probe_tell(p, "greeting", PROBE_OK, NULL, "%s greets: %d %s", relay_of(p),
               r->code, buffer_string(&b));
    buffer_fini(&b);
}

static void tell_capabilities(struct probe *p, const struct reply *r)
{
    json_t *detail = json_object(), *list = json_array();
    struct buffer b = { 0 };
    struct span rest, line;

    (void)span_split(r->text, '\n', &rest);
    while (rest.at) {
        line = span_trim(span_split(rest, '\n', &rest));
        buffer_put_string(&b, b.len ? ", " : "");
        buffer_put_escaped(&b, line);
        ASSERT(json_array_append_new(list, probe_text(line)) == 0);
    }
    probe_put(detail, "capabilities", list);
    probe_tell(p, "ehlo", PROBE_OK, detail, "it offers %s",
               b.len ? buffer_string(&b) : "no extensions");
    buffer_fini(&b);
}

static void tell_login(struct probe *p)
{
    const struct account *a = hop_of(p)->account;
    struct buffer user = { 0 };

    if (a)
        buffer_put_escaped(&user, a->user);
    probe_tell(p, "login", PROBE_OK, NULL, "logged in as %s with %s",
               buffer_string(&user), buffer_string(&p->mechanism));
    buffer_fini(&user);
}

static void on_heard(void *user, enum client_stage stage, const struct reply *r)
{
    struct probe *p = user;

    put_reply(p, r);
    if (r->code >= 400) {
        p->code = r->code;
        if (p->refused_at == STAGE_IDLE) {
            p->refused_at = stage;
            p->refusal = r->code;
        }
    } else if (stage == STAGE_GREETING && r->code == 220) {
        tell_greeting(p, r);
    } else if (stage == STAGE_HELO && r->code == 250) {
        tell_capabilities(p, r);
    } else if (stage == STAGE_AUTH && r->code == 235) {
        tell_login(p);
    }
}

static void on_awaits(void *user, enum client_stage stage)
{
    struct probe *p = user;
    const struct tls *tls = conn_tls(&p->talk.conn);

    if (p->awaiting == STAGE_TLS && tls) {
        if (stage == STAGE_IDLE)
            probe_tls_tell_refused(p, tls);
        else
            probe_tls_tell(p, tls);
    }
    if (stage == STAGE_IDLE) {
        p->ended_at = p->awaiting;
        p->ended_code = p->code;
    }
    p->awaiting = stage;
    p->code = 0;
    if (stage != STAGE_IDLE)
        probe_start_clock(p);
}

/* ----------------------------------------------------------- the conversation ---- */

static void ask(struct probe *p)
{
    struct client_transaction t = {
        .envelope = &p->envelope,
        .recipients = &p->recipient,
        .count = 1,
        .only_asks = true,
    };

    p->has_asked = true;
    p->refused_at = STAGE_IDLE;
    p->refusal = 0;
    p->recipient = (struct client_recipient){ .address = p->target.recipient };
    client_start(p->talk.client, &t, wall_ms());
}

static void on_ready(void *user)
{
    struct probe *p = user;

    if (p->told && !p->has_worked) {
        p->has_worked = true;
        buffer_put(&p->worked, buffer_span(&p->itinerary.relay));
    }
    if (p->told && p->target.recipient.len && !p->has_asked)
        ask(p);
    else
        talk_quit(&p->talk);
}

static void on_done(void *user)
{
    struct probe *p = user;
    const struct client_outcome *o = client_outcomes(p->talk.client);
    enum failure f = advice_of_mailbox(p->refused_at, p->refusal, o);

    if (p->told && !f)
        probe_tell(p, "mail", PROBE_OK, NULL,
                   "it takes mail from <%.*s> for <%.*s>: %.*s",
                   SPAN_FMT(p->sender), SPAN_FMT(p->target.recipient),
                   SPAN_FMT(o->reply));
    else if (p->told)
        probe_fail(p, "mail", f, NULL,
                   "it takes no mail from <%.*s> for <%.*s>: %.*s",
                   SPAN_FMT(p->sender), SPAN_FMT(p->target.recipient),
                   SPAN_FMT(o->reply));
    client_next(p->talk.client, wall_ms());
}

static const char *const stage_names[] = {
    [STAGE_CONNECT] = "connect", [STAGE_GREETING] = "greeting",
    [STAGE_HELO] = "ehlo",       [STAGE_STARTTLS] = "tls",
    [STAGE_TLS] = "tls",         [STAGE_AUTH] = "login",
    [STAGE_MAIL] = "mail",       [STAGE_RCPT] = "mail",
    [STAGE_IDLE] = "greeting",
};

enum { STAGE_NAMES = sizeof(stage_names) / sizeof(stage_names[0]) };

static const char *name_of(enum client_stage stage)
{
    return (size_t)stage < STAGE_NAMES && stage_names[stage]
               ? stage_names[stage]
               : "mail";
}

/* It did not let us in: the same again on milder terms, or the next. */
static void tell_refusal(struct probe *p, enum failure f, const char *words,
                         bool again)
{
    const char *stage = name_of(p->ended_at);

    if (again)
        probe_tell(p, stage, PROBE_WARNING, NULL,
                   "%s: %s; it is met again without TLS", relay_of(p), words);
    else
        probe_fail(p, stage, f, NULL, "%s: %s", relay_of(p), words);
}

static void on_over(void *user)
{
    struct probe *p = user;
    const struct client_outcome *o = client_trouble(p->talk.client);
    bool was_greeted = client_is_greeted(p->talk.client), again;
    struct buffer words = { 0 };
    enum failure f;

    if (!p->told) {
        ASSERT(!talk_conclude(&p->talk, false)); /* nobody hears of it */
        return;
    }
    f = advice_of_session(p->ended_at, p->ended_code, o);
    buffer_put(&words, o->reply);
    again = talk_conclude(&p->talk, true);
    if (!was_greeted)
        tell_refusal(p, f, buffer_string(&words), again);
    buffer_fini(&words);
    if (was_greeted)
        probe_go_on(p);
    else if (again)
        itinerary_again(&p->itinerary);
    else
        itinerary_next(&p->itinerary);
}

static const struct talk_events talk_events = {
    .ready = on_ready,
    .done = on_done,
    .over = on_over,
    .linger_ms = LINGER_MS,
};

/* ------------------------------------------------------------------- the way ---- */

static void on_missed(void *user, const struct race_target *t, int rc)
{
    struct probe *p = user;
    bool is_socket = hop_of(p)->path.len > 0;
    json_t *detail = json_object();

    (void)t;
    probe_put(detail, "relay", probe_text(buffer_span(&p->itinerary.relay)));
    if (is_socket && rc != -ENOENT)
        rc = -EPERM;
    probe_fail(p, "connect", advice_of_connect(rc), detail, "%s",
               buffer_string(&p->itinerary.trouble) + sizeof "4.4.1");
}

static void on_connected(void *user, int fd)
{
    struct probe *p = user;
    json_t *detail = json_object();
    struct terms terms = {
        .delivery = p->delivery,
        .settings = p->settings,
        .tls = p->tls,
        .route = &p->leg,
        .certificate = (size_t)(p->target.route - p->settings->routes),
        .itinerary = &p->itinerary,
        .witness = &p->witness,
        .timeouts = &timeouts,
    };

    probe_put(detail, "relay", probe_text(buffer_span(&p->itinerary.relay)));
    probe_tell(p, "connect", PROBE_OK, detail, "connected to %s", relay_of(p));
    p->awaiting = hop_of(p)->kind == HOP_SMTPS ? STAGE_TLS : STAGE_GREETING;
    p->ended_at = STAGE_IDLE;
    p->has_asked = false;
    p->code = p->ended_code = 0;
    talk_open(&p->talk, &terms, &talk_events, p, fd);
}

static void on_judged(void *user, enum diagnosis d, struct status status,
                      const char *words)
{
    struct probe *p = user;

    (void)d;
    probe_fail(p, "mx", advice_of_name(status), NULL, "%.*s: %s",
               SPAN_FMT(p->target.domain), words);
    probe_go_on(p);
}

/* What was not told yet: no login, or nowhere to go. */
static void on_exhausted(void *user)
{
    struct probe *p = user;
    struct status status = { 0 };
    struct span words = buffer_span(&p->itinerary.trouble);
    bool is_login;

    words = span_trim(span_skip(words, status_parse(words, &status)));
    is_login = status.subject == 7;
    if (!p->has_failed)
        probe_fail(p, is_login ? "login" : "connect",
                   is_login ? FAILURE_SECRET : FAILURE_NO_HOST, NULL, "%.*s",
                   SPAN_FMT(words));
    probe_go_on(p);
}

static const struct itinerary_events itinerary_events = {
    .connected = on_connected,
    .judged = on_judged,
    .exhausted = on_exhausted,
    .looked_up = probe_lookup_tell,
    .missed = on_missed,
    .assured = probe_assurance_tell,
    .patience_ms = PATIENCE_MS,
};

void probe_session_begin(struct probe *p)
{
    p->witness = (struct witness){
        .user = p, .said = on_said, .heard = on_heard, .awaits = on_awaits
    };
    itinerary_init(&p->itinerary, p->delivery, &p->leg, p->target.domain,
                   &itinerary_events, p);
    p->has_itinerary = true;
    probe_start_clock(p);
    itinerary_begin(&p->itinerary);
}
