/*
 * xtext - values of ESMTP parameters that may hold any character.
 *
 *   xtext     = *( xchar / "+" 2HEXDIG )
 *   xchar     = any ASCII from "!" to "~" but "+" and "="
 *   unitext   = 1*( QUCHAR / "\x{" 2*6HEXDIG "}" )
 *   QUCHAR    = xchar but "\", or a UTF-8 character over 127
 *   orcpt     = addr-type ";" ( xtext, or unitext where the type is utf-8 )
 *
 * Owns nothing.
 */
#include "policy/vocabulary/xtext.h"

#include "policy/vocabulary/utf8.h"

enum { CODE_POINT_MOST = 0x10ffff, HEX_DIGITS_MOST = 6 };

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c = ascii_lower(c);
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static bool is_printable(uint32_t c)
{
    return c >= 32 && c != 127;
}

static bool is_xchar(char c)
{
    return c > 32 && c < 127 && c != '+' && c != '=';
}

/* over_127: octets that are no ASCII may be hidden too. */
static bool decode_octets(struct span s, bool over_127, struct buffer *out)
{
    for (size_t i = 0; i < s.len; i++) {
        int high, low;

        if (is_xchar(s.at[i])) {
            buffer_put_byte(out, s.at[i]);
            continue;
        }
        if (s.at[i] != '+' || s.len - i < 3 ||
            (high = hex_digit(s.at[i + 1])) < 0 ||
            (low = hex_digit(s.at[i + 2])) < 0)
            return false;
        if (high > 7 ? !over_127 : !is_printable((uint32_t)(high * 16 + low)))
            return false;
        buffer_put_byte(out, (char)(high * 16 + low));
        i += 2;
    }
    return true;
}

bool xtext_decode(struct span s, struct buffer *out)
{
    return decode_octets(s, false, out);
}

void xtext_encode(struct buffer *out, struct span s)
{
    for (size_t i = 0; i < s.len; i++)
        if (is_xchar(s.at[i]))
            buffer_put_byte(out, s.at[i]);
        else
            buffer_printf(out, "+%02X", (unsigned char)s.at[i]);
}

static void put_character(struct buffer *b, uint32_t c)
{
    if (c < 0x80) {
        buffer_put_byte(b, (char)c);
        return;
    }
    if (c < 0x800) {
        buffer_put_byte(b, (char)(0xc0 | c >> 6));
    } else {
        if (c < 0x10000) {
            buffer_put_byte(b, (char)(0xe0 | c >> 12));
        } else {
            buffer_put_byte(b, (char)(0xf0 | c >> 18));
            buffer_put_byte(b, (char)(0x80 | (c >> 12 & 0x3f)));
        }
        buffer_put_byte(b, (char)(0x80 | (c >> 6 & 0x3f)));
    }
    buffer_put_byte(b, (char)(0x80 | (c & 0x3f)));
}

/* "\x{HEX}" at the start of s; its length, or 0. */
static size_t take_embedded(struct span s, uint32_t *out_character)
{
    uint32_t c = 0;
    size_t n = 3;

    if (!span_starts_nocase(s, SPAN("\\x{")))
        return 0;
    for (; n < s.len && hex_digit(s.at[n]) >= 0; n++)
        if (n < 3 + HEX_DIGITS_MOST)
            c = c * 16 + (uint32_t)hex_digit(s.at[n]);
    if (n < 5 || n > 3 + HEX_DIGITS_MOST || n == s.len || s.at[n] != '}')
        return 0;
    if (!is_printable(c) || c > CODE_POINT_MOST || (c >= 0xd800 && c < 0xe000))
        return 0;
    *out_character = c;
    return n + 1;
}

bool xtext_decode_utf8(struct span s, bool raw_utf8, struct buffer *out)
{
    if (s.len == 0 || (utf8_has_high(s) && !(raw_utf8 && utf8_is_valid(s))))
        return false;
    while (s.len) {
        uint32_t c = 0;
        size_t n = 1;

        if (s.at[0] == '\\') {
            n = take_embedded(s, &c);
            if (n == 0)
                return false;
            put_character(out, c);
        } else if (is_xchar(s.at[0]) || s.at[0] & 0x80) {
            buffer_put_byte(out, s.at[0]);
        } else {
            return false;
        }
        s = span_skip(s, n);
    }
    return true;
}

/* The character at the start of valid UTF-8, and its length. */
static uint32_t take_character(struct span s, size_t *out_length)
{
    unsigned char first = (unsigned char)s.at[0];
    size_t n = first < 0x80 ? 1 : first < 0xe0 ? 2 : first < 0xf0 ? 3 : 4;
    uint32_t c = n == 1 ? first : first & (0xffu >> (n + 1));

    for (size_t i = 1; i < n && i < s.len; i++)
        c = c << 6 | ((unsigned char)s.at[i] & 0x3f);
    *out_length = n;
    return c;
}

void xtext_encode_utf8(struct buffer *out, struct span s, bool raw_utf8)
{
    while (s.len) {
        size_t n;
        uint32_t c = take_character(s, &n);

        if (c < 0x80 ? is_xchar((char)c) && c != '\\' : raw_utf8)
            buffer_put(out, span_first(s, n));
        else
            buffer_printf(out, "\\x{%02X}", (unsigned)c);
        s = span_skip(s, n);
    }
}

static bool is_utf8_type(struct span s)
{
    return span_starts_nocase(s, SPAN("utf-8;"));
}

/* addr-type is an atom. */
static bool is_atom(struct span s)
{
    for (size_t i = 0; i < s.len; i++)
        if (s.at[i] <= 32 || s.at[i] == 127 ||
            is_one_of(s.at[i], "()<>@,;:\\\"[]."))
            return false;
    return s.len > 0;
}

/* Postfix writes the octets of a UTF-8 address as xtext and calls it rfc822. */
static bool decode_rfc822(struct span s, struct buffer *out)
{
    struct buffer clear = { .cap = out->cap };
    bool is_good = decode_octets(s, true, &clear) &&
                   utf8_is_valid(buffer_span(&clear));

    if (is_good) {
        buffer_put(out, utf8_has_high(buffer_span(&clear)) ? SPAN("utf-8;")
                                                           : SPAN("rfc822;"));
        buffer_put(out, buffer_span(&clear));
    }
    buffer_fini(&clear);
    return is_good;
}

bool xtext_decode_orcpt(struct span s, bool raw_utf8, struct buffer *out)
{
    size_t n = span_find(s, ';');
    struct span address = span_skip(s, n + 1);

    if (!is_atom(span_first(s, n)) || address.len == 0)
        return false;
    if (span_is_nocase(span_first(s, n), SPAN("rfc822")))
        return decode_rfc822(address, out);
    buffer_put(out, span_first(s, n + 1));
    return is_utf8_type(s) ? xtext_decode_utf8(address, raw_utf8, out)
                           : xtext_decode(address, out);
}

void xtext_encode_orcpt(struct buffer *out, struct span s, bool raw_utf8)
{
    size_t n = span_find(s, ';');

    buffer_put(out, span_first(s, n + 1));
    if (is_utf8_type(s) && utf8_is_valid(s))
        xtext_encode_utf8(out, span_skip(s, n + 1), raw_utf8);
    else
        xtext_encode(out, span_skip(s, n + 1));
}
