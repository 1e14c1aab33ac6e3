/*
 * logline - one event as one line, in Postfix's words; see logline_private.h.
 */
#include "relay/net/logline_private.h"

#include "policy/vocabulary/id.h"
#include "relay/net/logfigure.h"

void logline_put_clean(struct buffer *b, struct span s)
{
    size_t n = 0;

    while (n < s.len && s.at[n] >= ' ' && s.at[n] < 0x7f && s.at[n] != '\\')
        n++;
    buffer_put(b, span_first(s, n));
    buffer_put_escaped(b, span_skip(s, n));
}

int64_t logline_sum_of(const int64_t *delay_ms)
{
    return delay_ms[0] + delay_ms[1] + delay_ms[2] + delay_ms[3];
}

const struct tls_facts *logline_facts_of(const void *value)
{
    static const struct tls_facts none = { .protocol = "", .cipher = "" };
    const struct tls_facts *f = *(const struct tls_facts *const *)value;

    return f ? f : &none;
}

static void put_tls(struct buffer *b, enum logline_kind kind,
                    const struct tls_facts *f)
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

static bool is_empty(const struct logline_row *f, const void *value)
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
        return !logline_facts_of(value)->is_resumed;
    case K_TLS_POLICY:
        return !logline_facts_of(value)->policy;
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
void logline_put_value(struct buffer *b, const struct log_line *line,
                       const struct logline_row *f)
{
    const void *value = (const char *)line + f->at;
    const struct span *span = value;
    const struct place *place = value;
    const int64_t *delay = value;

    switch (f->kind) {
    case K_SPAN:
        logline_put_clean(b, *span);
        break;
    case K_MESSAGE_ID:
        if (span->len && span->at[0] == '<') {
            logline_put_clean(b, *span);
            break;
        }
        buffer_put_byte(b, '<');
        logline_put_clean(b, *span);
        buffer_put_byte(b, '>');
        break;
    case K_ID:
        buffer_put_string(b, id_print(*(const uint64_t *)value).at);
        break;
    case K_PEER:
    case K_PEER_PORT:
        logline_put_clean(b, line->host.len ? line->host : SPAN("unknown"));
        buffer_put_byte(b, '[');
        logline_put_clean(b, line->address);
        buffer_put_byte(b, ']');
        if (f->kind == K_PEER_PORT)
            buffer_printf(b, ":%u", line->port);
        break;
    case K_PLACE:
        logline_put_clean(b, span_of(place->file));
        buffer_printf(b, ":%u", place->line);
        break;
    case K_STATUS:
        logfigure_status(b, *(const struct status *)value);
        break;
    case K_DELAY:
        logfigure_delay(b, logline_sum_of(delay));
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
        put_tls(b, f->kind, logline_facts_of(value));
        break;
    }
}

bool logline_is_left_out(const struct log_line *line,
                         const struct logline_piece *p)
{
    const struct logline_row *f = &logline_fields[p->field];

    return (p->flags & LOGLINE_MAY_MISS) &&
           is_empty(f, (const char *)line + f->at);
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
    const struct logline_event *row = &logline_events[line->event];
    struct buffer value = { 0 };
    bool is_found = false;

    for (const struct logline_piece *p = row->pieces;
         p < row->pieces + LOGLINE_PIECES && p->before && !is_found; p++) {
        const struct logline_row *f = &logline_fields[p->field];
        const void *at = (const char *)line + f->at;

        if (f->kind == K_SPAN) {
            is_found = contains(*(const struct span *)at, text);
        } else if (!logline_is_left_out(line, p)) {
            buffer_clear(&value);
            logline_put_value(&value, line, f);
            is_found = contains(buffer_span(&value), text);
        }
    }
    buffer_fini(&value);
    return is_found;
}

void logline_put_text(struct buffer *b, const struct log_line *line)
{
    const struct logline_event *row = &logline_events[line->event];

    buffer_put_string(b, row->before);
    for (const struct logline_piece *p = row->pieces;
         p < row->pieces + LOGLINE_PIECES && p->before; p++) {
        if (logline_is_left_out(line, p))
            continue;
        buffer_put_string(b, p->before);
        logline_put_value(b, line, &logline_fields[p->field]);
        buffer_put_string(b, p->after);
    }
}
