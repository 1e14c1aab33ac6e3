/*
 * buffer - bytes being built, with a cap.
 *
 * A zeroed buffer is empty and has no cap. What does not fit under the cap is
 * left out whole, and `overflow` stays set until the buffer is cleared, so a
 * chain of puts may be checked once at its end.
 */
#ifndef WAYPOST_BUFFER_H
#define WAYPOST_BUFFER_H

#include "policy/vocabulary/span.h"

#include <stdarg.h>

struct buffer {
    char *at;
    size_t len;
    size_t size;    /* allocated */
    size_t cap;     /* most bytes it may hold; 0: no cap */
    bool overflow;  /* something did not fit */
};

void buffer_put(struct buffer *b, struct span s);
void buffer_put_byte(struct buffer *b, char c);
void buffer_put_string(struct buffer *b, const char *string);
void buffer_printf(struct buffer *b, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
void buffer_vprintf(struct buffer *b, const char *format, va_list args)
    __attribute__((format(printf, 2, 0)));

/*
 * Bytes of a stranger, made safe to show on one line: printable ASCII and well
 * formed UTF-8 without control, separator or direction characters stay;
 * everything else, and the backslash, becomes \xHH. What is so already stays, so that text
 * may be escaped where it is put together and again where it is shown.
 */
void buffer_put_escaped(struct buffer *b, struct span s);

/* Room for n more bytes at the end (NULL when over the cap); then buffer_grew. */
char *buffer_room(struct buffer *b, size_t n);
void buffer_grew(struct buffer *b, size_t n);

/* Drops the first n bytes. */
void buffer_drop(struct buffer *b, size_t n);
/* Empty, memory kept. */
void buffer_clear(struct buffer *b);
/* Memory given back; the buffer may be used again, its cap stays. */
void buffer_fini(struct buffer *b);

static inline struct span buffer_span(const struct buffer *b)
{
    return (struct span){ b->at, b->len };
}

/* NUL-terminated view; valid until the next change. */
const char *buffer_string(struct buffer *b);

#endif
