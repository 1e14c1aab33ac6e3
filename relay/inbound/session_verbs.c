/*
 * session_verbs - the verbs of SMTP, when they may be used, and who runs them.
 *
 * One table; the dispatcher holds a command against its row, so that the
 * functions behind it never ask again whether it is their turn. HELP's list
 * comes from the same rows. What EHLO offers is session_hello.c's. RFC 5321 4.1,
 * RFC 2920.
 */
#include "relay/inbound/session_private.h"

#include "policy/vocabulary/utf8.h"
#include "relay/inbound/command.h"

#define ANYTIME                                                                \
    (IN(GREETING) | IN(READY) | IN(MAIL) | IN(RCPT) | IN(CHUNKS))

enum verb_flags {
    JUNK = 1,           /* of no use but with a mail between */
    TAKES_ARGUMENT = 2, /* else an argument is 501 */
    HIDDEN = 4,         /* not in HELP */
    NEEDS_TLS = 8,      /* and a client certificate, and */
    NEEDS_LOGIN = 16,   /* a login: where the listener demands them */
    NEEDS = NEEDS_TLS | NEEDS_LOGIN,
    NEEDS_NAME = 32,    /* a login, whatever the listener demands */
};

static session_verb_fn rset, noop, vrfy, help, quit, not_built,
    wrong_protocol;

/* clang-format off */
static const struct verb {
    const char *name;
    session_verb_fn *run;
    unsigned in;                  /* states in which it may be used */
    unsigned flags;
    const char *otherwise;        /* what is said in the others, once greeted */
    bool (*is_built)(const struct session *s); /* NULL: always; else 502 where not */
} verbs[] = {
    { "MAIL",     session_mail_from,IN(READY), TAKES_ARGUMENT | NEEDS,
      "Error: nested MAIL command" },
    { "RCPT",     session_mail_to,IN(MAIL) | IN(RCPT), TAKES_ARGUMENT | NEEDS,
      "Error: need MAIL command" },
    { "DATA",     session_data_begin,IN(MAIL) | IN(RCPT), NEEDS,
      "Error: need RCPT command" },
    { "BDAT",     session_chunk_begin, ANYTIME, TAKES_ARGUMENT },
    { "EHLO",     session_ehlo,   ANYTIME, TAKES_ARGUMENT | JUNK },
    { "HELO",     session_helo_alone, ANYTIME, TAKES_ARGUMENT | JUNK },
    { "RSET",     rset,           ANYTIME, JUNK },
    { "NOOP",     noop,           ANYTIME, TAKES_ARGUMENT | JUNK },
    { "VRFY",     vrfy,           ANYTIME, TAKES_ARGUMENT | JUNK | NEEDS },
    { "HELP",     help,           ANYTIME, TAKES_ARGUMENT | JUNK },
    { "QUIT",     quit,           ANYTIME | IN(DENIED), 0 },
    { "STARTTLS", session_tls_begin,ANYTIME, HIDDEN },
    { "AUTH",     session_auth_begin,ANYTIME, TAKES_ARGUMENT | HIDDEN },

    { "EXPN",     not_built,      ANYTIME, TAKES_ARGUMENT | HIDDEN | NEEDS },
    { "TURN",     session_atrn,   IN(READY), HIDDEN | NEEDS | NEEDS_NAME,
      "Error: MAIL transaction in progress", session_atrn_is_offered },
    { "ETRN",     session_etrn,   IN(READY), TAKES_ARGUMENT | HIDDEN | NEEDS,
      "Error: MAIL transaction in progress", session_etrn_is_offered },
    { "ATRN",     session_atrn,   IN(READY),
      TAKES_ARGUMENT | HIDDEN | NEEDS | NEEDS_NAME,
      "Error: MAIL transaction in progress", session_atrn_is_offered },
    { "XCLIENT",  session_trust_xclient,IN(GREETING) | IN(READY),
      TAKES_ARGUMENT | HIDDEN, "Error: MAIL transaction in progress" },
    { "XFORWARD", session_trust_xforward,IN(GREETING) | IN(READY),
      TAKES_ARGUMENT | HIDDEN, "Error: MAIL transaction in progress" },

    { "GET",      wrong_protocol, ANYTIME, TAKES_ARGUMENT | HIDDEN },
    { "POST",     wrong_protocol, ANYTIME, TAKES_ARGUMENT | HIDDEN },
    { "HEAD",     wrong_protocol, ANYTIME, TAKES_ARGUMENT | HIDDEN },
    { "PUT",      wrong_protocol, ANYTIME, TAKES_ARGUMENT | HIDDEN },
    { "DELETE",   wrong_protocol, ANYTIME, TAKES_ARGUMENT | HIDDEN },
    { "OPTIONS",  wrong_protocol, ANYTIME, TAKES_ARGUMENT | HIDDEN },
    { "PROXY",    wrong_protocol, ANYTIME, TAKES_ARGUMENT | HIDDEN },
    { "CONNECT",  wrong_protocol, ANYTIME, TAKES_ARGUMENT | HIDDEN },
};
/* clang-format on */

