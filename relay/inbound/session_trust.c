/*
 * session_trust - XCLIENT and XFORWARD: what a trusted relay says of its client.
 *
 *   command   = ( "XCLIENT" / "XFORWARD" ) 1*( SP name "=" value )
 *   value     = xtext (RFC 3461 4) / "[UNAVAILABLE]" / "[TEMPUNAVAIL]"
 *
 * XCLIENT makes the session that of another client: everything is as after the
 * greeting, and rules see the client that was named; the connection's TLS stays,
 * but a certificate that was shown before is the relay's own. XFORWARD only says who is
 * to stand in the log and the queue for the next transaction. Both go by the
 * address that the connection came from, whatever XCLIENT said meanwhile, so
 * that a long list may come in several commands.
 */
#include "relay/inbound/session_private.h"

#include "policy/vocabulary/memory.h"

#include <stdlib.h>

enum attribute {
    NAME,
    ADDR,
    PORT,
    PROTO,
    HELO,
    LOGIN,
    DESTADDR,
    DESTPORT,
    IDENT,
    SOURCE,
    ATTRIBUTES
};

#define HAS(attribute) (1u << (attribute))

enum {
    OF_XCLIENT = HAS(NAME) | HAS(ADDR) | HAS(PORT) | HAS(PROTO) | HAS(HELO) |
                 HAS(LOGIN) | HAS(DESTADDR) | HAS(DESTPORT),
    OF_XFORWARD = HAS(NAME) | HAS(ADDR) | HAS(PORT) | HAS(PROTO) | HAS(HELO) |
                  HAS(IDENT) | HAS(SOURCE),
    VALUE_MOST = 255,
};

/* What was said; values are the arena's, empty: not available. */
struct session_forward {
    struct arena arena;
    unsigned has;
    struct span values[ATTRIBUTES];
};

/* -------------------------------------------------------------- values ---- */

static bool is_port(struct span v)
{
    uint64_t n;

    return span_number(v, &n) && n <= UINT16_MAX;
}

static bool read_address(struct span v, struct host_address *out)
{
    if (span_starts_nocase(v, SPAN("IPv6:")))
        v = span_skip(v, 5);
    return host_address_parse(v, out);
}

static bool is_address(struct span v)
{
    struct host_address a;

    return read_address(v, &a);
}

