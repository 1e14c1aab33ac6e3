/*
 * logline - one event as one line, in Postfix's words or as a JSON object.
 *
 * An event is a row of pieces; a piece is a field with what stands before and
 * behind it, and one marked MAY_MISS is left out, words and all, when the field
 * is empty. A field is a row with its JSON name, what kind of thing it is, and
 * where it is in struct log_line.
 */
#include "relay/net/logline.h"

#include "policy/vocabulary/error.h"
#include "policy/vocabulary/id.h"
#include "relay/net/logfigure.h"

enum kind {
    K_SPAN,
    K_MESSAGE_ID,
    K_ID,
    K_PEER,
    K_PEER_PORT,
    K_PLACE,
    K_STATUS,
    K_DELAY,
    K_DELAYS,
    K_NUMBER,
    K_USE,
    K_TRUST,
    K_PROTOCOL,
    K_CIPHER,
    K_BITS,
    K_RESUMED,
    K_TLS_POLICY,
};

enum field {
    F_ID,
    F_OTHER_ID,
    F_ORIG_ID,
    F_PEER,
    F_NEXT_HOP,
    F_LISTENER,
    F_LOGIN,
    F_HELO,
    F_PROTOCOL,
    F_SENDER,
    F_RECIPIENT,
    F_MESSAGE_ID,
    F_RELAY,
    F_STATUS,
    F_STAGE,
    F_TEXT,
    F_RULE,
    F_PLACE,
    F_DSN,
    F_DELAY,
    F_DELAYS,
    F_SIZE,
    F_COUNT,
    F_COMMANDS,
    F_CONN_USE,
    F_ORIG_TO,
    F_MECHANISM,
    F_TRUST,
    F_TLS,
    F_CIPHER,
    F_BITS,
    F_RESUMED,
    F_TLS_POLICY,
    F_SESSION,
};

#define AT(member) offsetof(struct log_line, member)

static const struct field_row {
    const char *name;
    enum kind kind;
    size_t at;
} fields[] = {
    /* clang-format off */
    [F_ID]         = { "queue_id",   K_ID,         AT(id) },
    [F_OTHER_ID]   = { "report_id",  K_ID,         AT(other_id) },
    [F_ORIG_ID]    = { "orig_queue_id", K_ID,      AT(other_id) },
    [F_PEER]       = { "client",     K_PEER,       AT(host) },
    [F_NEXT_HOP]   = { "relay",      K_PEER_PORT,  AT(host) },
    [F_LISTENER]   = { "listener",   K_SPAN,       AT(listener) },
    [F_LOGIN]      = { "login",      K_SPAN,       AT(login) },
    [F_HELO]       = { "helo",       K_SPAN,       AT(helo) },
    [F_PROTOCOL]   = { "proto",      K_SPAN,       AT(protocol) },
    [F_SENDER]     = { "from",       K_SPAN,       AT(sender) },
    [F_RECIPIENT]  = { "to",         K_SPAN,       AT(recipient) },
    [F_MESSAGE_ID] = { "message_id", K_MESSAGE_ID, AT(message_id) },
    [F_RELAY]      = { "relay",      K_SPAN,       AT(relay) },
    [F_STATUS]     = { "status",     K_SPAN,       AT(status) },
    [F_STAGE]      = { "stage",      K_SPAN,       AT(stage) },
    [F_TEXT]       = { "text",       K_SPAN,       AT(text) },
    [F_RULE]       = { "rule",       K_SPAN,       AT(rule) },
    [F_PLACE]      = { "place",      K_PLACE,      AT(place) },
    [F_DSN]        = { "dsn",        K_STATUS,     AT(dsn) },
    [F_DELAY]      = { "delay",      K_DELAY,      AT(delay_ms) },
    [F_DELAYS]     = { "delays",     K_DELAYS,     AT(delay_ms) },
    [F_SIZE]       = { "size",       K_NUMBER,     AT(size) },
    [F_COUNT]      = { "count",      K_NUMBER,     AT(count) },
    [F_COMMANDS]   = { "commands",   K_NUMBER,     AT(commands) },
    [F_CONN_USE]   = { "conn_use",   K_USE,        AT(conn_use) },
    [F_ORIG_TO]    = { "orig_to",    K_SPAN,       AT(orig_to) },
    [F_MECHANISM]  = { "mechanism",  K_SPAN,       AT(mechanism) },
    [F_TRUST]      = { "trust",      K_TRUST,      AT(tls) },
    [F_TLS]        = { "tls",        K_PROTOCOL,   AT(tls) },
    [F_CIPHER]     = { "cipher",     K_CIPHER,     AT(tls) },
    [F_BITS]       = { "bits",       K_BITS,       AT(tls) },
    [F_RESUMED]    = { "resumed",    K_RESUMED,    AT(tls) },
    [F_TLS_POLICY] = { "tls_policy", K_TLS_POLICY, AT(tls) },
    [F_SESSION]    = { "session",    K_SPAN,       AT(session) },
    /* clang-format on */
};

