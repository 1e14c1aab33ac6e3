/*
 * jsontext - JSON written straight into a buffer, for lists of a million rows.
 */
#include "relay/admin/jsontext.h"

#include "policy/vocabulary/utf8.h"

#include <stdio.h>

enum { DIGITS = 24, SURROGATES = 0x10000 };

/* ----------------------------------------------------------- strings ---- */

/* How many bytes at the start are written as they are. */
static size_t plain_bytes(struct span s)
{
    size_t n = 0;

    for (; n < s.len; n++) {
        unsigned char c = (unsigned char)s.at[n];

        if (c < ' ' || c > 0x7f || c == '"' || c == '\\')
            break;
    }
    return n;
}

static uint32_t code_point(struct span s, size_t len)
{
    const unsigned char *p = (const unsigned char *)s.at;
    uint32_t c = len == 1 ? p[0] : p[0] & (0x7fU >> len);

    for (size_t i = 1; i < len; i++)
        c = c << 6 | (p[i] & 0x3fU);
    return c;
}

static void put_escape(struct buffer *b, uint32_t c)
{
    static const struct {
        char c, letter;
    } rows[] = { { '"', '"' },  { '\\', '\\' }, { '\b', 'b' }, { '\f', 'f' },
                 { '\n', 'n' }, { '\r', 'r' },  { '\t', 't' } };

    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        if (c == (unsigned char)rows[i].c) {
            buffer_put(b, span_make((char[]){ '\\', rows[i].letter }, 2));
            return;
        }
    }
    if (c >= SURROGATES) {
        c -= SURROGATES;
        buffer_printf(b, "\\u%04X\\u%04X", 0xd800 | c >> 10,
                      0xdc00 | (c & 0x3ff));
    } else {
        buffer_printf(b, "\\u%04X", c);
    }
}

void jsontext_put_text(struct buffer *b, struct span s)
{
    struct buffer clean = { 0 };

    if (utf8_has_high(s) && !utf8_is_valid(s)) {
        buffer_put_escaped(&clean, s);
        s = buffer_span(&clean);
    }
    buffer_put_byte(b, '"');
    while (s.len) {
        size_t n = plain_bytes(s);

        buffer_put(b, span_first(s, n));
        s = span_skip(s, n);
        if (s.len) {
            n = utf8_length(s);
            put_escape(b, code_point(s, n));
            s = span_skip(s, n);
        }
    }
    buffer_put_byte(b, '"');
    buffer_fini(&clean);
}

/* ----------------------------------------------------------- numbers ---- */

void jsontext_put_number(struct buffer *b, int64_t n)
{
    uint64_t left = n < 0 ? 0 - (uint64_t)n : (uint64_t)n;
    char text[DIGITS];
    size_t at = sizeof text;

    do {
        text[--at] = (char)('0' + left % 10);
    } while (left /= 10);
    if (n < 0)
        text[--at] = '-';
    buffer_put(b, span_make(text + at, sizeof text - at));
}

void jsontext_put_seconds(struct buffer *b, int64_t ms)
{
    if (ms % 1000 == 0) {
        jsontext_put_number(b, ms / 1000);
        buffer_put(b, SPAN(".0"));
    } else {
        buffer_printf(b, "%.17g", (double)ms / 1000);
    }
}

/* ----------------------------------------------------------- members ---- */

/* Nothing stands between a bracket, a key or the begin of a line and what comes first there. */
static void put_comma(struct buffer *b)
{
    if (b->len && !strchr("{[:\n", b->at[b->len - 1]))
        buffer_put_byte(b, ',');
}

void jsontext_begin(struct buffer *b, char bracket)
{
    put_comma(b);
    buffer_put_byte(b, bracket);
}

void jsontext_key(struct buffer *b, struct span key)
{
    put_comma(b);
    buffer_put_byte(b, '"');
    buffer_put(b, key);
    buffer_put(b, SPAN("\":"));
}

void jsontext_text(struct buffer *b, struct span key, struct span s)
{
    jsontext_key(b, key);
    jsontext_put_text(b, s);
}

void jsontext_number(struct buffer *b, struct span key, int64_t n)
{
    jsontext_key(b, key);
    jsontext_put_number(b, n);
}

void jsontext_bare(struct buffer *b, struct span key, struct span s)
{
    jsontext_key(b, key);
    buffer_put(b, s);
}
