/*
 * utf8 - is this text, and may a terminal see it? RFC 3629.
 */
#include "policy/vocabulary/utf8.h"

/* Lead bytes with their length and the range their second byte must be in. */
static const struct lead {
    unsigned char first, last, length, low, high;
} leads[] = {
    { 0x00, 0x7f, 1, 0x00, 0x00 }, { 0xc2, 0xdf, 2, 0x80, 0xbf },
    { 0xe0, 0xe0, 3, 0xa0, 0xbf }, { 0xe1, 0xec, 3, 0x80, 0xbf },
    { 0xed, 0xed, 3, 0x80, 0x9f }, { 0xee, 0xef, 3, 0x80, 0xbf },
    { 0xf0, 0xf0, 4, 0x90, 0xbf }, { 0xf1, 0xf3, 4, 0x80, 0xbf },
    { 0xf4, 0xf4, 4, 0x80, 0x8f },
};

static const struct lead *find_lead(unsigned char c)
{
    for (size_t i = 0; i < sizeof leads / sizeof leads[0]; i++)
        if (c >= leads[i].first && c <= leads[i].last)
            return &leads[i];
    return NULL;
}

size_t utf8_length(struct span s)
{
    const unsigned char *p = (const unsigned char *)s.at;
    const struct lead *lead = s.len ? find_lead(p[0]) : NULL;

    if (!lead || s.len < lead->length)
        return 0;
    if (lead->length > 1 && (p[1] < lead->low || p[1] > lead->high))
        return 0;
    for (size_t i = 2; i < lead->length; i++)
        if ((p[i] & 0xc0) != 0x80)
            return 0;
    return lead->length;
}

/* Characters that move the cursor, turn the line around, or are not seen at all. */
static const struct range {
    uint32_t first, last;
} unruly[] = {
    { 0x0080, 0x009f },   /* control characters */
    { 0x061c, 0x061c },   /* direction */
    { 0x200b, 0x200b },   /* a space without width */
    { 0x200e, 0x200f },   /* direction */
    { 0x2028, 0x202e },   /* line ends, direction */
    { 0x2060, 0x206f },   /* without width, direction */
    { 0xfeff, 0xfeff },   /* byte order */
    { 0xfff9, 0xfffb },   /* between the lines */
    { 0xe0000, 0xe0fff }, /* tags */
};

static uint32_t code_point(const unsigned char *p, size_t n)
{
    uint32_t c = n == 1 ? p[0] : p[0] & (0x7fU >> n);

    for (size_t i = 1; i < n; i++)
        c = c << 6 | (p[i] & 0x3fU);
    return c;
}

static bool is_unruly(const unsigned char *p, size_t n)
{
    uint32_t c = code_point(p, n);

    for (size_t i = 0; i < sizeof unruly / sizeof unruly[0]; i++)
        if (c >= unruly[i].first && c <= unruly[i].last)
            return true;
    return false;
}

size_t utf8_is_showable(struct span s)
{
    const unsigned char *p = (const unsigned char *)s.at;
    size_t n;

    if (s.len && p[0] < 0x80)
        return p[0] >= 0x20 && p[0] < 0x7f ? 1 : 0;
    n = utf8_length(s);
    return n && !is_unruly(p, n) ? n : 0;
}

bool utf8_is_valid(struct span s)
{
    while (s.len) {
        size_t n = utf8_length(s);

        if (n == 0)
            return false;
        s = span_skip(s, n);
    }
    return true;
}

bool utf8_has_high(struct span s)
{
    size_t i = 0;

    for (; i + 8 <= s.len; i += 8) {
        uint64_t word;

        memcpy(&word, s.at + i, 8);
        if (word & 0x8080808080808080u)
            return true;
    }
    for (; i < s.len; i++)
        if ((unsigned char)s.at[i] & 0x80)
            return true;
    return false;
}
