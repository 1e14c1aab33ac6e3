/*
 * session_auth - AUTH: the client says who it is.
 *
 *   READY --AUTH--> ASKING --challenge--> LOGIN --line--> ASKING ...
 *                     |  |                  +--"*", nonsense--> READY
 *                     |  +--yes, cannot tell--> READY
 *                     +--no--> PAUSING --time--> READY
 *
 * Here are the grammar and the order of things; whether a password is right is
 * asked of the caller (ASKING: session_login has the step). Lines have a limit
 * of their own, base64 is taken only in its one proper form, and every copy of
 * a response is wiped. A wrong answer has to wait, longer each time, and the
 * last wrong one ends the session. RFC 4954.
 */
#include "relay/inbound/session_private.h"

#include "policy/vocabulary/memory.h"

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <stdlib.h>

enum {
    PAUSE_STEP_MS = 1000, /* times the wrong logins so far ... */
    PAUSE_STEPS = 5,      /* ... up to so many */
};

/* One exchange. */
struct session_auth {
    struct session_login login; /* the step at hand */
    struct span known_as; /* logged in, but the last words of the mechanism
                                   are still to be acknowledged; own copy */
};

/* ------------------------------------------------------------ offering ---- */

/* Something to log in with, and no reason to fear for it on the way. */
static bool is_safe(const struct session *s)
{
    return s->tls || (s->listener->auth_without_tls &&
                      s->listener->tls != LISTENER_TLS_REQUIRED);
}

/* What could be offered if it were safe. */
static unsigned known_mechanisms(const struct session *s)
{
    unsigned set = s->listener->mechanisms & s->mechanisms;

    if (s->listener->auth == LISTENER_AUTH_NONE)
        return 0;
    if (!s->tls || !s->tls->exporter.len)
        set &= ~(unsigned)MECHANISMS_BOUND;
    if (!session_certificate(s).len)
        set &= ~(unsigned)MECHANISM_EXTERNAL;
    return set;
}

static unsigned offered(const struct session *s)
{
    return is_safe(s) ? known_mechanisms(s) : 0;
}

bool session_auth_is_offered(const struct session *s)
{
    return offered(s) != 0;
}

void session_auth_put_mechanisms(const struct session *s, struct buffer *b)
{
    mechanisms_print(b, offered(s));
}

/* -------------------------------------------------------------- base64 ---- */

static int sextet(char c)
{
    if (c >= 'A' && c <= 'Z')
        return c - 'A';
    if (c >= 'a' && c <= 'z')
        return c - 'a' + 26;
    if (c >= '0' && c <= '9')
        return c - '0' + 52;
    return c == '+' ? 62 : c == '/' ? 63 : -1;
}

/* How many = there are at the end, when all of it is as RFC 4648 section 4 has
 * it, without bits that mean nothing (3.5); else -1. */
static int base64_padding(struct span in)
{
    int padding = 0;

    if (in.len % 4)
        return -1;
    while (padding < 2 && in.len > (size_t)padding &&
           in.at[in.len - 1 - (size_t)padding] == '=')
        padding++;
    for (size_t i = 0; i + (size_t)padding < in.len; i++)
        if (sextet(in.at[i]) < 0)
            return -1;
    if (padding && sextet(in.at[in.len - 1 - (size_t)padding]) &
                       (padding == 1 ? 0x03 : 0x0f))
        return -1;
    return padding;
}

/* Into new memory, which the caller wipes and frees. */
static bool decode(struct span in, struct span *out_bytes)
{
    int padding = base64_padding(in);
    unsigned char *bytes;
    int n;

    if (padding < 0)
        return false;
    bytes = memory_take(in.len / 4 * 3 + 1);
    n = EVP_DecodeBlock(bytes, (const unsigned char *)in.at, (int)in.len);
    ASSERT(n >= padding);
    *out_bytes = span_make((char *)bytes, (size_t)(n - padding));
    return true;
}

static void say_challenge(struct session *s, struct span text)
{
    buffer_put(&s->output, SPAN("334 "));
    if (text.len) {
        size_t size = (text.len + 2) / 3 * 4;
        char *room = buffer_room(&s->output, size + 1);

        (void)EVP_EncodeBlock((unsigned char *)room,
                              (const unsigned char *)text.at, (int)text.len);
        buffer_grew(&s->output, size);
    }
    session_say(s, SPAN(""));
}

