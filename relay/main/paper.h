/*
 * paper - what verbs have to say, on standard output: JSON as it is, or laid out for people.
 *
 * For people text is escaped: strangers may have written it.
 */
#ifndef WAYPOST_PAPER_H
#define WAYPOST_PAPER_H

#include "policy/vocabulary/buffer.h"

#include <jansson.h>

struct paper {
    struct buffer *b;
    const json_t *o; /* that is laid out */
    bool is_coloured;
    size_t width; /* of the terminal; 0: none, nothing is cut */
};

enum paper_colour {
    PAPER_PLAIN,
    PAPER_GOOD,
    PAPER_BAD,
    PAPER_DOUBTFUL,
    PAPER_FAINT,
};

/* On standard output: an object in a line of its own; a text, which is empty then. */
void paper_print_json(const json_t *object);
void paper_print(struct buffer *b);
/* A line as it is, and its end; false: it cannot be written. */
bool paper_print_line(struct span line);
/* What follows is a list, which who asks for it flushes: it is written in large pieces. */
void paper_begin_list(void);
/* Columns of the terminal that standard output is; 0: it is none. */
size_t paper_width(void);
/* May it be coloured? It is a terminal, and NO_COLOR is not set, or empty (no-color.org). */
bool paper_takes_colour(void);

/* Of an object's member; "", false or 0 where there is none of that type. */
const char *paper_text(const json_t *o, const char *key);
struct span paper_span(const json_t *o, const char *key);
bool paper_is(const json_t *o, const char *key, const char *value);
bool paper_is_so(const json_t *o, const char *key);
int64_t paper_number(const json_t *o, const char *key);

void paper_put(struct paper *p, const char *text);
void paper_quote(struct paper *p, const char *text);
/* What stands between is of this colour. */
void paper_begin(struct paper *p, enum paper_colour c);
void paper_end(struct paper *p, enum paper_colour c);

#endif
