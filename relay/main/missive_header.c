/*
 * missive_header - a submitted message's header: recipients out of it, and what is missing
 * into it.
 *
 * Message-ID, domains and the rest are completed by the relay (complete.h). RFC 5322 3.6,
 * RFC 2047.
 */
#include "relay/main/missive.h"

#include "policy/vocabulary/utf8.h"
#include "relay/inbound/fields.h"
#include "relay/net/date.h"
#include "relay/net/worker.h"

static bool is_one_of_fields(struct span name, const char *const *names)
{
    while (*names && !span_is_nocase(name, span_of(*names)))
        names++;
    return *names != NULL;
}

static bool gather(struct missive *m, const char *const *names,
                   struct span parameters)
{
    struct span rest = buffer_span(&m->content);
    struct field f;
    bool ok = true;

    while (ok && fields_next(&rest, &f))
        if (is_one_of_fields(f.name, names))
            ok = missive_add(m, f.value, parameters);
    return ok;
}

bool missive_gather(struct missive *m, struct span parameters)
{
    static const char *const usual[] = { "To", "Cc", "Bcc", NULL };
    static const char *const resent[] = { "Resent-To", "Resent-Cc",
                                          "Resent-Bcc", NULL };
    struct span rest = buffer_span(&m->content);
    bool is_resent = false;
    struct field f;

    while (fields_next(&rest, &f))
        is_resent |= is_one_of_fields(f.name, resent);
    return gather(m, is_resent ? resent : usual, parameters);
}

/* -------------------------------------------------------------- finish ---- */

static bool is_plain_word(struct span s)
{
    for (size_t i = 0; i < s.len; i++)
        if (is_one_of(s.at[i], "()<>[]:;@\\,.\"") || (s.at[i] & 0x80))
            return false;
    return true;
}

static void put_encoded_word(struct buffer *b, struct span s)
{
    buffer_put_string(b, "=?utf-8?q?");
    for (size_t i = 0; i < s.len; i++) {
        char l = ascii_lower(s.at[i]);

        if ((l >= 'a' && l <= 'z') || (l >= '0' && l <= '9'))
            buffer_put_byte(b, s.at[i]);
        else
            buffer_printf(b, "=%02X", (unsigned char)s.at[i]);
    }
    buffer_put_string(b, "?=");
}

static void put_phrase(struct buffer *b, struct span name)
{
    if (utf8_has_high(name)) {
        put_encoded_word(b, name);
    } else if (is_plain_word(name)) {
        buffer_put(b, name);
    } else {
        buffer_put_byte(b, '"');
        for (size_t i = 0; i < name.len; i++) {
            if (is_one_of(name.at[i], "\"\\"))
                buffer_put_byte(b, '\\');
            buffer_put_byte(b, name.at[i]);
        }
        buffer_put_byte(b, '"');
    }
}

static struct span first_line(struct span s)
{
    size_t n = span_find(s, '\n');

    return span_first(s, n < s.len ? n + 1 : n);
}

/* "From joe Mon Jan ..." of a mailbox file is no header. */
static bool is_mbox_line(struct span s)
{
    struct span line = first_line(s);

    return span_starts_nocase(line, SPAN(">From ")) ||
           (line.len > 5 && memcmp(line.at, "From ", 5) == 0);
}

static void put_author(const struct missive *m, struct span full_name,
                       struct buffer *out)
{
    if (span_is(m->sender, SPAN("<>")))
        return; /* the relay knows better */
    buffer_put_string(out, "From: ");
    if (full_name.len) {
        put_phrase(out, full_name);
        buffer_put_byte(out, ' ');
        buffer_put(out, m->sender);
    } else {
        buffer_put(out, span_first(span_skip(m->sender, 1), m->sender.len - 2));
    }
    buffer_put_string(out, "\r\n");
}

void missive_finish(struct missive *m, struct span full_name)
{
    static const char *const hidden[] = { "Bcc", "Resent-Bcc", "Return-Path",
                                          NULL };
    struct span rest = buffer_span(&m->content);
    struct buffer out = { 0 };
    bool has_author = false, has_date = false;
    struct field f;

    while (is_mbox_line(rest))
        rest = span_skip(rest, first_line(rest).len);
    while (fields_next(&rest, &f)) {
        has_author |= span_is_nocase(f.name, SPAN("From"));
        has_date |= span_is_nocase(f.name, SPAN("Date"));
        if (!is_one_of_fields(f.name, hidden))
            buffer_put(&out, f.whole);
    }
    if (!has_author)
        put_author(m, full_name, &out);
    if (!has_date) { /* it may lie in the drop folder for a while */
        buffer_put_string(&out, "Date: ");
        date_print(&out, wall_ms());
        buffer_put_string(&out, "\r\n");
    }
    if (!span_starts_nocase(rest, SPAN("\r\n")))
        buffer_put_string(&out, "\r\n");
    buffer_put(&out, rest);
    buffer_fini(&m->content);
    m->content = out;
}
