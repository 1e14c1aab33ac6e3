/*
 * session_tls - STARTTLS, and what a handshake leaves of a session: nothing.
 *
 * Happy path: 220, SECURING, the caller shakes hands, session_secured. What was
 * read behind the command before its 220 was sent came in clear, perhaps from
 * somebody in between: such a session ends. RFC 3207 4.2.
 *
 * A failed handshake is the caller's to tell; the session hears only that its
 * input has ended, or that time is up.
 *
 * Some clients do not ask whether it is offered: STARTTLS is taken before any greeting
 * too, as nothing is lost by it, but not in a session that began with HELO.
 */
#include "relay/inbound/session_private.h"

static void refuse(struct session *s, struct reply reply)
{
    session_refuse(s, SESSION_COMMAND_REFUSED, &reply);
}

bool session_tls_is_offered(const struct session *s)
{
    return s->has_tls && !s->tls &&
           (s->listener->tls == LISTENER_TLS_OPTIONAL ||
            s->listener->tls == LISTENER_TLS_REQUIRED);
}

struct span session_certificate(const struct session *s)
{
    return s->tls && !s->is_on_behalf ? s->tls->fingerprint
                                      : span_make(NULL, 0);
}

void session_tls_wait(struct session *s, int64_t now_ms)
{
    session_move(s, AT_SECURING);
    s->deadline_ms = now_ms + s->settings->limits.handshake_ms;
}

void session_tls_begin(struct session *s, const struct verb_call *call)
{
    if (s->tls) {
        refuse(s, REPLY(503, 5, 5, 1, "Error: TLS already active"));
    } else if (s->listener->tls == LISTENER_TLS_NONE) {
        refuse(s, REPLY(502, 5, 5, 1, "Error: command not implemented"));
    } else if (s->state == AT_CHUNKS) {
        refuse(s, REPLY(503, 5, 5, 1, "Error: a BDAT transfer is under way"));
    } else if (s->state != AT_GREETING && !s->extended) {
        refuse(s, REPLY(503, 5, 5, 1, "Error: send EHLO first"));
    } else if (!s->has_tls) {
        refuse(s, REPLY(454, 4, 7, 0,
                        "Error: TLS not available due to local problem"));
    } else if (call->behind) {
        session_hang_up(
            s, &REPLY(554, 5, 5, 0, "Error: SMTP protocol synchronization"));
    } else {
        session_say(s, SPAN("220 2.0.0 Ready to start TLS"));
        session_tls_wait(s, call->now_ms);
    }
}

void session_secured(struct session *s, const struct tls_facts *facts,
                     int64_t now_ms)
{
    /* Only where TLS comes first was there no command before it. */
    bool is_implicit = s->commands == 0;

    ASSERT(s->state == AT_SECURING);
    session_reset(s);
    session_forget_client(s);
    s->tls = facts;
    s->is_on_behalf = false;
    s->deadline_ms = now_ms + s->settings->limits.silence_ms;
    session_move(s, AT_GREETING);
    if (is_implicit)
        session_begin(s, now_ms);
}