static const struct verb unbuilt = {
    "UNBUILT", not_built, ANYTIME, TAKES_ARGUMENT | HIDDEN | NEEDS, NULL, NULL };

enum { VERBS = sizeof verbs / sizeof verbs[0] };

static const struct verb *find_verb(struct span name)
{
    for (size_t i = 0; i < VERBS; i++)
        if (span_is_nocase(name, span_of(verbs[i].name)))
            return &verbs[i];
    return NULL;
}

static void refuse(struct session *s, struct reply reply)
{
    session_refuse(s, SESSION_COMMAND_REFUSED, &reply);
}

/* A client that says much and sends nothing. */
static void count_junk(struct session *s)
{
    if (s->state != AT_CLOSING && ++s->junk > LIMIT_JUNK)
        session_count_error(s);
}

/* What the listener demands of its clients before this verb; code 0: no more. */
static struct reply what_is_missing(const struct session *s, unsigned flags)
{
    const struct listener_settings *l = s->listener;

    if (flags & NEEDS_TLS && l->tls == LISTENER_TLS_REQUIRED && !s->tls)
        return REPLY(530, 5, 7, 0, "Must issue a STARTTLS command first");
    if (flags & NEEDS_TLS && l->client_certificate == CERTIFICATE_REQUIRED &&
        !(s->tls && s->tls->fingerprint.len))
        return REPLY(530, 5, 7, 0, "Error: a client certificate is required");
    if (!s->login.len &&
        (flags & NEEDS_NAME ||
         (flags & NEEDS_LOGIN && l->auth == LISTENER_AUTH_REQUIRED)))
        return REPLY(530, 5, 7, 0, "Authentication required");
    return (struct reply){ 0 };
}

static struct span out_of_turn(const struct session *s, const struct verb *v)
{
    return s->state == AT_CHUNKS ? SPAN("Error: a BDAT transfer is under way")
                                 : span_of(v->otherwise);
}

static void run_verb(struct session *s, const struct command *c, bool behind,
                     int64_t now_ms)
{
    const struct verb *v = find_verb(c->verb);
    struct verb_call call = { c->argument, behind, now_ms };
    struct reply missing = { 0 };

    s->stage = v ? v->name : "UNKNOWN";
    if (v && v->is_built && !v->is_built(s))
        v = &unbuilt;
    if (v)
        missing = what_is_missing(s, v->flags);
    if (s->state == AT_DENIED && !(v && v->in & IN(DENIED)))
        session_denied(s);
    else if (!v)
        refuse(s, REPLY(500, 5, 5, 2, "Error: command not recognized"));
    else if (s->state == AT_GREETING && !(v->in & IN(GREETING)))
        refuse(s, REPLY(503, 5, 5, 1, "Error: send HELO/EHLO first"));
    else if (missing.code)
        refuse(s, missing);
    else if (!(v->in & (1u << s->state)))
        refuse(s, (struct reply){ 503, STATUS(5, 5, 1), out_of_turn(s, v) });
    else if (c->argument.len && !(v->flags & TAKES_ARGUMENT))
        refuse(s, REPLY(501, 5, 5, 4, "Error: no argument is taken"));
    else
        v->run(s, &call);
    if (v && v->flags & JUNK)
        count_junk(s);
}

