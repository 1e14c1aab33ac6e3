/*
 * folding - no line longer than a hop takes.
 */
#include "relay/outbound/folding.h"

void folding_init(struct folding *f, size_t most)
{
    *f =
        (struct folding){ .most = most < FOLDING_LEAST ? FOLDING_LEAST : most };
}

void folding_fini(struct folding *f)
{
    buffer_fini(&f->line);
}

/* How many bytes of a header line may stay, so that the next begins with white
 * space; 0: there is none. */
static size_t find_space(const struct folding *f)
{
    for (size_t n = f->most; n > 0; n--)
        if (f->line.at[n] == ' ' || f->line.at[n] == '\t')
            return span_trim(span_make(f->line.at, n)).len ? n : 0;
    return 0;
}

static size_t find_character(const struct folding *f)
{
    size_t n = f->most;

    while (n > f->most - 4 && ((unsigned char)f->line.at[n] & 0xc0) == 0x80)
        n--;
    return n;
}

/* The line is too long: its first part goes out. */
static void cut(struct folding *f, struct buffer *out)
{
    size_t n = f->in_body ? 0 : find_space(f);
    bool at_space = n > 0;

    if (!at_space)
        n = find_character(f);
    buffer_put(out, span_make(f->line.at, n));
    buffer_put_string(out, "\r\n");
    buffer_drop(&f->line, at_space ? n : n - 1);
    if (!at_space)
        f->line.at[0] = ' ';
}

static size_t without_cr(const struct folding *f)
{
    return f->line.len - (f->line.len && f->line.at[f->line.len - 1] == '\r');
}

void folding_put(struct folding *f, struct buffer *out, struct span s)
{
    while (s.len) {
        size_t n = span_find(s, '\n'), room = f->most + 2 - f->line.len;
        bool ends = n < s.len && n <= room;

        if (n > room)
            n = room;
        buffer_put(&f->line, span_first(s, n));
        s = span_skip(s, n + ends);
        while (without_cr(f) > f->most)
            cut(f, out);
        if (!ends)
            continue;
        f->in_body |= without_cr(f) == 0;
        buffer_put_byte(&f->line, '\n');
        buffer_put(out, buffer_span(&f->line));
        buffer_clear(&f->line);
    }
}

void folding_end(struct folding *f, struct buffer *out)
{
    buffer_put(out, buffer_span(&f->line));
    buffer_clear(&f->line);
}
