/*
 * answer - a next hop's bytes, cut into replies.
 *
 * The common reply is one line that arrived in one read: it is taken from the
 * input as it lies, without a copy. Only what was cut by a read, or has several
 * lines, is gathered in a->line and a->text. RFC 5321 4.2, RFC 2034 4.
 */
#include "relay/outbound/answer.h"

#include "policy/vocabulary/limits.h"

enum { SAMPLE_BYTES = 60 };

static enum answer_said broken(struct answer *a, const char *what,
                               struct span sample, struct reply *out_reply)
{
    struct buffer words = { 0 };

    buffer_put_string(&words, what);
    if (sample.len) {
        buffer_put_string(&words, ": ");
        buffer_put_escaped(&words, span_first(sample, SAMPLE_BYTES));
    }
    buffer_fini(&a->text);
    a->text = words;
    *out_reply = (struct reply){ .text = buffer_span(&words) };
    return ANSWER_BROKEN;
}

/* Three digits from 200 to 599 and what separates them from the text; 0: not
 * so. */
static short read_code(struct span line, char *out_separator)
{
    short code = 0;

    if (line.len < 3 || line.at[0] < '2' || line.at[0] > '5')
        return 0;
    for (size_t i = 0; i < 3; i++) {
        if (line.at[i] < '0' || line.at[i] > '9')
            return 0;
        code = (short)(code * 10 + (line.at[i] - '0'));
    }
    *out_separator = line.len > 3 ? line.at[3] : ' ';
    return *out_separator == ' ' || *out_separator == '-' ? code : 0;
}

/* Strips an enhanced status code off the text of a line. The first line's is
 * the reply's; a later line's is stripped when it is the same. */
static struct span strip_status(struct answer *a, struct span text)
{
    struct status status;
    size_t n = status_parse(text, &status);

    if (n == 0 || span_find(span_skip(text, n), ' ') != 0)
        return text;
    if (a->lines == 0)
        a->status = status;
    else if (status.class != a->status.class ||
             status.subject != a->status.subject ||
             status.detail != a->status.detail)
        return text;
    return span_trim(span_skip(text, n));
}

/* One line without its CRLF. */
static enum answer_said take_line(struct answer *a, struct span line,
                                  struct reply *out_reply)
{
    char separator;
    short code = read_code(line, &separator);
    struct span text;

    if (code == 0)
        return broken(a, "not a reply", line, out_reply);
    if (a->code && a->code != code)
        return broken(a, "reply of two minds", line, out_reply);
    a->bytes += line.len + 2;
    if (a->lines == LIMIT_REPLY_LINES)
        return broken(a, "reply without an end", SPAN(""), out_reply);

    text = strip_status(a, span_skip(line, 4));
    a->code = code;
    if (separator == '-' || a->lines) {
        if (a->lines++)
            buffer_put_byte(&a->text, '\n');
        buffer_put(&a->text, text);
        text = buffer_span(&a->text);
    }
    if (separator == '-')
        return ANSWER_MORE;
    a->is_complete = true;
    *out_reply = (struct reply){ code, a->status, text };
    return ANSWER_REPLY;
}

/* The next line from the front of *in, without CRLF; at == NULL: not complete
 * yet. One that began in an earlier read is put together in a->line. */
static struct span next_line(struct answer *a, struct span *in)
{
    const char *end = in->len ? memchr(in->at, '\n', in->len) : NULL;
    size_t n = end ? (size_t)(end - in->at) + 1 : in->len;
    size_t room = LIMIT_REPLY_BYTES + 1 - a->line.len;
    struct span line = span_first(*in, n);

    *in = span_skip(*in, n);
    if (!end || a->line.len) {
        buffer_put(&a->line, span_first(line, room));
        line = buffer_span(&a->line);
    }
    return end ? line : (struct span){ NULL, 0 };
}

static void start_over(struct answer *a)
{
    buffer_clear(&a->line);
    buffer_clear(&a->text);
    a->status = (struct status){ 0 };
    a->code = 0;
    a->bytes = a->lines = 0;
    a->is_complete = false;
}

enum answer_said answer_read(struct answer *a, struct span *in,
                             struct reply *out_reply)
{
    enum answer_said said = ANSWER_MORE;

    if (a->is_complete)
        start_over(a);
    while (said == ANSWER_MORE && in->len) {
        struct span line = next_line(a, in);

        if ((line.at ? line.len : a->line.len) > LIMIT_REPLY_BYTES - a->bytes)
            return broken(a, "reply without an end", SPAN(""), out_reply);
        if (!line.at)
            break;
        if (line.len < 2 || line.at[line.len - 2] != '\r')
            return broken(a, "reply line not ended by CRLF",
                          span_first(line, line.len - 1), out_reply);
        line.len -= 2;
        said = take_line(a, line, out_reply);
        if (said == ANSWER_MORE)
            buffer_clear(&a->line);
    }
    return said;
}

void answer_fini(struct answer *a)
{
    buffer_fini(&a->line);
    buffer_fini(&a->text);
    *a = (struct answer){ 0 };
}
