/*
 * session_line - command lines out of a stream of bytes.
 *
 * A line that lies whole in the input is not copied. One that is over the limit
 * is answered once, at its end, and until then thrown away as it comes; one
 * that does not end at all, or whose first byte begins a TLS handshake, ends
 * the session. A bare LF ends a command only where the listener normalizes;
 * elsewhere who sends it may not agree with us on where lines end, and goes.
 * Lines of a login may be longer, and what was kept of any line is wiped.
 */
#include "relay/inbound/session_private.h"

#include <openssl/crypto.h>

enum {
    TLS_HANDSHAKE = 0x16,
    AUTH_WORDS = 64, /* for "AUTH MECHANISM " and the line end */
};

void session_line_done(struct session *s)
{
    if (s->line.at)
        OPENSSL_cleanse(s->line.at, s->line.len);
    buffer_fini(&s->line);
}

static void flooded(struct session *s)
{
    session_hang_up(s, s->skips_login
                           ? &REPLY(500, 5, 5, 6, "Error: line too long")
                           : &REPLY(500, 5, 5, 2, "Error: line too long"));
}

/* Does the line begin so, of which this part is the latest? */
static bool begins_with(const struct session *s, struct span part,
                        struct span word)
{
    if (s->line.len + part.len < word.len)
        return false;
    for (size_t i = 0; i < word.len; i++) {
        char c = i < s->line.len ? s->line.at[i] : part.at[i - s->line.len];

        if (ascii_lower(c) != word.at[i])
            return false;
    }
    return true;
}

/* A response of a login, or an AUTH that may have one in it? */
static bool is_login(const struct session *s, struct span part)
{
    return s->state == AT_LOGIN || (s->listener->auth != LISTENER_AUTH_NONE &&
                                    begins_with(s, part, SPAN("auth ")));
}

/* A chunk may be on its way, and how long it is will not be known: none of it
 * may be taken for commands. */
static bool ends_session(struct session *s, struct span part)
{
    if (s->skipped || s->state == AT_LOGIN ||
        !begins_with(s, part, SPAN("bdat")))
        return false;
    session_hang_up(s, &REPLY(500, 5, 5, 2, "Error: line too long"));
    return true;
}

/* The longest line, its end included, that this may be the beginning of. */
static size_t line_most(const struct session *s, bool is_for_login)
{
    if (s->state == AT_LOGIN)
        return LIMIT_AUTH_LINE + 2;
    return is_for_login ? LIMIT_AUTH_LINE + AUTH_WORDS
                        : s->settings->limits.command_line;
}

/* What of a line has come without its end. */
static void keep(struct session *s, struct span part)
{
    bool is_for_login = !s->skipped && is_login(s, part);
    size_t most = line_most(s, is_for_login);

    s->heard_login |= is_for_login || s->skips_login;
    if (s->skipped) {
        s->skipped += part.len;
    } else if (s->line.len + part.len >= most) {
        if (ends_session(s, part))
            return;
        s->skipped = s->line.len + part.len;
        s->skips_login = is_for_login;
        session_line_done(s);
    } else {
        if (is_for_login) /* room for all: growing would leave copies behind */
            (void)buffer_room(&s->line, most - s->line.len);
        buffer_put(&s->line, part);
    }
    if (s->skipped > SESSION_LINE_FLOOD)
        flooded(s);
}

static bool ends_in_crlf(const struct session *s, struct span last)
{
    if (last.len > 1)
        return last.at[last.len - 2] == '\r';
    /* While skipping the byte before is gone: let it pass. */
    return s->skipped || (s->line.len && s->line.at[s->line.len - 1] == '\r');
}

/* The line is complete: all of it in *out_line, without its end. */
static bool complete(struct session *s, struct span last, bool is_crlf,
                     struct span *out_line)
{
    bool is_for_login = s->skipped ? s->skips_login : is_login(s, last);
    size_t len = s->skipped + s->line.len + last.len;

    s->heard_login |= is_for_login;
    if (!is_crlf && !s->listener->normalize) {
        session_hang_up(s, &REPLY(500, 5, 5, 2, "Error: bare <LF> received"));
        return false;
    }
    if (s->skipped || len > line_most(s, is_for_login)) {
        if (ends_session(s, last))
            return false;
        s->skipped = 0;
        s->skips_login = false;
        session_line_done(s);
        if (is_for_login) {
            session_auth_too_long(s);
            return false;
        }
        session_refuse(s, SESSION_COMMAND_REFUSED,
                       &REPLY(500, 5, 5, 2, "Error: line too long"));
        return false;
    }
    if (s->line.len) {
        buffer_put(&s->line, last);
        last = buffer_span(&s->line);
    }
    *out_line = span_first(last, last.len - (is_crlf ? 2 : 1));
    return true;
}

size_t session_line_take(struct session *s, struct span in, int64_t now_ms,
                         struct span *out_line, bool *out_has)
{
    size_t n = span_find(in, '\n');
    struct span last;

    if (!s->skipped && !s->line.len && !s->tls && in.at[0] == TLS_HANDSHAKE) {
        session_hang_up(
            s, &REPLY(500, 5, 5, 2, "Error: this port speaks SMTP, not TLS"));
        return in.len;
    }
    if (n == in.len) {
        keep(s, in);
        return in.len;
    }
    /* Only whole commands buy more time; drops of bytes do not. */
    s->deadline_ms = now_ms + s->settings->limits.silence_ms;
    last = span_first(in, n + 1);
    *out_has = complete(s, last, ends_in_crlf(s, last), out_line);
    return n + 1;
}
