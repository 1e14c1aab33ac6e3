/*
 * top_page - the rows of the page that `waypost top` draws.
 */
#include "relay/main/top_page.h"

#include "policy/vocabulary/breadth.h"

bool top_page_has_room(const struct top_page *p)
{
    return p->look->rows == 0 || p->rows < p->look->rows;
}

void top_page_row(struct top_page *p, enum paper_colour c, struct buffer *text)
{
    struct paper paper = { p->b, NULL, p->look->is_coloured };
    struct buffer clean = { 0 };

    if (top_page_has_room(p)) {
        buffer_put_escaped(&clean, buffer_span(text));
        paper_begin(&paper, c);
        buffer_put(p->b, breadth_first(buffer_span(&clean), p->look->columns));
        paper_end(&paper, c);
        buffer_put_byte(p->b, '\n');
        p->rows++;
    }
    buffer_fini(&clean);
    buffer_clear(text);
}

void top_page_column(struct buffer *b, const char *text, size_t width)
{
    struct buffer clean = { 0 };
    size_t from = b->len;

    buffer_put_escaped(&clean, span_of(text));
    breadth_cut(&clean, 0, width);
    buffer_put(b, buffer_span(&clean));
    breadth_fill(b, from, width);
    buffer_fini(&clean);
}

void top_page_gap(struct top_page *p)
{
    if (top_page_has_room(p)) {
        buffer_put_byte(p->b, '\n');
        p->rows++;
    }
}
