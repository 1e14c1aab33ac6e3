/*
 * session_time - what comes to a session from without: its deadline, the relay's end, other
 * settings.
 *
 * A session at rest takes new settings at once, any other when its transaction is over. Who
 * waits for a commit is answered before it ends; elsewhere the client hears why, but where
 * words would break a handshake or be taken for a client's.
 */
#include "relay/inbound/session_private.h"

int64_t session_deadline_ms(const struct session *s)
{
    switch (session_wants(s)) {
    case SESSION_READS:
    case SESSION_STARTS_TLS:
    case SESSION_WAITS:
    case SESSION_TURNS:
    case SESSION_ASKS:
        return s->deadline_ms;
    case SESSION_AUTHENTICATES:
    case SESSION_STORES:
    case SESSION_CLOSES:
        break;
    }
    return INT64_MAX;
}

/* They would break the handshake, or be taken for a client's. */
static bool is_beyond_words(const struct session *s)
{
    return s->state == AT_SECURING || s->state == AT_TURNING;
}

void session_timeout(struct session *s, int64_t now_ms)
{
    if (now_ms < session_deadline_ms(s))
        return;
    if (s->state == AT_PAUSING)
        session_auth_paused(s, now_ms);
    else if (s->state == AT_CONSULTING)
        session_consult_timeout(s, now_ms);
    else if (s->state == AT_WAITING)
        session_waited(s, now_ms);
    else if (is_beyond_words(s))
        session_end_of_input(s, now_ms);
    else
        session_hang_up_as_host(s,
                                REPLY(421, 4, 4, 2, "Error: timeout exceeded"));
}

static struct reply farewell(enum session_end why)
{
    return why == SESSION_LOGIN_OVER
               ? REPLY(421, 4, 7, 0, "The login has changed: log in again")
               : REPLY(421, 4, 3, 2, "Service shutting down");
}

void session_shut_down(struct session *s, enum session_end why, int64_t now_ms)
{
    if (s->state == AT_STORING)
        s->end = why;
    else if (is_beyond_words(s))
        session_end_of_input(s, now_ms);
    else if (s->state != AT_CLOSING)
        session_hang_up_as_host(s, farewell(why));
}

void session_reload(struct session *s, struct settings *settings,
                    const struct listener_settings *listener)
{
    if (s->next_settings)
        settings_release(s->next_settings);
    s->next_settings = settings_hold(settings);
    s->next_listener = listener;
    if (s->state == AT_GREETING || s->state == AT_READY)
        session_reset(s);
}
