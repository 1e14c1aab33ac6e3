/*
 * mimetext - what a report's lines are made of: clean text, folded lines.
 */
#include "relay/outbound/mimetext.h"

#include "policy/vocabulary/utf8.h"

enum {
    LINE_NICE = 77, /* without CRLF; RFC 5322 2.1.1 */
    WORD_MOST = 900,
};

void mimetext_clean(struct buffer *b, enum mimetext_charset charset,
                    struct span s)
{
    while (s.len) {
        size_t n = utf8_is_showable(s);

        if (n == 0 || (n > 1 && charset == MIMETEXT_ASCII)) {
            n = 1;
            buffer_put_escaped(b, span_first(s, n));
        } else {
            buffer_put(b, span_first(s, n));
        }
        s = span_skip(s, n);
    }
}

/* How much of a word too long for any line goes on this one; characters stay
 * whole. */
static size_t cut_word(struct span word)
{
    size_t n = WORD_MOST;

    if (word.len <= n)
        return word.len;
    while (n > WORD_MOST - 4 && ((unsigned char)word.at[n] & 0xc0) == 0x80)
        n--;
    return n;
}

void mimetext_fold(struct buffer *b, struct span clean, size_t column,
                   const char *indent)
{
    const char *begin = clean.at;

    while (clean.len) {
        struct span gap = clean;
        size_t n;

        while (clean.len && clean.at[0] == ' ')
            clean = span_skip(clean, 1);
        gap = span_first(gap, gap.len - clean.len);
        n = cut_word(span_first(clean, span_find(clean, ' ')));
        if (n && clean.at != begin && column + gap.len + n > LINE_NICE) {
            buffer_put_string(b, "\r\n");
            buffer_put_string(b, indent);
            column = strlen(indent);
        } else {
            buffer_put(b, gap);
            column += gap.len;
        }
        buffer_put(b, span_first(clean, n));
        column += n;
        clean = span_skip(clean, n);
    }
}