static bool is_host_name(struct span v)
{
    for (size_t i = 0; i < v.len; i++) {
        char c = ascii_lower(v.at[i]);

        if (!((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' ||
              c == '.' || c == '_'))
            return false;
    }
    return true;
}

static bool is_protocol(struct span v)
{
    return span_is_nocase(v, SPAN("SMTP")) || span_is_nocase(v, SPAN("ESMTP"));
}

static bool is_source(struct span v)
{
    return span_is_nocase(v, SPAN("LOCAL")) ||
           span_is_nocase(v, SPAN("REMOTE"));
}

static bool is_text(struct span v)
{
    for (size_t i = 0; i < v.len; i++)
        if ((unsigned char)v.at[i] < 32 || v.at[i] == 127)
            return false;
    return true;
}

/* clang-format off */
static const struct {
    const char *name;
    bool (*is_value)(struct span v);
} attributes[ATTRIBUTES] = {
    [NAME]     = { "NAME",     is_host_name },
    [ADDR]     = { "ADDR",     is_address },
    [PORT]     = { "PORT",     is_port },
    [PROTO]    = { "PROTO",    is_protocol },
    [HELO]     = { "HELO",     is_text },
    [LOGIN]    = { "LOGIN",    is_text },
    [DESTADDR] = { "DESTADDR", is_address },
    [DESTPORT] = { "DESTPORT", is_port },
    [IDENT]    = { "IDENT",    is_text },
    [SOURCE]   = { "SOURCE",   is_source },
};
/* clang-format on */

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

static bool decode_xtext(struct span in, struct buffer *out)
{
    while (in.len) {
        char c = in.at[0];
        size_t n = 1;

        if (c < 33 || c > 126 || c == '=')
            return false;
        if (c == '+') {
            int high = in.len > 2 ? hex_digit(in.at[1]) : -1;
            int low = in.len > 2 ? hex_digit(in.at[2]) : -1;

            if (high < 0 || low < 0)
                return false;
            c = (char)(high * 16 + low);
            n = 3;
        }
        buffer_put_byte(out, c);
        in = span_skip(in, n);
    }
    return out->len > 0 && !out->overflow;
}

/* ------------------------------------------------------------- reading ---- */

static enum attribute find_attribute(struct span name, unsigned allowed)
{
    unsigned a = 0;

    while (a < ATTRIBUTES &&
           !(allowed & HAS(a) &&
             span_is_nocase(name, span_of(attributes[a].name))))
        a++;
    return (enum attribute)a;
}

static bool read_attribute(struct session_forward *f, struct span word,
                           unsigned allowed)
{
    struct buffer value = { .cap = VALUE_MOST };
    struct span text, name = span_split(word, '=', &text);
    enum attribute a = find_attribute(name, allowed);
    bool is_there = !span_is(text, SPAN("[UNAVAILABLE]")) &&
                    !span_is(text, SPAN("[TEMPUNAVAIL]"));
    bool ok = a != ATTRIBUTES;

    if (ok && is_there)
        ok = decode_xtext(text, &value) &&
             attributes[a].is_value(buffer_span(&value));
    if (ok) {
        f->values[a] = arena_copy(&f->arena, buffer_span(&value));
        f->has |= HAS(a);
    }
    buffer_fini(&value);
    return ok;
}

static bool read_all(struct session_forward *f, struct span rest,
                     unsigned allowed)
{
    if (rest.len == 0)
        return false;
    while (rest.len) {
        struct span word = span_split(rest, ' ', &rest);

        if (word.len && !read_attribute(f, word, allowed))
            return false;
    }
    return true;
}

static void forward_free(struct session_forward *f)
{
    if (f)
        arena_reset(&f->arena);
    free(f);
}

static void refuse(struct session *s, struct reply reply)
{
    session_refuse(s, SESSION_COMMAND_REFUSED, &reply);
}

static void put_names(struct buffer *b, unsigned set)
{
    const char *between = "";

    for (unsigned a = 0; a < ATTRIBUTES; a++) {
        if (!(set & HAS(a)))
            continue;
        buffer_printf(b, "%s%s", between, attributes[a].name);
        between = " ";
    }
}

/* ------------------------------------------------------------- XCLIENT ---- */

bool session_trust_has_xclient(const struct session *s)
{
    return networks_have(&s->listener->xclient, &s->peer);
}

void session_trust_put_xclient(const struct session *s, struct buffer *b)
{
    (void)s;
    put_names(b, OF_XCLIENT);
}

static void replace(struct span *old, struct span text)
{
    free((char *)old->at);
    *old = text.len ? span_make(span_dup(text), text.len) : span_make(NULL, 0);
}

static struct span or_unknown(struct span text)
{
    return text.len ? text : SPAN("unknown");
}

static void change_address(struct session *s, const struct session_forward *f)
{
    struct buffer text = { 0 };

    /* No address: no network has it. */
    if (!read_address(f->values[ADDR], &s->client))
        s->client = (struct host_address){ { 0 } };
    else
        host_address_print(&text, &s->client);
    replace(&s->client_text, or_unknown(buffer_span(&text)));
    buffer_fini(&text);
}

static uint16_t port_of(struct span v)
{
    uint64_t n;

    return span_number(v, &n) ? (uint16_t)n : 0;
}

/* The connection is another, of which no more is known than what is told. */
static void change_ends(struct session *s, const struct session_forward *f)
{
    if (f->has & (HAS(ADDR) | HAS(PORT)))
        s->ends.client_port = port_of(f->values[PORT]);
    if (f->has & HAS(DESTADDR) &&
        !read_address(f->values[DESTADDR], &s->ends.server))
        s->ends.server = (struct host_address){ { 0 } };
    if (f->has & HAS(DESTPORT))
        s->ends.server_port = port_of(f->values[DESTPORT]);
}

static void become(struct session *s, const struct session_forward *f)
{
    session_ends(s);
    change_ends(s, f);
    if (f->has & HAS(ADDR))
        change_address(s, f);
    if (f->has & (HAS(NAME) | HAS(ADDR))) /* an old name is another's */
        replace(&s->client_name, or_unknown(f->values[NAME]));
    if (f->has & HAS(HELO)) {
        replace(&s->helo, f->values[HELO]);
        s->is_helo_told = s->helo.len > 0;
    }
    if (f->has & HAS(LOGIN)) {
        replace(&s->login, f->values[LOGIN]);
        s->is_login_told = s->login.len > 0;
        s->mechanism = NULL;
    }
}

void session_trust_xclient(struct session *s, const struct verb_call *call)
{
    struct session_forward f = { 0 };

    if (!session_trust_has_xclient(s)) {
        refuse(s, REPLY(550, 5, 7, 0, "Error: insufficient authorization"));
        return;
    }
    if (!read_all(&f, call->argument, OF_XCLIENT)) {
        refuse(s, REPLY(501, 5, 5, 4, "Syntax: XCLIENT attribute=value ..."));
    } else {
        session_reset(s);
        if (!s->is_login_told) {
            replace(&s->login, SPAN(""));
            s->mechanism = NULL;
        }
        if (!s->is_helo_told)
            replace(&s->helo, SPAN(""));
        s->extended = false;
        s->is_on_behalf = true;
        become(s, &f);
        session_move(s, AT_GREETING);
        session_begin_again(s, call->now_ms);
    }
    arena_reset(&f.arena);
}

/* ------------------------------------------------------------ XFORWARD ---- */

bool session_trust_has_xforward(const struct session *s)
{
    return networks_have(&s->listener->xforward, &s->peer);
}

void session_trust_put_xforward(const struct session *s, struct buffer *b)
{
    (void)s;
    put_names(b, OF_XFORWARD);
}

void session_trust_xforward(struct session *s, const struct verb_call *call)
{
    struct session_forward *f;

    if (!session_trust_has_xforward(s)) {
        refuse(s, REPLY(550, 5, 7, 0, "Error: insufficient authorization"));
        return;
    }
    f = s->forward ? s->forward : NEW(struct session_forward);
    s->forward = f;
    if (f->arena.taken_bytes > (size_t)ATTRIBUTES * VALUE_MOST ||
        !read_all(f, call->argument, OF_XFORWARD))
        refuse(s, REPLY(501, 5, 5, 4, "Syntax: XFORWARD attribute=value ..."));
    else
        session_say(s, SPAN("250 2.0.0 Ok"));
}

void session_trust_forget(struct session *s)
{
    forward_free(s->forward);
    s->forward = NULL;
}

void session_trust_fill(const struct session *s, struct envelope *e)
{
    const struct session_forward *f = s->forward;

    if (!f)
        return;
    if (f->has & HAS(ADDR))
        e->client = or_unknown(f->values[ADDR]);
    if (f->has & (HAS(NAME) | HAS(ADDR)))
        e->client_name = or_unknown(f->values[NAME]);
    if (f->has & HAS(HELO))
        e->helo = f->values[HELO];
}