/* ----------------------------------------------------------- the exchange ---
 */

static void wipe_response(struct session_auth *a)
{
    char *at = (char *)a->login.response.at;

    if (at)
        OPENSSL_cleanse(at, a->login.response.len);
    free(at);
    a->login.response = span_make(NULL, 0);
}

void session_auth_drop(struct session *s)
{
    if (!s->auth)
        return;
    wipe_response(s->auth);
    free((char *)s->auth->known_as.at);
    free(s->auth);
    s->auth = NULL;
}

static void tell(struct session *s, enum session_event_kind kind,
                 struct reply reply, struct span login, struct span why)
{
    struct session_event e = {
        .kind = kind,
        .stage = s->stage,
        .reply = reply,
        .mechanism = mechanism_name(s->auth->login.mechanism),
        .login = login,
        .why = why,
    };

    s->world->tell(s->world->user, &e);
}

/* The client broke off, or its grammar did. */
static void break_off(struct session *s, struct reply reply)
{
    session_auth_drop(s);
    session_move(s, AT_READY);
    session_refuse(s, SESSION_COMMAND_REFUSED, &reply);
}

static void refuse(struct session *s, struct reply reply)
{
    session_refuse(s, SESSION_COMMAND_REFUSED, &reply);
}

static void welcome(struct session *s, struct span take_login)
{
    static const struct reply done =
        REPLY(235, 2, 7, 0, "Authentication successful");

    free((char *)s->login.at);
    s->login = take_login;
    s->is_login_told = false;
    s->mechanism = mechanism_name(s->auth->login.mechanism);
    reply_write(&s->output, &done);
    tell(s, SESSION_LOGIN, done, s->login, SPAN(""));
    session_auth_drop(s);
    session_move(s, AT_READY);
}

/* Why the verb may not be used here and now; code 0: it may. */
static struct reply why_not(const struct session *s)
{
    if (known_mechanisms(s) == 0)
        return REPLY(502, 5, 5, 1, "Error: authentication not enabled");
    if (!s->extended)
        return REPLY(503, 5, 5, 1, "Error: send EHLO first");
    if (s->state != AT_READY)
        return REPLY(503, 5, 5, 1, "Error: MAIL transaction in progress");
    if (s->login.len)
        return REPLY(503, 5, 5, 1, "Error: already authenticated");
    if (!is_safe(s))
        return REPLY(538, 5, 7, 11,
                     "Encryption required for requested authentication "
                     "mechanism");
    return (struct reply){ 0 };
}

/* "=" is a response that is there and empty; none at all is another thing. */
static bool take_initial(struct session_login *l, struct span text)
{
    l->has_response = text.len > 0;
    if (!l->has_response || span_is(text, SPAN("=")))
        return true;
    return decode(text, &l->response);
}

static void begin(struct session *s, unsigned mechanism, struct span initial)
{
    s->auth = NEW(struct session_auth);
    s->auth->login = (struct session_login){
        .begins = true,
        .mechanism = mechanism,
        .offered = offered(s),
    };
    session_move(s, AT_ASKING);
    if (span_is(initial, SPAN("*")))
        break_off(s, REPLY(501, 5, 7, 0, "Authentication cancelled"));
    else if (initial.len && mechanism == MECHANISM_CRAM_MD5) /* RFC 4954 4 */
        break_off(s, REPLY(501, 5, 7, 0, "Error: the server speaks first"));
    else if (!take_initial(&s->auth->login, initial))
        break_off(s, REPLY(501, 5, 5, 2, "Error: bad base64"));
}

void session_auth_begin(struct session *s, const struct verb_call *call)
{
    struct span initial, name = span_split(call->argument, ' ', &initial);
    unsigned mechanism = mechanism_find(name);
    struct reply no = why_not(s);

    initial = span_trim(initial);
    if (name.len == 0 || span_find(initial, ' ') < initial.len)
        refuse(s, REPLY(501, 5, 5, 4, "Syntax: AUTH mechanism"));
    else if (no.code)
        refuse(s, no);
    else if (initial.len > LIMIT_AUTH_LINE)
        session_auth_too_long(s);
    else if (!(mechanism & offered(s)))
        refuse(s, REPLY(504, 5, 5, 4,
                        "Error: authentication mechanism not supported"));
    else
        begin(s, mechanism, initial);
}

