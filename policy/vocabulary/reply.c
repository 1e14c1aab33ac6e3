/*
 * reply - one SMTP reply: code, enhanced status code, text.
 *
 * Owns nothing; a parsed reply borrows its text. RFC 5321 4.2, RFC 3463.
 */
#include "policy/vocabulary/reply.h"

enum { STATUS_DIGITS = 3 };

/* One to three digits at *at; moves past them. */
static bool take_number(struct span s, size_t *at, unsigned short *out)
{
    size_t start = *at;
    unsigned n = 0;

    while (*at < s.len && *at - start < STATUS_DIGITS && s.at[*at] >= '0' &&
           s.at[*at] <= '9')
        n = n * 10 + (unsigned)(s.at[(*at)++] - '0');
    *out = (unsigned short)n;
    return *at > start;
}

size_t status_parse(struct span s, struct status *out_status)
{
    struct status status = { 0 };
    size_t at = 2;

    if (s.len < 5 || s.at[1] != '.' ||
        (s.at[0] != '2' && s.at[0] != '4' && s.at[0] != '5'))
        return 0;
    status.class = (unsigned char)(s.at[0] - '0');
    if (!take_number(s, &at, &status.subject) || at == s.len ||
        s.at[at++] != '.' || !take_number(s, &at, &status.detail))
        return 0;
    /* 5.7.1.9 is somebody's address, 5.7.1234 is nothing */
    if (at < s.len && (s.at[at] == '.' || (s.at[at] >= '0' && s.at[at] <= '9')))
        return 0;
    *out_status = status;
    return at;
}

bool reply_parse(struct span s, struct reply *out_reply)
{
    struct span text, code_text = span_split(s, ' ', &text);
    struct reply r = { 0 };
    uint64_t code;
    size_t n;

    if (code_text.len != 3 || !span_number(code_text, &code) || code < 400 ||
        code > 599)
        return false;
    r.code = (short)code;
    text = span_trim(text);
    n = status_parse(text, &r.status);
    if (n == 0)
        r.status = STATUS((unsigned char)(code / 100), 0, 0);
    else if (r.status.class != code / 100)
        return false;
    r.text = span_trim(span_skip(text, n));
    *out_reply = r;
    return true;
}

void status_print(struct buffer *b, struct status s)
{
    buffer_printf(b, "%u.%u.%u", s.class, s.subject, s.detail);
}

/* One line; a stray CR or NUL would be a line end to somebody. */
static void put_line(struct buffer *b, const struct reply *r, char separator,
                     struct span line)
{
    buffer_printf(b, "%03d%c", r->code, separator);
    if (r->status.class) {
        status_print(b, r->status);
        if (line.len)
            buffer_put_byte(b, ' ');
    }
    for (size_t i = 0; i < line.len; i++)
        buffer_put_byte(
            b, line.at[i] == '\r' || line.at[i] == '\0' ? ' ' : line.at[i]);
}

void reply_print(struct buffer *b, const struct reply *r)
{
    struct span rest, line = span_split(r->text, '\n', &rest);

    put_line(b, r, ' ', line);
    while (rest.at) {
        line = span_split(rest, '\n', &rest);
        buffer_put_string(b, " / ");
        buffer_put(b, line);
    }
}

void reply_write(struct buffer *b, const struct reply *r)
{
    struct span rest = r->text;

    do {
        struct span line = span_split(rest, '\n', &rest);

        put_line(b, r, rest.at ? '-' : ' ', line);
        buffer_put_string(b, "\r\n");
    } while (rest.at);
}