enum { PIECES = 13, MAY_MISS = 1, URGENT = 1, WARNS = 2 };

static const struct event_row {
    const char *name, *daemon;
    unsigned flags;
    const char *before; /* in front of the first piece */
    struct piece {
        const char *before; /* NULL: the row ends here */
        enum field field;
        const char *after;
        unsigned flags;
    } pieces[PIECES];
} events[LOG_EVENTS] = {
    /* clang-format off */
    [LOG_STARTED] = { "started", "qmgr", URGENT, "started", {
        { ", ", F_TEXT, "", MAY_MISS } } },
    [LOG_STOPPED] = { "stopped", "qmgr", URGENT, "stopped", {
        { ", ", F_TEXT, "", MAY_MISS } } },
    [LOG_NOTE] = { "note", "qmgr", URGENT, "", {
        { "", F_TEXT, "", 0 } } },
    [LOG_WARNING] = { "warning", "qmgr", URGENT | WARNS, "warning: ", {
        { "", F_TEXT, "", 0 } } },
    [LOG_FATAL] = { "fatal", "qmgr", URGENT, "fatal: ", {
        { "", F_TEXT, "", 0 } } },
    [LOG_CONNECT] = { "connect", "smtpd", 0, "connect from ", {
        { "", F_PEER, "", 0 } } },
    [LOG_DISCONNECT] = { "disconnect", "smtpd", 0, "disconnect from ", {
        { "", F_PEER, "", 0 }, { " commands=", F_COMMANDS, "", 0 },
        { " messages=", F_COUNT, "", 0 }, { " session=", F_SESSION, "", MAY_MISS } } },
    [LOG_LOST] = { "lost", "smtpd", 0, "lost connection after ", {
        { "", F_STAGE, "", 0 }, { " from ", F_PEER, "", 0 },
        { " (", F_TEXT, ")", MAY_MISS } } },
    [LOG_CLIENT] = { "client", "smtpd", 0, "", {
        { "", F_ID, ": ", 0 }, { "client=", F_PEER, "", 0 },
        { ", listener=", F_LISTENER, "", MAY_MISS },
        { ", login=", F_LOGIN, "", MAY_MISS },
        { ", orig_queue_id=", F_ORIG_ID, "", MAY_MISS },
        { ", rule=\"", F_RULE, "\"", MAY_MISS }, { " ", F_PLACE, "", MAY_MISS } } },
    [LOG_MESSAGE_ID] = { "message-id", "smtpd", 0, "", {
        { "", F_ID, ": ", 0 }, { "message-id=", F_MESSAGE_ID, "", 0 } } },
    [LOG_QUEUED] = { "queued", "qmgr", 0, "", {
        { "", F_ID, ": ", 0 }, { "from=<", F_SENDER, ">", 0 },
        { ", size=", F_SIZE, "", 0 }, { ", nrcpt=", F_COUNT, " (queue active)", 0 } } },
    [LOG_VERDICT] = { "verdict", "smtpd", 0, "", {
        { "", F_ID, ": ", 0 }, { "", F_STATUS, ": ", 0 },
        { "", F_STAGE, "", 0 }, { " from ", F_PEER, ": ", 0 }, { "", F_TEXT, ";", 0 },
        { " from=<", F_SENDER, ">", 0 }, { " to=<", F_RECIPIENT, ">", 0 },
        { " proto=", F_PROTOCOL, "", MAY_MISS }, { " helo=<", F_HELO, ">", MAY_MISS },
        { " login=", F_LOGIN, "", MAY_MISS },
        { " rule=\"", F_RULE, "\"", MAY_MISS }, { " ", F_PLACE, "", MAY_MISS } } },
    [LOG_REMARK] = { "remark", "smtpd", 0, "NOQUEUE: ", {
        { "", F_STATUS, ": ", 0 },
        { "", F_STAGE, "", 0 }, { " from ", F_PEER, ": ", 0 }, { "", F_TEXT, ";", 0 },
        { " from=<", F_SENDER, ">", 0 }, { " to=<", F_RECIPIENT, ">", MAY_MISS },
        { " proto=", F_PROTOCOL, "", MAY_MISS }, { " helo=<", F_HELO, ">", MAY_MISS },
        { " login=", F_LOGIN, "", MAY_MISS },
        { " rule=\"", F_RULE, "\"", MAY_MISS }, { " ", F_PLACE, "", MAY_MISS },
        { " session=", F_SESSION, "", MAY_MISS } } },
    [LOG_REFUSED] = { "refused", "smtpd", 0, "NOQUEUE: reject: ", {
        { "", F_STAGE, "", 0 }, { " from ", F_PEER, ": ", 0 }, { "", F_TEXT, ";", 0 },
        { " from=<", F_SENDER, ">", 0 }, { " to=<", F_RECIPIENT, ">", MAY_MISS },
        { " proto=", F_PROTOCOL, "", MAY_MISS }, { " helo=<", F_HELO, ">", MAY_MISS },
        { " login=", F_LOGIN, "", MAY_MISS },
        { " rule=\"", F_RULE, "\"", MAY_MISS }, { " ", F_PLACE, "", MAY_MISS },
        { " session=", F_SESSION, "", MAY_MISS } } },
    [LOG_DELIVERY] = { "delivery", "smtp", 0, "", {
        { "", F_ID, ": ", 0 }, { "to=<", F_RECIPIENT, ">", 0 },
        { ", orig_to=<", F_ORIG_TO, ">", MAY_MISS },
        { ", relay=", F_RELAY, "", 0 }, { ", conn_use=", F_CONN_USE, "", MAY_MISS },
        { ", delay=", F_DELAY, "", 0 }, { ", delays=", F_DELAYS, "", 0 },
        { ", dsn=", F_DSN, "", 0 }, { ", status=", F_STATUS, "", 0 },
        { " (", F_TEXT, ")", 0 } } },
    [LOG_REMOVED] = { "removed", "qmgr", 0, "", {
        { "", F_ID, ": removed", 0 } } },
    [LOG_REPORT] = { "report", "bounce", 0, "", {
        { "", F_ID, ": ", 0 }, { "sender ", F_STATUS, "", 0 },
        { " notification: ", F_OTHER_ID, "", 0 } } },
    [LOG_CONNECT_FAILED] = { "connect-failed", "smtp", 0, "connect to ", {
        { "", F_NEXT_HOP, "", 0 }, { ": ", F_TEXT, "", 0 } } },
    [LOG_TLS_IN] = { "tls-in", "smtpd", 0, "", {
        { "", F_TRUST, " TLS connection established", 0 }, { " from ", F_PEER, ": ", 0 },
        { "", F_TLS, "", 0 }, { " with cipher ", F_CIPHER, "", 0 },
        { " (", F_BITS, " bits)", 0 }, { ", ", F_RESUMED, "", MAY_MISS } } },
    [LOG_TLS_OUT] = { "tls-out", "smtp", 0, "", {
        { "", F_TRUST, " TLS connection established", 0 }, { " to ", F_NEXT_HOP, ": ", 0 },
        { "", F_TLS, "", 0 }, { " with cipher ", F_CIPHER, "", 0 },
        { " (", F_BITS, " bits)", 0 }, { ", ", F_RESUMED, "", MAY_MISS },
        { " (", F_TLS_POLICY, ")", MAY_MISS } } },
    [LOG_LOGIN] = { "login", "smtpd", 0, "", {
        { "", F_PEER, ": logged in", 0 }, { " as ", F_LOGIN, "", 0 },
        { " by ", F_MECHANISM, "", 0 } } },
    [LOG_LOGIN_FAILED] = { "login-failed", "smtpd", WARNS, "warning: ", {
        { "", F_PEER, ": SASL ", 0 }, { "", F_MECHANISM, " authentication failed: ", 0 },
        { "", F_TEXT, "", 0 }, { ", sasl_username=", F_LOGIN, "", MAY_MISS } } },
    /* clang-format on */
};

