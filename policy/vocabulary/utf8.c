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

/* Characters that move the cursor or turn the line around (U+0080..9F, U+200E/F,
 * U+2028..202E, U+2066..2069, U+FEFF). */
static bool is_unruly(const unsigned char *p, size_t n)
{
    if (n == 2)
        return p[0] == 0xc2 && p[1] < 0xa0;
    if (n != 3)
        return false;
    if (p[0] == 0xef)
        return p[1] == 0xbb && p[2] == 0xbf;
    if (p[0] != 0xe2)
        return false;
    if (p[1] == 0x80)
        return p[2] == 0x8e || p[2] == 0x8f || (p[2] >= 0xa8 && p[2] <= 0xae);
    return p[1] == 0x81 && p[2] >= 0xa6 && p[2] <= 0xa9;
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
