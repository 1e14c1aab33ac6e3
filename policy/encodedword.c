/*
 * encodedword - text in headers that was wrapped for 7-bit transport.
 *
 *   encoded-word = "=?" charset ["*" language] "?" ("B" / "Q") "?" text "?="
 *
 * White space between two encoded words is not part of the text. RFC 2047 2, 6.2; RFC 2231
 * 5. What is no encoded word is text as it stands. Owns nothing.
 */
#include "policy/encodedword.h"

static bool is_latin(struct span charset)
{
    return span_is_nocase(charset, SPAN("iso-8859-1")) ||
           span_is_nocase(charset, SPAN("iso-8859-15")) ||
           span_is_nocase(charset, SPAN("windows-1252"));
}

static void put(struct buffer *out, unsigned char c, bool latin)
{
    if (c == 0)
        return;
    if (latin && c >= 0x80) {
        buffer_put_byte(out, (char)(0xc0 | c >> 6));
        buffer_put_byte(out, (char)(0x80 | (c & 0x3f)));
    } else {
        buffer_put_byte(out, (char)c);
    }
}

static int hex(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c = ascii_lower(c);
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* mark and two digits are a byte; anything else stands for itself. */
static void decode_digits(struct buffer *out, struct span s, char mark,
                          bool latin)
{
    for (size_t i = 0; i < s.len; i++) {
        if (s.at[i] == mark && i + 2 < s.len && hex(s.at[i + 1]) >= 0 &&
            hex(s.at[i + 2]) >= 0) {
            put(out, (unsigned char)(hex(s.at[i + 1]) << 4 | hex(s.at[i + 2])),
                latin);
            i += 2;
        } else {
            put(out,
                (unsigned char)(mark == '=' && s.at[i] == '_' ? ' ' : s.at[i]),
                latin);
        }
    }
}

static int base64_value(char c)
{
    if (c >= 'A' && c <= 'Z')
        return c - 'A';
    if (c >= 'a' && c <= 'z')
        return c - 'a' + 26;
    if (c >= '0' && c <= '9')
        return c - '0' + 52;
    if (c == '+' || c == '-')
        return 62;
    return c == '/' || c == '_' ? 63 : -1;
}

/* What is no such digit is passed over, as readers do. */
static void decode_base64(struct buffer *out, struct span s, bool latin)
{
    unsigned bits = 0, count = 0;

    for (size_t i = 0; i < s.len; i++) {
        int value = base64_value(s.at[i]);

        if (value < 0)
            continue;
        bits = (bits << 6 | (unsigned)value) & 0xffff;
        count += 6;
        if (count >= 8) {
            count -= 8;
            put(out, (unsigned char)(bits >> count), latin);
        }
    }
}

/*
 * Length of the encoded word at the start, decoded into out; 0: none. *out_is_last: nothing
 * behind ends one either, so that nobody has to look again.
 */
static size_t take_word(struct buffer *out, struct span s, bool *out_is_last)
{
    struct span rest, charset, coding;
    const char *end;
    bool latin;

    charset = span_split(span_skip(s, 2), '?', &rest);
    coding = span_split(rest, '?', &rest);
    if (!rest.at || charset.len == 0 || coding.len != 1 ||
        !is_one_of(coding.at[0], "BbQq"))
        return 0;
    end = memmem(rest.at, rest.len, "?=", 2);
    *out_is_last = !end;
    if (!end)
        return 0;
    rest = span_make(rest.at, (size_t)(end - rest.at));
    latin = is_latin(span_first(charset, span_find(charset, '*')));
    if (ascii_lower(coding.at[0]) == 'b')
        decode_base64(out, rest, latin);
    else
        decode_digits(out, rest, '=', latin);
    return (size_t)(end - s.at) + 2;
}

static size_t count_blank(struct span s)
{
    size_t n = 0;

    while (n < s.len && (s.at[n] == ' ' || s.at[n] == '\t'))
        n++;
    return n;
}

void encodedword_decode(struct buffer *out, struct span text)
{
    bool was_word = false, is_last = false;

    while (text.len) {
        size_t blank = count_blank(text), n = 0;
        struct span word = span_skip(text, blank);

        if (!is_last && span_starts_nocase(word, SPAN("=?"))) {
            size_t before = out->len;

            /* nothing stands between two words */
            if (!was_word)
                buffer_put(out, span_first(text, blank));
            n = take_word(out, word, &is_last);
            if (n == 0)
                out->len = before;
        }
        was_word = n > 0;
        if (n == 0) {
            n = word.len ? 1 : 0;
            buffer_put(out, span_first(text, blank + n));
        }
        text = span_skip(word, n);
    }
}

void encodedword_percent(struct buffer *out, struct span text,
                         struct span charset)
{
    decode_digits(out, text, '%', is_latin(charset));
}
