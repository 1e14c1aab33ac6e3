/*
 * top_flow - what flows and what waits, as bars over the last hour, and what needs somebody.
 */
#include "relay/main/top_flow.h"

#include "relay/admin/listing.h"

enum { BAR_MOST = 360, SHADES = 8, SHADES_PLAIN = 7 };

/* ---------------------------------------------------------------- figures ---- */

static double highest(const json_t *points)
{
    double most = 0;
    const json_t *v;
    size_t i;

    json_array_foreach(points, i, v)
    {
        if (json_number_value(v) > most)
            most = json_number_value(v);
    }
    return most;
}

/* The highest of the points that fall into one column. */
static double column_of(const json_t *points, size_t at, size_t columns)
{
    size_t n = json_array_size(points);
    size_t from = at * n / columns, to = (at + 1) * n / columns;
    double most = -1;

    for (size_t i = from; i < to || i == from; i++) {
        const json_t *v = json_array_get(points, i);

        if (json_is_number(v) && json_number_value(v) > most)
            most = json_number_value(v);
    }
    return most;
}

/* The last hour, as high as its highest point. */
static void put_bar(struct buffer *b, const json_t *points, size_t columns,
                    bool is_utf8)
{
    static const char *const blocks[SHADES] = { "▁", "▂", "▃", "▄",
                                                "▅", "▆", "▇", "█" };
    static const char plain[] = ".:-=+*#";
    size_t shades = is_utf8 ? SHADES : SHADES_PLAIN;
    double most = highest(points);

    for (size_t i = 0; i < columns && json_array_size(points); i++) {
        double v = column_of(points, i, columns);
        size_t shade =
            most > 0 ? (size_t)(v / most * ((double)shades - 1) + 0.5) : 0;

        if (v <= 0) /* a dot: it was not up yet */
            buffer_put_string(b, v == 0 || !is_utf8 ? " " : "·");
        else if (is_utf8)
            buffer_put_string(b, blocks[shade]);
        else
            buffer_put_byte(b, plain[shade]);
    }
}

static void put_figures(struct top_page *p)
{
    static const struct {
        const char *name, *unit;
        enum paper_colour colour;
    } rows[] = {
        { "accepted", "/s", PAPER_GOOD },  { "refused", "/s", PAPER_BAD },
        { "delivered", "/s", PAPER_GOOD }, { "deferred", "/s", PAPER_DOUBTFUL },
        { "returned", "/s", PAPER_BAD },   { "ready", "", PAPER_PLAIN },
        { "waiting", "", PAPER_DOUBTFUL }, { "held", "", PAPER_DOUBTFUL },
    };
    const json_t *now = json_object_get(p->f->flow, "now");
    const json_t *series = json_object_get(p->f->flow, "series");
    bool has_most = p->look->columns >= 60;
    size_t before = has_most ? 35 : 24;
    size_t width = p->look->columns > before ? p->look->columns - before : 0;
    struct buffer t = { 0 };

    buffer_printf(&t, "%20s  %s%s", "NOW", has_most ? "      MOST  " : "",
                  "LAST HOUR");
    if (width < BAR_MOST && p->look->columns > t.len + 5)
        buffer_printf(&t, "%*s", (int)(p->look->columns - t.len - 2), "NOW");
    top_page_row(p, PAPER_FAINT, &t);
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        double v = json_number_value(json_object_get(now, rows[i].name));

        buffer_printf(&t, "%-10s %9.*f%-2s ", rows[i].name,
                      *rows[i].unit ? 1 : 0, v, rows[i].unit);
        if (has_most)
            buffer_printf(&t, "%9.*f  ", *rows[i].unit ? 1 : 0,
                          highest(json_object_get(series, rows[i].name)));
        put_bar(&t, json_object_get(series, rows[i].name),
                width < BAR_MOST ? width : BAR_MOST, p->look->is_utf8);
        top_page_row(p, v > 0 ? rows[i].colour : PAPER_PLAIN, &t);
    }
    buffer_fini(&t);
}

/* ---------------------------------------------------------------- trouble ---- */

/* The host, without how it is reached, which is told elsewhere. */
static void put_host(struct buffer *b, struct span name)
{
    size_t colon;

    if (span_starts_nocase(name, SPAN("smtp://"))) {
        name = span_skip(name, 7);
        name = span_first(name, span_find(name, ' '));
        colon = span_find_last(name, ':');
        name = span_is(span_skip(name, colon), SPAN(":25"))
                   ? span_first(name, colon)
                   : name;
    }
    buffer_put(b, name);
}

static void put_one_trouble(struct top_page *p, const json_t *o,
                            struct buffer *t)
{
    bool is_down = paper_is(o, "state", "backing-off");
    int64_t left = paper_number(o, "due") - p->f->now_s;

    put_host(t, paper_span(o, "name"));
    buffer_printf(t, " %s, %lld wait", is_down ? "is down" : "is suspended",
                  (long long)paper_number(o, "waiting"));
    if (left > 0) {
        buffer_put_string(t, is_down ? ", next attempt in " : ", goes on in ");
        listing_put_duration(t, left);
    }
    top_page_row(p, is_down ? PAPER_BAD : PAPER_DOUBTFUL, t);
    buffer_put_string(t, "  ");
    buffer_put(t, paper_span(o, "reason"));
    top_page_row(p, PAPER_PLAIN, t);
}

/* What somebody should look at, where there is room for it below the flow. */
static void put_trouble(struct top_page *p)
{
    static const char *const what[] = { "backing-off", "suspended" };
    struct buffer t = { 0 };
    size_t n = 0, i;
    const json_t *o;

    top_page_gap(p);
    buffer_put_string(&t, "WHAT NEEDS YOU");
    top_page_row(p, PAPER_FAINT, &t);
    for (size_t k = 0; k < sizeof(what) / sizeof(what[0]); k++)
        json_array_foreach(p->f->destinations, i, o)
        {
            if (!paper_is(o, "state", what[k]) || !paper_number(o, "waiting"))
                continue;
            put_one_trouble(p, o, &t);
            n++;
        }
    if (n == 0) {
        buffer_put_string(&t, "nothing: no destination is down or suspended");
        top_page_row(p, PAPER_PLAIN, &t);
    }
    buffer_fini(&t);
}

void top_flow_put(struct top_page *p)
{
    put_figures(p);
    if (p->look->view == TOP_FLOW && p->f->destinations)
        put_trouble(p);
}
