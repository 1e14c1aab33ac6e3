/*
 * session_hello - HELO and EHLO: the client has a name, and learns what we can.
 *
 * One row for each extension: whether it is offered to this client now, and
 * what stands behind its keyword. RFC 5321 4.1.1.1, RFC 3848.
 */
#include "relay/inbound/session_private.h"

#include "relay/inbound/command.h"
#include "relay/inbound/moment.h"

#include <stdlib.h>

/* ---------------------------------------------------------- extensions ---- */

static void put_size(const struct session *s, struct buffer *b)
{
    buffer_printf(b, "%llu",
                  (unsigned long long)s->settings->limits.message_bytes);
}

static void put_least_time(const struct session *s, struct buffer *b)
{
    (void)s;
    buffer_printf(b, "%d", LIMIT_DELIVER_BY_MIN_S);
}

/* RFC 4865 4: the longest span, and the latest moment. */
static void put_release(const struct session *s, struct buffer *b)
{
    int64_t most_ms = s->settings->limits.future_release_ms;

    buffer_printf(b, "%lld ", (long long)(most_ms / 1000));
    moment_print(b, s->hello_ms + most_ms);
}

static void put_limits(const struct session *s, struct buffer *b)
{
    buffer_printf(b, "RCPTMAX=%u", (unsigned)s->settings->limits.recipients);
}

/* clang-format off */
static const struct extension {
    const char *keyword;
    bool (*is_offered)(const struct session *s); /* NULL: to everybody */
    void (*put_arguments)(const struct session *s, struct buffer *b);
} extensions[] = {
    { "PIPELINING",          NULL, NULL },
    { "SIZE",                NULL, put_size },
    { "VRFY",                NULL, NULL },
    { "ETRN",                session_etrn_is_offered, NULL },
    { "ATRN",                session_atrn_is_offered, NULL },
    { "STARTTLS",            session_tls_is_offered, NULL },
    { "AUTH",                session_auth_is_offered,
                             session_auth_put_mechanisms },
    { "ENHANCEDSTATUSCODES", NULL, NULL },
    { "8BITMIME",            NULL, NULL },
    { "SMTPUTF8",            NULL, NULL },
    { "DSN",                 NULL, NULL },
    { "CHUNKING",            NULL, NULL },
    { "BINARYMIME",          NULL, NULL },
    { "DELIVERBY",           NULL, put_least_time },
    { "FUTURERELEASE",       session_offers_release, put_release },
    { "MT-PRIORITY",         NULL, NULL },
    { "LIMITS",              NULL, put_limits },
    { "XVERP",               session_offers_verp, NULL },
    { "XCLIENT",             session_trust_has_xclient,
                             session_trust_put_xclient },
    { "XFORWARD",            session_trust_has_xforward,
                             session_trust_put_xforward },
    { "HELP",                NULL, NULL },
};
/* clang-format on */

enum { EXTENSIONS = sizeof extensions / sizeof extensions[0] };

static bool is_offered(const struct session *s, const struct extension *e)
{
    return !e->is_offered || e->is_offered(s);
}

static void put_extension(struct session *s, const struct extension *e,
                          bool is_last)
{
    buffer_put_string(&s->output, is_last ? "250 " : "250-");
    buffer_put_string(&s->output, e->keyword);
    if (e->put_arguments) {
        buffer_put_byte(&s->output, ' ');
        e->put_arguments(s, &s->output);
    }
    session_say(s, SPAN(""));
}

/* ---------------------------------------------------------- HELO, EHLO ---- */

static void say_hello(struct session *s)
{
    size_t last = s->extended ? EXTENSIONS : 0;

    while (last > 0 && !is_offered(s, &extensions[last - 1]))
        last--;
    buffer_put_string(&s->output, last ? "250-" : "250 ");
    session_say(s, s->settings->hostname);
    for (size_t i = 0; i < last; i++)
        if (is_offered(s, &extensions[i]))
            put_extension(s, &extensions[i], i + 1 == last);
}

/* One that was refused may try again as somebody else. */
static void judge_hello(struct session *s, void *what, int64_t now_ms)
{
    struct verdict v = session_judge(s, STAGE_HELLO, now_ms);

    if (v.kind == VERDICT_ASKS) {
        session_consult(s, v.questions, v.question_count, judge_hello, what,
                        now_ms);
        return;
    }
    if (v.kind == VERDICT_REJECT || v.kind == VERDICT_DEFER) {
        if (s->state == AT_READY)
            session_move(s, AT_GREETING);
        session_refuse_for(s, SESSION_COMMAND_REFUSED, &v.reply, SPAN(""),
                           SPAN(""), v.rule);
    } else {
        session_move(s, AT_READY);
        say_hello(s);
    }
    arena_reset(&s->arena);
}

/* HELO and EHLO alike: the client has a name, and nothing is under way. */
static void hello(struct session *s, const struct verb_call *call,
                  bool extended)
{
    if (!command_is_client_name(call->argument)) {
        session_refuse(s, SESSION_COMMAND_REFUSED,
                       &REPLY(501, 5, 5, 4, "Syntax: EHLO or HELO hostname"));
        return;
    }
    session_reset(s);
    if (!s->is_helo_told) {
        free((char *)s->helo.at);
        s->helo = span_first(call->argument, SESSION_HELO_KEPT);
        s->helo.at = span_dup(s->helo);
    }
    s->extended = extended;
    s->hello_ms = call->now_ms;
    if (s->state != AT_GREETING)
        session_move(s, AT_READY);
    judge_hello(s, NULL, call->now_ms);
}

void session_helo_alone(struct session *s, const struct verb_call *call)
{
    hello(s, call, false);
}

void session_ehlo(struct session *s, const struct verb_call *call)
{
    hello(s, call, true);
}

struct span session_said_protocol(const struct session *s)
{
    return session_protocol(s, s->draft.envelope.smtputf8);
}

/* RFC 3848 and RFC 6531 4.3: S under TLS, A when logged in. */
struct span session_protocol(const struct session *s, bool smtputf8)
{
    static const char *const names[2][4] = {
        { "ESMTP", "ESMTPA", "ESMTPS", "ESMTPSA" },
        { "UTF8SMTP", "UTF8SMTPA", "UTF8SMTPS", "UTF8SMTPSA" },
    };

    if (!s->extended)
        return SPAN("SMTP");
    return span_of(names[smtputf8][(s->tls ? 2 : 0) + (s->login.len && !s->listener->is_local ? 1 : 0)]);
}