void session_auth_too_long(struct session *s)
{
    static const struct reply reply =
        REPLY(500, 5, 5, 6, "Error: authentication exchange line is too long");

    if (s->state == AT_LOGIN)
        break_off(s, reply);
    else
        refuse(s, reply);
}

void session_auth_line(struct session *s, struct span line)
{
    struct session_auth *a = s->auth;

    if (span_is(line, SPAN("*"))) {
        break_off(s, REPLY(501, 5, 7, 0, "Authentication cancelled"));
    } else if (!decode(line, &a->login.response)) {
        break_off(s, REPLY(501, 5, 5, 2, "Error: bad base64"));
    } else if (!a->known_as.len) {
        a->login.begins = false;
        a->login.has_response = true;
        session_move(s, AT_ASKING);
    } else if (a->login.response.len) {
        break_off(s, REPLY(501, 5, 5, 2, "Error: an empty line is due"));
    } else {
        struct span login = a->known_as;

        a->known_as = span_make(NULL, 0);
        welcome(s, login);
    }
}

const struct session_login *session_login(const struct session *s)
{
    return s->state == AT_ASKING ? &s->auth->login : NULL;
}

/* ------------------------------------------------------------- answers ---- */

static const struct reply wrong =
    REPLY(535, 5, 7, 8, "Error: authentication failed");

static void pause_client(struct session *s, int64_t now_ms)
{
    unsigned steps = ++s->login_failures;

    tell(s, SESSION_LOGIN_FAILED, wrong, SPAN(""), SPAN(""));
    session_auth_drop(s);
    session_move(s, AT_PAUSING);
    steps = steps < PAUSE_STEPS ? steps : PAUSE_STEPS;
    s->deadline_ms = now_ms + (int64_t)steps * PAUSE_STEP_MS;
}

void session_auth_paused(struct session *s, int64_t now_ms)
{
    uint32_t most = s->settings->limits.login_failures;

    session_move(s, AT_READY);
    s->deadline_ms = now_ms + s->settings->limits.silence_ms;
    reply_write(&s->output, &wrong);
    session_count_error(s);
    if (s->state != AT_CLOSING && most && s->login_failures >= most)
        session_hang_up_as_host(
            s, REPLY(421, 4, 7, 0, "Error: too many failed logins"));
}

static void cannot_tell(struct session *s, struct span why)
{
    static const struct reply later =
        REPLY(454, 4, 7, 0, "Temporary authentication failure");

    tell(s, SESSION_LOGIN_FAILED, later, SPAN(""), why);
    session_auth_drop(s);
    session_move(s, AT_READY);
    reply_write(&s->output, &later);
    session_count_error(s);
}

static void ask_on(struct session *s, struct span challenge)
{
    say_challenge(s, challenge);
    session_move(s, AT_LOGIN);
}

/* The last words of a mechanism travel as one more challenge (RFC 4954 4). */
static void let_in(struct session *s, const struct sasl_result *r)
{
    struct span login = span_make(span_dup(r->login), r->login.len);

    ASSERT(login.len);
    if (!r->text.len) {
        welcome(s, login);
        return;
    }
    s->auth->known_as = login;
    ask_on(s, r->text);
}

void session_authenticated(struct session *s, const struct sasl_result *r,
                           int64_t now_ms)
{
    ASSERT(s->state == AT_ASKING);
    wipe_response(s->auth);
    s->deadline_ms = now_ms + s->settings->limits.silence_ms;
    switch (r->said) {
    case SASL_MORE:
        ask_on(s, r->text);
        break;
    case SASL_OK:
        let_in(s, r);
        break;
    case SASL_WRONG:
        pause_client(s, now_ms);
        break;
    case SASL_UNAVAILABLE:
        cannot_tell(s, r->text);
        break;
    case SASL_BAD:
        break_off(s, REPLY(501, 5, 5, 2, "Error: bad authentication data"));
        break;
    }
}
