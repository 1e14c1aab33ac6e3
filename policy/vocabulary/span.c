/*
 * span - comparing and cutting borrowed bytes.
 */
#include "policy/vocabulary/span.h"

#include "policy/vocabulary/memory.h"

bool span_lists_are_same(const struct span *a, size_t a_count,
                         const struct span *b, size_t b_count)
{
    if (a_count != b_count)
        return false;
    for (size_t i = 0; i < a_count; i++)
        if (!span_is(a[i], b[i]))
            return false;
    return true;
}

bool span_is_nocase(struct span a, struct span b)
{
    if (a.len != b.len)
        return false;
    for (size_t i = 0; i < a.len; i++)
        if (ascii_lower(a.at[i]) != ascii_lower(b.at[i]))
            return false;
    return true;
}

bool span_starts_nocase(struct span s, struct span prefix)
{
    return s.len >= prefix.len && span_is_nocase(span_first(s, prefix.len), prefix);
}

bool span_begins_nocase(struct span s, struct span word)
{
    return word.len && span_starts_nocase(s, word) &&
           (s.len == word.len || s.at[word.len] == ' ');
}

bool span_ends_nocase(struct span s, struct span suffix)
{
    return s.len >= suffix.len &&
           span_is_nocase(span_skip(s, s.len - suffix.len), suffix);
}

size_t span_find(struct span s, char c)
{
    const char *hit = s.len ? memchr(s.at, c, s.len) : NULL;

    return hit ? (size_t)(hit - s.at) : s.len;
}

size_t span_find_last(struct span s, char c)
{
    const char *hit = s.len ? memrchr(s.at, c, s.len) : NULL;

    return hit ? (size_t)(hit - s.at) : s.len;
}

static bool is_blank(char c)
{
    return c == ' ' || c == '\t';
}

struct span span_trim(struct span s)
{
    while (s.len && is_blank(s.at[0]))
        s = span_skip(s, 1);
    while (s.len && is_blank(s.at[s.len - 1]))
        s.len--;
    return s;
}

struct span span_split(struct span s, char c, struct span *rest)
{
    size_t n = span_find(s, c);

    *rest = n < s.len ? span_skip(s, n + 1) : (struct span){ NULL, 0 };
    return span_first(s, n);
}

bool span_number(struct span s, uint64_t *out_number)
{
    uint64_t n = 0;

    if (s.len == 0)
        return false;
    for (size_t i = 0; i < s.len; i++) {
        if (s.at[i] < '0' || s.at[i] > '9')
            return false;
        if (__builtin_mul_overflow(n, 10, &n) ||
            __builtin_add_overflow(n, (uint64_t)(s.at[i] - '0'), &n))
            return false;
    }
    *out_number = n;
    return true;
}

char *span_dup(struct span s)
{
    char *copy = memory_take(s.len + 1);

    if (s.len)
        memcpy(copy, s.at, s.len);
    copy[s.len] = '\0';
    return copy;
}
