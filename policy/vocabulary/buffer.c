/*
 * buffer - bytes being built, with a cap.
 */
#include "policy/vocabulary/buffer.h"

#include "policy/vocabulary/error.h"
#include "policy/vocabulary/memory.h"
#include "policy/vocabulary/utf8.h"

#include <stdio.h>
#include <stdlib.h>

enum { BUFFER_FIRST = 256 };

char *buffer_room(struct buffer *b, size_t n)
{
    size_t need = b->len + n + 1; /* one more for buffer_string */

    if (b->cap && b->len + n > b->cap) {
        b->overflow = true;
        return NULL;
    }
    if (need > b->size) {
        size_t size = b->size ? b->size : BUFFER_FIRST;

        while (size < need)
            size *= 2;
        b->at = memory_grow(b->at, size);
        b->size = size;
    }
    return b->at + b->len;
}

void buffer_grew(struct buffer *b, size_t n)
{
    ASSERT(b->len + n < b->size);
    b->len += n;
}

void buffer_put(struct buffer *b, struct span s)
{
    char *room = s.len ? buffer_room(b, s.len) : NULL;

    if (!room)
        return;
    memcpy(room, s.at, s.len);
    b->len += s.len;
}

void buffer_put_byte(struct buffer *b, char c)
{
    buffer_put(b, (struct span){ &c, 1 });
}

void buffer_put_string(struct buffer *b, const char *string)
{
    buffer_put(b, span_of(string));
}

void buffer_vprintf(struct buffer *b, const char *format, va_list args)
{
    va_list again;
    int n;
    char *room;

    va_copy(again, args);
    /* NOLINTNEXTLINE(clang-analyzer-valist.Uninitialized): the caller's */
    n = vsnprintf(NULL, 0, format, args);
    ASSERT(n >= 0);
    room = buffer_room(b, (size_t)n);
    if (room) {
        (void)vsnprintf(room, (size_t)n + 1, format, again);
        b->len += (size_t)n;
    }
    va_end(again);
}

void buffer_printf(struct buffer *b, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    buffer_vprintf(b, format, args);
    va_end(args);
}

static bool is_hex(char c)
{
    return (c >= '0' && c <= '9') || (c >= 'A' && c <= 'F');
}

/* Was this put here before? "\x1B" */
static bool is_escape(struct span s)
{
    return s.len >= 4 && s.at[0] == '\\' && s.at[1] == 'x' && is_hex(s.at[2]) &&
           is_hex(s.at[3]);
}

/* Bytes at the start that stay as they are: most texts are nothing else. */
static size_t plain_bytes(struct span s)
{
    size_t n = 0;

    while (n < s.len && s.at[n] >= ' ' && s.at[n] < 0x7f && s.at[n] != '\\')
        n++;
    return n;
}

void buffer_put_escaped(struct buffer *b, struct span s)
{
    while (s.len) {
        /* under a cap as many characters as fit are kept */
        size_t n = b->cap ? 0 : plain_bytes(s);

        if (n == 0)
            n = is_escape(s) ? 4 : utf8_is_showable(s);
        if (n && (n == 4 || s.at[0] != '\\')) {
            buffer_put(b, span_first(s, n));
            s = span_skip(s, n);
        } else {
            buffer_printf(b, "\\x%02X", (unsigned char)s.at[0]);
            s = span_skip(s, 1);
        }
    }
}

void buffer_drop(struct buffer *b, size_t n)
{
    ASSERT(n <= b->len);
    if (n && n < b->len)
        memmove(b->at, b->at + n, b->len - n);
    b->len -= n;
}

void buffer_clear(struct buffer *b)
{
    b->len = 0;
    b->overflow = false;
}

void buffer_fini(struct buffer *b)
{
    free(b->at);
    *b = (struct buffer){ .cap = b->cap };
}

const char *buffer_string(struct buffer *b)
{
    if (b->len == b->size)
        b->at = memory_grow(b->at, b->size = b->len + 1);
    b->at[b->len] = '\0';
    return b->at;
}