static void drop_out_of_step(struct session *s)
{
    session_hang_up(
        s, &REPLY(554, 5, 5, 0, "Error: SMTP protocol synchronization"));
}

static bool is_data(const struct command *c)
{
    return span_is_nocase(c->verb, SPAN("DATA"));
}

void session_verbs_run(struct session *s, struct span line, bool behind,
                       int64_t now_ms)
{
    struct command c = { 0 };

    s->commands++;
    switch (command_split(line, &c)) {
    case COMMAND_VERB:
        run_verb(s, &c, behind, now_ms);
        /* What stands behind a DATA that was refused is content, sent by one
         * who did not wait: never to be taken for commands. */
        if (behind && is_data(&c) && s->state != AT_CONTENT &&
            s->state != AT_CLOSING)
            drop_out_of_step(s);
        break;
    case COMMAND_GARBAGE:
        s->stage = "UNKNOWN";
        refuse(s, REPLY(500, 5, 5, 2, "Error: bad syntax"));
        break;
    case COMMAND_CONTROL:
        s->stage = "UNKNOWN";
        /* A chunk may be on its way, and how long it is was not understood. */
        if (span_starts_nocase(line, SPAN("BDAT"))) {
            drop_out_of_step(s);
            break;
        }
        refuse(s, REPLY(501, 5, 5, 2, "Error: control character in command"));
        break;
    case COMMAND_HEADER:
        wrong_protocol(s, NULL);
        break;
    }
}

/* ------------------------------------------------- verbs without a mail ----
 */

static void wrong_protocol(struct session *s, const struct verb_call *call)
{
    (void)call;
    s->stage = "UNKNOWN";
    session_hang_up(s, &REPLY(221, 2, 7, 0,
                              "This is a mail server, and you are no mail "
                              "client. Goodbye."));
}

static void not_built(struct session *s, const struct verb_call *call)
{
    (void)call;
    refuse(s, REPLY(502, 5, 5, 1, "Error: command not implemented"));
}

static void rset(struct session *s, const struct verb_call *call)
{
    (void)call;
    session_reset(s);
    if (s->state != AT_GREETING)
        session_move(s, AT_READY);
    session_say(s, SPAN("250 2.0.0 Ok"));
}

static void noop(struct session *s, const struct verb_call *call)
{
    (void)call;
    session_say(s, SPAN("250 2.0.0 Ok"));
}

/* Never tells whether there is such a mailbox. */
static void vrfy(struct session *s, const struct verb_call *call)
{
    struct span asked = call->argument;
    size_t last_word = span_find_last(asked, ' ');

    if (last_word < asked.len &&
        span_is_nocase(span_skip(asked, last_word + 1), SPAN("SMTPUTF8")))
        asked = span_trim(span_first(asked, last_word)); /* RFC 6531 3.7.4.2 */
    else if (utf8_has_high(asked)) {
        refuse(s, REPLY(553, 5, 6, 7, "Error: SMTPUTF8 is needed for this"));
        return;
    }
    if (asked.len == 0) {
        refuse(s, REPLY(501, 5, 5, 4, "Syntax: VRFY address"));
        return;
    }
    buffer_put(&s->output, SPAN("252 2.0.0 "));
    buffer_put_escaped(&s->output, span_first(asked, SESSION_ECHO_MOST));
    session_say(s, SPAN(""));
}

static void help(struct session *s, const struct verb_call *call)
{
    (void)call;
    buffer_put(&s->output, SPAN("214 2.0.0 Commands:"));
    for (size_t i = 0; i < VERBS; i++) {
        if (verbs[i].flags & HIDDEN)
            continue;
        buffer_put_byte(&s->output, ' ');
        buffer_put_string(&s->output, verbs[i].name);
    }
    session_say(s, SPAN(""));
}

static void quit(struct session *s, const struct verb_call *call)
{
    (void)call;
    session_say(s, SPAN("221 2.0.0 Bye"));
    session_move(s, AT_CLOSING);
}