const char *logline_daemon(enum log_event event)
{
    return events[event].daemon;
}

const char *logline_name(enum log_event event)
{
    return events[event].name;
}

bool logline_is_urgent(enum log_event event)
{
    return events[event].flags & URGENT;
}

bool logline_is_warning(enum log_event event)
{
    return events[event].flags & WARNS;
}

/* As buffer_put_escaped, with a short way for what nearly everything is. */
static void put_clean(struct buffer *b, struct span s)
{
    size_t n = 0;

    while (n < s.len && s.at[n] >= ' ' && s.at[n] < 0x7f && s.at[n] != '\\')
        n++;
    buffer_put(b, span_first(s, n));
    buffer_put_escaped(b, span_skip(s, n));
}

static int64_t sum_of(const int64_t *delay_ms)
{
    return delay_ms[0] + delay_ms[1] + delay_ms[2] + delay_ms[3];
}

static const struct tls_facts *facts_of(const void *value)
{
    static const struct tls_facts none = { .protocol = "", .cipher = "" };
    const struct tls_facts *f = *(const struct tls_facts *const *)value;

    return f ? f : &none;
}

static void put_tls(struct buffer *b, enum kind kind, const struct tls_facts *f)
{
    static const char *const trusts[] = {
        [TLS_ANONYMOUS] = "Anonymous",
        [TLS_UNTRUSTED] = "Untrusted",
        [TLS_TRUSTED] = "Trusted",
        [TLS_VERIFIED] = "Verified",
    };

    if (kind == K_TRUST)
        buffer_put_string(b, trusts[f->trust]);
    else if (kind == K_PROTOCOL)
        buffer_put_string(b, f->protocol);
    else if (kind == K_CIPHER)
        buffer_put_string(b, f->cipher);
    else if (kind == K_BITS)
        buffer_printf(b, "%d/%d", f->bits, f->bits);
    else if (kind == K_TLS_POLICY)
        buffer_put_string(b, f->policy);
    else
        buffer_put_string(b, "resumed");
}

