/*
 * breadth - how wide is text on a terminal?
 *
 * Two tables of ranges, from the East Asian widths W and F and the general category Mn of
 * Unicode; the C library's own are those of a locale, which a service may not have.
 */
#include "policy/vocabulary/breadth.h"

#include "policy/vocabulary/utf8.h"

struct range {
    uint32_t first, last;
};

/* clang-format off */
static const struct range wide[] = {
    { 0x1100, 0x115f },   { 0x231a, 0x231b },   { 0x23e9, 0x23ec },   { 0x23f0, 0x23f0 },
    { 0x23f3, 0x23f3 },   { 0x25fd, 0x25fe },   { 0x2614, 0x2615 },   { 0x2648, 0x2653 },
    { 0x267f, 0x267f },   { 0x2693, 0x2693 },   { 0x26a1, 0x26a1 },   { 0x26aa, 0x26ab },
    { 0x26bd, 0x26be },   { 0x26c4, 0x26c5 },   { 0x26ce, 0x26ce },   { 0x26d4, 0x26d4 },
    { 0x26ea, 0x26ea },   { 0x26f2, 0x26f3 },   { 0x26f5, 0x26f5 },   { 0x26fa, 0x26fa },
    { 0x26fd, 0x26fd },   { 0x2705, 0x2705 },   { 0x270a, 0x270b },   { 0x2728, 0x2728 },
    { 0x274c, 0x274c },   { 0x274e, 0x274e },   { 0x2753, 0x2755 },   { 0x2757, 0x2757 },
    { 0x2795, 0x2797 },   { 0x27b0, 0x27b0 },   { 0x27bf, 0x27bf },   { 0x2b1b, 0x2b1c },
    { 0x2b50, 0x2b50 },   { 0x2b55, 0x2b55 },   { 0x2e80, 0x303e },   { 0x3041, 0x4dbf },
    { 0x4e00, 0xa4cf },   { 0xa960, 0xa97f },   { 0xac00, 0xd7a3 },   { 0xf900, 0xfaff },
    { 0xfe10, 0xfe19 },   { 0xfe30, 0xfe6f },   { 0xff01, 0xff60 },   { 0xffe0, 0xffe6 },
    { 0x16fe0, 0x18aff }, { 0x1b000, 0x1b2ff }, { 0x1f004, 0x1f004 }, { 0x1f0cf, 0x1f0cf },
    { 0x1f18e, 0x1f18e }, { 0x1f191, 0x1f19a }, { 0x1f200, 0x1f320 }, { 0x1f32d, 0x1f335 },
    { 0x1f337, 0x1f37c }, { 0x1f37e, 0x1f393 }, { 0x1f3a0, 0x1f3ca }, { 0x1f3cf, 0x1f3d3 },
    { 0x1f3e0, 0x1f3f0 }, { 0x1f3f4, 0x1f3f4 }, { 0x1f3f8, 0x1f43e }, { 0x1f440, 0x1f440 },
    { 0x1f442, 0x1f4fc }, { 0x1f4ff, 0x1f53d }, { 0x1f54b, 0x1f54e }, { 0x1f550, 0x1f567 },
    { 0x1f57a, 0x1f57a }, { 0x1f595, 0x1f596 }, { 0x1f5a4, 0x1f5a4 }, { 0x1f5fb, 0x1f64f },
    { 0x1f680, 0x1f6c5 }, { 0x1f6cc, 0x1f6cc }, { 0x1f6d0, 0x1f6d2 }, { 0x1f6d5, 0x1f6d7 },
    { 0x1f6dc, 0x1f6df }, { 0x1f6eb, 0x1f6ec }, { 0x1f6f4, 0x1f6fc }, { 0x1f7e0, 0x1f7f0 },
    { 0x1f90c, 0x1f9ff }, { 0x1fa70, 0x1faff }, { 0x20000, 0x3fffd },
};

static const struct range marks[] = {
    { 0x0300, 0x036f },   { 0x0483, 0x0489 },   { 0x0591, 0x05bd },   { 0x05bf, 0x05bf },
    { 0x05c1, 0x05c2 },   { 0x05c4, 0x05c5 },   { 0x0610, 0x061a },   { 0x064b, 0x065f },
    { 0x0670, 0x0670 },   { 0x06d6, 0x06dc },   { 0x06df, 0x06e4 },   { 0x093a, 0x093a },
    { 0x093c, 0x093c },   { 0x0941, 0x0948 },   { 0x094d, 0x094d },   { 0x0e31, 0x0e31 },
    { 0x0e34, 0x0e3a },   { 0x0e47, 0x0e4e },   { 0x1ab0, 0x1aff },   { 0x1dc0, 0x1dff },
    { 0x20d0, 0x20f0 },   { 0x302a, 0x302d },   { 0x3099, 0x309a },   { 0xfe00, 0xfe0f },
    { 0xfe20, 0xfe2f },
};
/* clang-format on */

static bool is_in(const struct range *ranges, size_t count, uint32_t c)
{
    size_t low = 0, high = count;

    while (low < high) {
        size_t middle = (low + high) / 2;

        if (c > ranges[middle].last)
            low = middle + 1;
        else
            high = middle;
    }
    return low < count && c >= ranges[low].first;
}

static uint32_t decoded(struct span s, size_t n)
{
    static const unsigned char first[] = { 0, 0x7f, 0x1f, 0x0f, 0x07 };
    uint32_t c = (unsigned char)s.at[0] & first[n];

    for (size_t i = 1; i < n; i++)
        c = c << 6 | ((unsigned char)s.at[i] & 0x3f);
    return c;
}

/* Columns of the first character; its bytes go to *out_n. */
static size_t first_of(struct span s, size_t *out_n)
{
    size_t n = utf8_length(s);
    uint32_t c;

    *out_n = n ? n : 1;
    if (n < 2)
        return 1;
    c = decoded(s, n);
    if (is_in(marks, sizeof(marks) / sizeof(marks[0]), c))
        return 0;
    return is_in(wide, sizeof(wide) / sizeof(wide[0]), c) ? 2 : 1;
}

size_t breadth_of(struct span text)
{
    size_t sum = 0, n;

    for (; text.len; text = span_skip(text, n))
        sum += first_of(text, &n);
    return sum;
}

struct span breadth_first(struct span text, size_t columns)
{
    size_t at = 0, n;

    for (; at < text.len; at += n) {
        size_t wide_by = first_of(span_skip(text, at), &n);

        if (wide_by > columns)
            break;
        columns -= wide_by;
    }
    return span_first(text, at);
}

void breadth_cut(struct buffer *b, size_t from, size_t columns)
{
    static const size_t dots = 3;
    struct span text = span_skip(buffer_span(b), from);

    if (breadth_of(text) <= columns)
        return;
    b->len =
        from + breadth_first(text, columns > dots ? columns - dots : 0).len;
    buffer_put(b, span_first(SPAN("..."), columns));
}

void breadth_fill(struct buffer *b, size_t from, size_t columns)
{
    size_t n = breadth_of(span_skip(buffer_span(b), from));

    for (; n < columns; n++)
        buffer_put_byte(b, ' ');
}
