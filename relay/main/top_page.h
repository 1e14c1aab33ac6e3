/*
 * top_page - the rows of the page that `waypost top` draws.
 */
#ifndef WAYPOST_TOP_PAGE_H
#define WAYPOST_TOP_PAGE_H

#include "relay/main/paper.h"
#include "relay/main/top_screen.h"

struct top_page {
    struct buffer *b;
    const struct top_figures *f;
    const struct top_look *look;
    size_t rows; /* that were put */
};

bool top_page_has_room(const struct top_page *p);
/* A row of this text, escaped and cut to the width, where there is room for one; text is
 * cleared for the next. */
void top_page_row(struct top_page *p, enum paper_colour c, struct buffer *text);
void top_page_gap(struct top_page *p);
/* A name in a column of its own, escaped. */
void top_page_column(struct buffer *b, const char *text, size_t width);

#endif