static bool is_empty(const struct field_row *f, const void *value)
{
    switch (f->kind) {
    case K_SPAN:
        return ((const struct span *)value)->len == 0;
    case K_PLACE:
        return ((const struct place *)value)->file == NULL;
    case K_ID:
        return *(const uint64_t *)value == 0;
    case K_USE:
        return *(const uint32_t *)value <= 1;
    case K_RESUMED:
        return !facts_of(value)->is_resumed;
    case K_TLS_POLICY:
        return !facts_of(value)->policy;
    case K_MESSAGE_ID:
    case K_PEER:
    case K_PEER_PORT:
    case K_STATUS:
    case K_DELAY:
    case K_DELAYS:
    case K_NUMBER:
    case K_TRUST:
    case K_PROTOCOL:
    case K_CIPHER:
    case K_BITS:
        break;
    }
    return false;
}

/* Longer than a screen: one case for each kind of field, and no kind is printed
 * anywhere else. */
static void put_value(struct buffer *b, const struct log_line *line,
                      const struct field_row *f)
{
    const void *value = (const char *)line + f->at;
    const struct span *span = value;
    const struct place *place = value;
    const int64_t *delay = value;

    switch (f->kind) {
    case K_SPAN:
        put_clean(b, *span);
        break;
    case K_MESSAGE_ID:
        if (span->len && span->at[0] == '<') {
            put_clean(b, *span);
            break;
        }
        buffer_put_byte(b, '<');
        put_clean(b, *span);
        buffer_put_byte(b, '>');
        break;
    case K_ID:
        buffer_put_string(b, id_print(*(const uint64_t *)value).at);
        break;
    case K_PEER:
    case K_PEER_PORT:
        put_clean(b, line->host.len ? line->host : SPAN("unknown"));
        buffer_put_byte(b, '[');
        put_clean(b, line->address);
        buffer_put_byte(b, ']');
        if (f->kind == K_PEER_PORT)
            buffer_printf(b, ":%u", line->port);
        break;
    case K_PLACE:
        put_clean(b, span_of(place->file));
        buffer_printf(b, ":%u", place->line);
        break;
    case K_STATUS:
        logfigure_status(b, *(const struct status *)value);
        break;
    case K_DELAY:
        logfigure_delay(b, sum_of(delay));
        break;
    case K_DELAYS:
        for (size_t i = 0; i < 4; i++) {
            if (i)
                buffer_put_byte(b, '/');
            logfigure_delay(b, delay[i]);
        }
        break;
    case K_NUMBER:
        logfigure_number(b, *(const uint64_t *)value);
        break;
    case K_USE:
        logfigure_number(b, *(const uint32_t *)value);
        break;
    case K_TRUST:
    case K_PROTOCOL:
    case K_CIPHER:
    case K_BITS:
    case K_RESUMED:
    case K_TLS_POLICY:
        put_tls(b, f->kind, facts_of(value));
        break;
    }
}

