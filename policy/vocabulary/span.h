/*
 * span - bytes that belong to somebody else.
 *
 * Passed by value, borrowed for the call, never ending in NUL unless said so.
 * Bytes of a span may be anything; a peer chose them.
 */
#ifndef WAYPOST_SPAN_H
#define WAYPOST_SPAN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

struct span {
    const char *at; /* may be NULL when len is 0 */
    size_t len;
};

/* A string literal as a span; SPAN_INIT for static initialisers. */
#define SPAN(literal)      ((struct span){ "" literal, sizeof(literal) - 1 })
#define SPAN_INIT(literal) { "" literal, sizeof(literal) - 1 }

/* For printf's "%.*s". Only for bytes that are known to be harmless. */
#define SPAN_FMT(s) (int)(s).len, (s).at ? (s).at : ""

static inline struct span span_of(const char *string)
{
    return (struct span){ string, string ? strlen(string) : 0 };
}

static inline struct span span_make(const char *at, size_t len)
{
    return (struct span){ at, len };
}

/* The first n bytes, or all when there are fewer. */
static inline struct span span_first(struct span s, size_t n)
{
    return (struct span){ s.at, n < s.len ? n : s.len };
}

/* What is left without the first n bytes. */
static inline struct span span_skip(struct span s, size_t n)
{
    n = n < s.len ? n : s.len;
    return (struct span){ n ? s.at + n : s.at, s.len - n };
}

static inline bool span_is(struct span a, struct span b)
{
    return a.len == b.len && (a.len == 0 || memcmp(a.at, b.at, a.len) == 0);
}

/* The same texts in the same order? */
bool span_lists_are_same(const struct span *a, size_t a_count,
                         const struct span *b, size_t b_count);

/* ASCII case only; bytes over 127 compare as they are. */
bool span_is_nocase(struct span a, struct span b);
bool span_starts_nocase(struct span s, struct span prefix);
bool span_ends_nocase(struct span s, struct span suffix);
/* Is s the word, or the word and more behind a space? An empty word never is. */
bool span_begins_nocase(struct span s, struct span word);

/* Offset of the first byte c, or s.len. */
size_t span_find(struct span s, char c);
/* Offset of the last byte c, or s.len when there is none. */
size_t span_find_last(struct span s, char c);

/* Without spaces and tabs at both ends. */
struct span span_trim(struct span s);

/*
 * Splits off what stands before the first byte c; *rest is what follows it
 * (empty, at == NULL, when c does not occur).
 */
struct span span_split(struct span s, char c, struct span *rest);

/* Decimal digits only, no sign, no space; false when not so or too large. */
bool span_number(struct span s, uint64_t *out_number);

static inline char ascii_lower(char c)
{
    return c >= 'A' && c <= 'Z' ? (char)(c | 0x20) : c;
}

/* Is c one of the characters of this string? NUL never is. */
static inline bool is_one_of(char c, const char *set)
{
    return c != '\0' && strchr(set, c) != NULL;
}

/* A NUL-terminated heap copy; the caller frees it. */
char *span_dup(struct span s);

#endif
