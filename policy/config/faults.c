/*
 * faults - everything that is wrong with a configuration, said in one run.
 *
 * Owns the two lists; the texts are the arena's.
 */
#include "policy/config/faults.h"

#include "policy/vocabulary/memory.h"

#include <stdlib.h>

enum { QUOTE_MOST = 80, NAME_MOST = 32 };

struct fault {
    struct place place;
    struct span text;
    size_t number; /* order found, for those at one place */
};

static void add(struct faults *f, struct fault **list, size_t *count,
                size_t *room, struct place place, const char *format,
                va_list args)
{
    struct buffer b = { 0 };

    if (*count == *room) {
        *room = *room ? *room * 2 : 16;
        *list = memory_grow(*list, *room * sizeof **list);
    }
    buffer_vprintf(&b, format, args);
    (*list)[*count] =
        (struct fault){ .place = place,
                        .text = arena_copy(f->arena, buffer_span(&b)),
                        .number = *count };
    (*count)++;
    buffer_fini(&b);
}

void faults_add(struct faults *f, struct place place, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    add(f, &f->faults, &f->fault_count, &f->fault_room, place, format, args);
    va_end(args);
}

void faults_warn(struct faults *f, struct place place, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    add(f, &f->warnings, &f->warning_count, &f->warning_room, place, format,
        args);
    va_end(args);
}

typedef void add_fn(struct faults *f, struct place place, const char *format,
                    ...);

static void add_lines(struct faults *f, const char *file, struct span lines,
                      add_fn *put)
{
    while (lines.len) {
        struct span line = span_split(lines, '\n', &lines), rest, text;
        struct span number = span_split(line, ':', &rest);
        struct span column = span_split(rest, ':', &text);
        uint64_t y = 0, x = 0;

        ASSERT(span_number(number, &y) && span_number(column, &x));
        put(f, (struct place){ file, (unsigned)y, (unsigned)x }, "%s",
            arena_string(f->arena, span_trim(text)));
    }
}

void faults_add_lines(struct faults *f, const char *file, struct span lines)
{
    add_lines(f, file, lines, faults_add);
}

void faults_warn_lines(struct faults *f, const char *file, struct span lines)
{
    add_lines(f, file, lines, faults_warn);
}

static const char *kept(struct faults *f, struct buffer *b)
{
    const char *text = arena_string(f->arena, buffer_span(b));

    buffer_fini(b);
    return text;
}

const char *faults_quote(struct faults *f, struct span text)
{
    struct buffer b = { 0 };

    buffer_put_byte(&b, '"');
    buffer_put_escaped(&b, span_first(text, QUOTE_MOST));
    buffer_put_string(&b, text.len > QUOTE_MOST ? "...\"" : "\"");
    return kept(f, &b);
}

static void put_place(struct buffer *b, struct place place)
{
    buffer_put_escaped(b, span_of(place.file));
    buffer_printf(b, ":%u:%u", place.line, place.column);
}

const char *faults_place(struct faults *f, struct place place)
{
    struct buffer b = { 0 };

    put_place(&b, place);
    return kept(f, &b);
}

static int by_place(const void *left, const void *right)
{
    const struct fault *a = left, *b = right;
    int files = strcmp(a->place.file, b->place.file);

    if (files)
        return files;
    if (a->place.line != b->place.line)
        return a->place.line < b->place.line ? -1 : 1;
    if (a->place.column != b->place.column)
        return a->place.column < b->place.column ? -1 : 1;
    return a->number < b->number ? -1 : 1;
}

static void write_list(struct fault *list, size_t count, const char *prefix,
                       struct buffer *out)
{
    if (count)
        qsort(list, count, sizeof *list, by_place);
    for (size_t i = 0; i < count; i++) {
        put_place(out, list[i].place);
        buffer_printf(out, ": %s", prefix);
        buffer_put(out, list[i].text);
        buffer_put_byte(out, '\n');
    }
}

void faults_write(struct faults *f, struct buffer *out_faults,
                  struct buffer *out_warnings)
{
    write_list(f->faults, f->fault_count, "", out_faults);
    write_list(f->warnings, f->warning_count, "warning: ", out_warnings);
}

void faults_fini(struct faults *f)
{
    free(f->faults);
    free(f->warnings);
    *f = (struct faults){ 0 };
}

static size_t least(size_t a, size_t b)
{
    return a < b ? a : b;
}

/* Edit distance with insertions, deletions and replacements. */
static size_t distance(struct span a, struct span b)
{
    size_t row[NAME_MOST + 1];

    for (size_t j = 0; j <= b.len; j++)
        row[j] = j;
    for (size_t i = 1; i <= a.len; i++) {
        size_t diagonal = row[0];

        row[0] = i;
        for (size_t j = 1; j <= b.len; j++) {
            bool same = ascii_lower(a.at[i - 1]) == ascii_lower(b.at[j - 1]);
            size_t here =
                least(diagonal + !same, least(row[j], row[j - 1]) + 1);

            diagonal = row[j];
            row[j] = here;
        }
    }
    return row[b.len];
}

const char *faults_nearest(struct span text, const char *const *names,
                           size_t count, size_t stride)
{
    const char *best = NULL;
    size_t best_distance = 3;

    if (text.len > NAME_MOST)
        return NULL;
    for (size_t i = 0; i < count; i++) {
        const char *name =
            *(const char *const *)((const char *)names + i * stride);
        struct span s = span_of(name);
        size_t d = s.len <= NAME_MOST ? distance(text, s) : best_distance;

        /* more than a third wrong is another word */
        if (d < best_distance && d * 3 <= s.len + 1) {
            best_distance = d;
            best = name;
        }
    }
    return best;
}