static bool is_left_out(const struct log_line *line, const struct piece *p)
{
    const struct field_row *f = &fields[p->field];

    return (p->flags & MAY_MISS) && is_empty(f, (const char *)line + f->at);
}

/* text: not empty. Most places are passed over by their first byte. */
static bool contains(struct span s, struct span text)
{
    char first = ascii_lower(text.at[0]);

    for (size_t at = 0; at + text.len <= s.len; at++)
        if (ascii_lower(s.at[at]) == first &&
            span_starts_nocase(span_skip(s, at), text))
            return true;
    return false;
}

bool logline_has(const struct log_line *line, struct span text)
{
    const struct event_row *row = &events[line->event];
    struct buffer value = { 0 };
    bool is_found = false;

    for (const struct piece *p = row->pieces;
         p < row->pieces + PIECES && p->before && !is_found; p++) {
        const struct field_row *f = &fields[p->field];
        const void *at = (const char *)line + f->at;

        if (f->kind == K_SPAN) {
            is_found = contains(*(const struct span *)at, text);
        } else if (!is_left_out(line, p)) {
            buffer_clear(&value);
            put_value(&value, line, f);
            is_found = contains(buffer_span(&value), text);
        }
    }
    buffer_fini(&value);
    return is_found;
}

void logline_put_text(struct buffer *b, const struct log_line *line)
{
    const struct event_row *row = &events[line->event];

    buffer_put_string(b, row->before);
    for (const struct piece *p = row->pieces;
         p < row->pieces + PIECES && p->before; p++) {
        if (is_left_out(line, p))
            continue;
        buffer_put_string(b, p->before);
        put_value(b, line, &fields[p->field]);
        buffer_put_string(b, p->after);
    }
}

void logline_put_json_string(struct buffer *b, struct span s)
{
    struct buffer clean = { 0 };

    put_clean(&clean, s);
    for (size_t i = 0; i < clean.len; i++) {
        if (clean.at[i] == '"' || clean.at[i] == '\\')
            buffer_put_byte(b, '\\');
        buffer_put_byte(b, clean.at[i]);
    }
    buffer_fini(&clean);
}

static void put_json_value(struct buffer *b, const struct log_line *line,
                           const struct field_row *f)
{
    const int64_t *delay = (const void *)((const char *)line + f->at);
    struct buffer value = { 0 };

    switch (f->kind) {
    case K_NUMBER:
    case K_USE:
        put_value(b, line, f);
        return;
    case K_BITS:
        buffer_printf(b, "%d", facts_of(delay)->bits);
        return;
    case K_RESUMED:
        buffer_put_string(b, "true");
        return;
    case K_DELAY:
        buffer_printf(b, "%.3f", (double)sum_of(delay) / 1000);
        return;
    case K_DELAYS:
        buffer_printf(b, "[%.3f,%.3f,%.3f,%.3f]", (double)delay[0] / 1000,
                      (double)delay[1] / 1000, (double)delay[2] / 1000,
                      (double)delay[3] / 1000);
        return;
    case K_SPAN:
    case K_MESSAGE_ID:
        buffer_put_byte(b, '"');
        logline_put_json_string(
            b, *(const struct span *)((const char *)line + f->at));
        buffer_put_byte(b, '"');
        return;
    case K_ID:
    case K_PEER:
    case K_PEER_PORT:
    case K_PLACE:
    case K_STATUS:
    case K_TRUST:
    case K_PROTOCOL:
    case K_CIPHER:
    case K_TLS_POLICY:
        break;
    }
    put_value(&value, line, f);
    buffer_put_byte(b, '"');
    for (size_t i = 0; i < value.len; i++) {
        if (value.at[i] == '"' || value.at[i] == '\\')
            buffer_put_byte(b, '\\');
        buffer_put_byte(b, value.at[i]);
    }
    buffer_put_byte(b, '"');
    buffer_fini(&value);
}

void logline_put_json(struct buffer *b, const struct log_line *line)
{
    const struct event_row *row = &events[line->event];

    buffer_printf(b, "\"daemon\":\"%s\",\"event\":\"%s\"", row->daemon,
                  row->name);
    for (const struct piece *p = row->pieces;
         p < row->pieces + PIECES && p->before; p++) {
        const struct field_row *f = &fields[p->field];

        if (is_left_out(line, p))
            continue;
        buffer_printf(b, ",\"%s\":", f->name);
        put_json_value(b, line, f);
    }
}
