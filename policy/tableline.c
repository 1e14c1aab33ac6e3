/*
 * tableline - one line of a table: a key and perhaps a value.
 *
 * Owns nothing.
 */
#include "policy/tableline.h"

#include "policy/vocabulary/utf8.h"

/* Where in the line we are. */
struct cursor {
    char *at, *end, *start;
    struct tableline *line;
};

static bool is_space(char c)
{
    return c == ' ' || c == '\t';
}

static void skip_space(struct cursor *c)
{
    while (c->at < c->end && is_space(*c->at))
        c->at++;
}

static struct span fail(struct cursor *c, const char *at, const char *what)
{
    c->line->fault = what;
    c->line->fault_at = (size_t)(at - c->start);
    return span_make(NULL, 0);
}

/* What stands between quotes; the bytes move together where one was doubled. */
static struct span take_quoted(struct cursor *c)
{
    char quote = *c->at, *first = ++c->at, *to = first;

    for (; c->at < c->end; c->at++) {
        if (*c->at == quote) {
            bool is_twice =
                quote == '\'' && c->at + 1 < c->end && c->at[1] == quote;

            if (!is_twice)
                break;
            c->at++;
        }
        *to++ = *c->at;
    }
    if (c->at == c->end)
        return fail(c, first - 1, "has a quote that is not closed");
    c->at++;
    if (c->at < c->end && !is_space(*c->at))
        return fail(c, c->at,
                    "goes on after the quote; what has quotes in it is written "
                    "between ' and '");
    return span_make(first, (size_t)(to - first));
}

static struct span take_word(struct cursor *c)
{
    char *first = c->at;

    while (c->at < c->end && !is_space(*c->at))
        c->at++;
    return span_make(first, (size_t)(c->at - first));
}

/* All up to a comment. */
static struct span take_text(struct cursor *c)
{
    char *first = c->at, *end;

    while (c->at < c->end &&
           !(*c->at == '#' && (c->at == first || is_space(c->at[-1]))))
        c->at++;
    for (end = c->at; end > first && is_space(end[-1]);)
        end--;
    return span_make(first, (size_t)(end - first));
}

static bool is_at_quote(const struct cursor *c)
{
    return c->at < c->end && (*c->at == '\'' || *c->at == '"');
}

/* A line that an editor would not show as one. */
static bool has_control(struct cursor *c)
{
    for (const char *p = c->at; p < c->end; p++) {
        if (((unsigned char)*p < ' ' && *p != '\t') || *p == 0x7f) {
            (void)fail(c, p, "has a control character");
            return true;
        }
    }
    return false;
}

static void read_value(struct cursor *c)
{
    struct tableline *line = c->line;

    skip_space(c);
    if (c->at == c->end || *c->at == '#')
        return;
    if (!is_at_quote(c)) {
        line->value = take_text(c);
    } else {
        line->value = take_quoted(c);
        skip_space(c);
        if (!line->fault && c->at < c->end && *c->at != '#')
            (void)fail(c, c->at, "goes on after the value's quote");
    }
    if (!line->fault && line->value.len > TABLE_VALUE_MOST)
        (void)fail(c, line->value.at, "has a value longer than 65535 bytes");
}

struct tableline tableline_read(char *at, size_t len)
{
    struct tableline line = { 0 };
    struct cursor c = { at, at + len, at, &line };

    if (len && at[len - 1] == '\r')
        c.end--;
    skip_space(&c);
    if (c.at == c.end || *c.at == '#' || has_control(&c))
        return line;
    line.key = is_at_quote(&c) ? take_quoted(&c) : take_word(&c);
    if (line.fault)
        return line;
    if (line.key.len == 0)
        (void)fail(&c, c.start, "has an empty key");
    else if (line.key.len > TABLE_KEY_MOST)
        (void)fail(&c, line.key.at, "has a key longer than 1024 bytes");
    else if (!utf8_is_valid(line.key))
        (void)fail(&c, line.key.at, "has a key that is not UTF-8");
    else
        read_value(&c);
    return line;
}
