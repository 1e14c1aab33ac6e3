/*
 * tape - what was said on a connection, kept as it was said.
 *
 * The transaction has two halves: when one is full the other is emptied and written to, so
 * that the latest lines are there, half of the room at least. A line is cut, never split.
 */
#include "relay/outbound/tape.h"

enum { LINE_MOST = 200 };

/* A place for so many bytes and a line end. */
static char *room(struct tape *t, size_t len)
{
    char *at;

    if (!t->is_past_opening) {
        if (t->opening_len + len + 1 > TAPE_OPENING) {
            t->is_opening_cut = true;
            return NULL;
        }
        at = t->opening + t->opening_len;
        t->opening_len = (uint16_t)(t->opening_len + len + 1);
        return at;
    }
    if (t->half_len[t->half] + len + 1 > TAPE_HALF) {
        t->half = !t->half;
        t->is_cut |= t->half_len[t->half] > 0;
        t->half_len[t->half] = 0;
    }
    at = t->halves[t->half] + t->half_len[t->half];
    t->half_len[t->half] = (uint16_t)(t->half_len[t->half] + len + 1);
    return at;
}

static void put(struct tape *t, const char *before, size_t before_len,
                struct span line)
{
    bool is_long = line.len > LINE_MOST;
    size_t len = is_long ? LINE_MOST : line.len;
    char *at = room(t, before_len + len + (is_long ? 3 : 0));

    if (!at)
        return;
    memcpy(at, before, before_len);
    at += before_len;
    if (len)
        memcpy(at, line.at, len);
    at += len;
    if (is_long) {
        memset(at, '.', 3);
        at += 3;
    }
    *at = '\n';
}

void tape_begin(struct tape *t)
{
    t->is_past_opening = true;
    t->is_cut = false;
    t->half = 0;
    t->half_len[0] = t->half_len[1] = 0;
}

void tape_said(struct tape *t, struct span line)
{
    put(t, "> ", 2, line);
}

static size_t put_number(char *at, unsigned n)
{
    size_t len = 0;

    n %= 1000;
    if (n >= 100)
        at[len++] = (char)('0' + n / 100);
    if (n >= 10)
        at[len++] = (char)('0' + n / 10 % 10);
    at[len++] = (char)('0' + n % 10);
    return len;
}

void tape_heard(struct tape *t, short code, struct status status,
                struct span text)
{
    char before[24] = "< ";
    size_t len = 2, separator;

    if (code > 0) {
        len += put_number(before + len, (unsigned)code);
        separator = len;
        before[len++] = ' ';
        if (status.class) {
            len += put_number(before + len, status.class);
            before[len++] = '.';
            len += put_number(before + len, status.subject);
            before[len++] = '.';
            len += put_number(before + len, status.detail);
            before[len++] = ' ';
        }
    }
    do {
        struct span line = span_split(text, '\n', &text);

        if (code > 0)
            before[separator] = text.at ? '-' : ' ';
        put(t, before, len, line);
    } while (text.at);
}

static void print(const char *at, size_t len, struct buffer *out)
{
    struct span text = span_make(at, len);

    while (text.len) {
        buffer_put_escaped(out, span_split(text, '\n', &text));
        buffer_put_byte(out, '\n');
    }
}

void tape_print(const struct tape *t, struct buffer *out)
{
    unsigned older = !t->half;

    out->cap = TAPE_TEXT;
    print(t->opening, t->opening_len, out);
    if (t->is_opening_cut || t->is_cut)
        buffer_put_string(out, "...\n");
    print(t->halves[older], t->half_len[older], out);
    print(t->halves[t->half], t->half_len[t->half], out);
}
