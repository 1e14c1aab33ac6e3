/*
 * breadth - how wide is text on a terminal?
 *
 * Of well-formed UTF-8 that a terminal may see (utf8_is_showable): most characters take a
 * column, East Asian ones and pictures two, marks that stand on another none. Whatever else
 * there is counts a column for each byte, as it does when it is escaped.
 */
#ifndef WAYPOST_BREADTH_H
#define WAYPOST_BREADTH_H

#include "policy/vocabulary/buffer.h"

size_t breadth_of(struct span text);
/* As much of the start as fits, with the marks that stand on its last character. */
struct span breadth_first(struct span text, size_t columns);
/* What is behind `from` is made to fit; "..." stands for what was left out. */
void breadth_cut(struct buffer *b, size_t from, size_t columns);
/* What is behind `from` is filled with blanks up to so many columns. */
void breadth_fill(struct buffer *b, size_t from, size_t columns);

#endif
