/*
 * stuffing - content made fit for DATA or BDAT.
 *
 * Lines are found with memchr and copied in runs: a run ends only where a dot
 * must be put in, so the common message is one copy.
 */
#include "relay/outbound/stuffing.h"

/* Is the first CR of these bytes the one in front of their LF, which is the
 * last? */
static bool is_one_line(const char *line, size_t with_lf)
{
    return with_lf > 1 && memchr(line, '\r', with_lf) == line + with_lf - 2;
}

/* The end of the content so far is not the end of a line: find out what it is.
 */
static bool end_in_line(struct stuffing *s, struct span tail)
{
    const char *cr = memchr(tail.at, '\r', tail.len);

    if (cr && cr != tail.at + tail.len - 1)
        return false;
    s->at = cr ? STUFFING_AFTER_CR : STUFFING_IN_LINE;
    return true;
}

/* Line by line; out NULL: looked at only. */
static bool walk(struct stuffing *s, struct buffer *out, struct span in)
{
    struct span run = in; /* not copied yet */

    if (in.len && s->at == STUFFING_AFTER_CR) {
        if (in.at[0] != '\n')
            return false;
        s->at = STUFFING_LINE_START;
        in = span_skip(in, 1);
    }
    while (in.len) {
        const char *lf;

        if (out && s->at == STUFFING_LINE_START && in.at[0] == '.') {
            buffer_put(out, span_first(run, (size_t)(in.at - run.at)));
            buffer_put_byte(out, '.');
            run = in;
        }
        lf = memchr(in.at, '\n', in.len);
        if (!lf) {
            if (!end_in_line(s, in))
                return false;
            break;
        }
        if (!is_one_line(in.at, (size_t)(lf - in.at) + 1))
            return false;
        s->at = STUFFING_LINE_START;
        in = span_skip(in, (size_t)(lf - in.at) + 1);
    }
    if (out)
        buffer_put(out, run);
    return true;
}

bool stuffing_put(struct stuffing *s, struct buffer *out, struct span in)
{
    return walk(s, out, in);
}

bool stuffing_check(struct stuffing *s, struct span in)
{
    return walk(s, NULL, in);
}

bool stuffing_end(struct stuffing *s, struct buffer *out)
{
    if (s->at == STUFFING_AFTER_CR)
        return false;
    if (s->at == STUFFING_IN_LINE)
        buffer_put_string(out, "\r\n");
    buffer_put_string(out, ".\r\n");
    s->at = STUFFING_LINE_START;
    return true;
}
