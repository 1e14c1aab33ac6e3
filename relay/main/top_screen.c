/*
 * top_screen - what the relay is doing, as a page of text for a terminal.
 */
#include "relay/main/top_screen.h"

#include "policy/vocabulary/breadth.h"
#include "policy/vocabulary/error.h"
#include "policy/vocabulary/memory.h"
#include "relay/admin/listing.h"
#include "relay/main/paper.h"
#include "relay/main/top_trouble.h"

#include <stdlib.h>

enum { BAR_MOST = 360, NAME_WIDTH = 34, SHADES = 8, SHADES_PLAIN = 7 };

struct page {
    struct buffer *b;
    const struct top_figures *f;
    const struct top_look *look;
    size_t rows; /* that were put */
};

/* ------------------------------------------------------------------- rows ---- */

static bool has_room(const struct page *p)
{
    return p->look->rows == 0 || p->rows < p->look->rows;
}

static void put_row(struct page *p, enum paper_colour c, struct buffer *text)
{
    struct paper paper = { p->b, NULL, p->look->is_coloured };
    struct buffer clean = { 0 };

    if (has_room(p)) {
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

/* A name in a column of its own. */
static void put_column(struct buffer *b, const char *text, size_t width)
{
    struct buffer clean = { 0 };
    size_t from = b->len;

    buffer_put_escaped(&clean, span_of(text));
    breadth_cut(&clean, 0, width);
    buffer_put(b, buffer_span(&clean));
    breadth_fill(b, from, width);
    buffer_fini(&clean);
}

static void put_gap(struct page *p)
{
    if (has_room(p)) {
        buffer_put_byte(p->b, '\n');
        p->rows++;
    }
}

/* ------------------------------------------------------------------- head ---- */

static void put_head(struct page *p)
{
    const json_t *s = p->f->status, *q = json_object_get(s, "queue");
    struct buffer t = { 0 };

    buffer_printf(&t, "Waypost %s, up ", paper_text(s, "version"));
    listing_put_duration(&t, paper_number(s, "uptime"));
    buffer_printf(&t, ", %lld workers, %lld sessions, %lld open to next hops%s",
                  (long long)paper_number(s, "workers"),
                  (long long)paper_number(s, "sessions"),
                  (long long)paper_number(q, "slots"),
                  paper_is_so(s, "stopping") ? ", STOPPING" : "");
    put_row(p, PAPER_GOOD, &t);
    buffer_printf(&t, "queue: %lld ready, %lld waiting, %lld held; ",
                  (long long)paper_number(q, "messages_ready"),
                  (long long)paper_number(q, "messages_deferred"),
                  (long long)paper_number(q, "messages_held"));
    buffer_printf(&t, "%lld destination%s down; commit %.1f ms, log ",
                  (long long)paper_number(q, "destinations_down"),
                  paper_number(q, "destinations_down") == 1 ? "" : "s",
                  (double)paper_number(q, "commit_us_last") / 1000);
    listing_put_size(&t, paper_number(q, "wal_bytes"));
    buffer_put_string(&t, ", disk ");
    listing_put_size(&t, paper_number(q, "disk_free_bytes"));
    buffer_put_string(&t, " free");
    put_row(p,
            paper_number(q, "destinations_down") ? PAPER_DOUBTFUL : PAPER_PLAIN,
            &t);
    buffer_fini(&t);
}

static void put_troubles(struct page *p)
{
    json_t *lines = top_trouble_lines(p->f->system);
    struct buffer t = { 0 };
    const json_t *line;
    size_t i;

    json_array_foreach(lines, i, line)
    {
        buffer_printf(&t, "! %s", json_string_value(line));
        put_row(p, PAPER_BAD, &t);
    }
    buffer_fini(&t);
    json_decref(lines);
}

static void put_tabs(struct page *p)
{
    static const char *const names[2][TOP_VIEWS] = {
        { [TOP_FLOW] = "1 flow",
          [TOP_DESTINATIONS] = "2 destinations",
          [TOP_REFUSALS] = "3 refusals",
          [TOP_LIVE] = "4 live" },
        { "1 flow", "2 dest", "3 rules", "4 live" },
    };
    bool is_narrow = p->look->columns < 60;
    struct buffer t = { 0 };

    for (int i = 0; i < TOP_VIEWS; i++)
        buffer_printf(&t, (int)p->look->view == i ? "[%s] " : " %s  ",
                      names[is_narrow][i]);
    buffer_put_string(&t, is_narrow ? "q" : "  q quits");
    put_row(p, PAPER_FAINT, &t);
    buffer_fini(&t);
}

/* ------------------------------------------------------------------- flow ---- */

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

static void put_flow(struct page *p)
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
    put_row(p, PAPER_FAINT, &t);
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        double v = json_number_value(json_object_get(now, rows[i].name));

        buffer_printf(&t, "%-10s %9.*f%-2s ", rows[i].name,
                      *rows[i].unit ? 1 : 0, v, rows[i].unit);
        if (has_most)
            buffer_printf(&t, "%9.*f  ", *rows[i].unit ? 1 : 0,
                          highest(json_object_get(series, rows[i].name)));
        put_bar(&t, json_object_get(series, rows[i].name),
                width < BAR_MOST ? width : BAR_MOST, p->look->is_utf8);
        put_row(p, v > 0 ? rows[i].colour : PAPER_PLAIN, &t);
    }
    buffer_fini(&t);
}

/* ----------------------------------------------------------- destinations ---- */

static int by_waiting(const void *a, const void *b)
{
    const json_t *x = *(const json_t *const *)a, *y = *(const json_t *const *)b;
    int64_t n = paper_number(x, "waiting"), m = paper_number(y, "waiting");

    if (n != m)
        return n > m ? -1 : 1;
    return strcmp(paper_text(x, "name"), paper_text(y, "name"));
}

/* On a narrow terminal it is more important what is wrong than how many sessions there are. */
static bool has_figures(const struct page *p)
{
    return p->look->columns >= 76;
}

static size_t name_width(const struct page *p)
{
    return p->look->columns >= 3 * NAME_WIDTH ? NAME_WIDTH
           : has_figures(p)                   ? p->look->columns / 3
                                              : p->look->columns * 2 / 5;
}

static void put_destination(struct page *p, const json_t *o, struct buffer *t)
{
    bool is_up = paper_is(o, "state", "up");
    int64_t due = paper_number(o, "due"), now = p->f->now_s;
    struct buffer cell = { 0 };

    put_column(t, paper_text(o, "name"), name_width(p));
    buffer_printf(t, " %-11.11s %7lld ", paper_text(o, "state"),
                  (long long)paper_number(o, "waiting"));
    if (has_figures(p))
        buffer_printf(t, "%5lld/%-3lld ", (long long)paper_number(o, "open"),
                      (long long)paper_number(o, "window"));
    if (!is_up && due > now)
        listing_put_duration(&cell, due - now);
    else if (!is_up && due)
        buffer_put_string(&cell, "now");
    buffer_printf(t, "%6s ", buffer_string(&cell));
    buffer_clear(&cell);
    if (json_is_integer(json_object_get(o, "delivery_ms")))
        buffer_printf(&cell, "%lldms",
                      (long long)paper_number(o, "delivery_ms"));
    if (has_figures(p))
        buffer_printf(t, "%8s", buffer_string(&cell));
    buffer_put_string(t, "  ");
    buffer_put_escaped(t, span_of(*paper_text(o, "reason")
                                      ? paper_text(o, "reason")
                                      : paper_text(o, "last_reply")));
    buffer_fini(&cell);
    put_row(p,
            is_up                               ? PAPER_PLAIN
            : paper_is(o, "state", "offline")   ? PAPER_FAINT
            : paper_is(o, "state", "suspended") ? PAPER_DOUBTFUL
                                                : PAPER_BAD,
            t);
}

static void put_destinations(struct page *p)
{
    size_t n = json_array_size(p->f->destinations);
    const json_t **all = NEW_ARRAY(const json_t *, n + 1);
    struct buffer t = { 0 };

    for (size_t i = 0; i < n; i++)
        all[i] = json_array_get(p->f->destinations, i);
    /* NOLINTNEXTLINE(bugprone-sizeof-expression): of pointers they are */
    qsort(all, n, sizeof(*all), by_waiting);
    put_column(&t, "DESTINATION", name_width(p));
    buffer_printf(&t, " STATE       WAITING %s  NEXT%s  LAST WORDS",
                  has_figures(p) ? " OPEN     " : " ",
                  has_figures(p) ? "     TIME" : "");
    put_row(p, PAPER_FAINT, &t);
    for (size_t i = 0; i < n && has_room(p); i++)
        put_destination(p, all[i], &t);
    if (n == 0) {
        buffer_put_string(&t, "nothing waits for any, and all are up");
        put_row(p, PAPER_PLAIN, &t);
    }
    buffer_fini(&t);
    free(all);
}

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

static void put_one_trouble(struct page *p, const json_t *o, struct buffer *t)
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
    put_row(p, is_down ? PAPER_BAD : PAPER_DOUBTFUL, t);
    buffer_put_string(t, "  ");
    buffer_put(t, paper_span(o, "reason"));
    put_row(p, PAPER_PLAIN, t);
}

/* What somebody should look at, where there is room for it below the flow. */
static void put_trouble(struct page *p)
{
    static const char *const what[] = { "backing-off", "suspended" };
    struct buffer t = { 0 };
    size_t n = 0, i;
    const json_t *o;

    put_gap(p);
    buffer_put_string(&t, "WHAT NEEDS YOU");
    put_row(p, PAPER_FAINT, &t);
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
        put_row(p, PAPER_PLAIN, &t);
    }
    buffer_fini(&t);
}

static void put_flow_view(struct page *p)
{
    put_flow(p);
    if (p->look->view == TOP_FLOW && p->f->destinations)
        put_trouble(p);
}

/* --------------------------------------------------------------- refusals ---- */

static int64_t count_before(const json_t *before, const json_t *verdict)
{
    const json_t *v;
    size_t i;

    json_array_foreach(json_object_get(before, "verdicts"), i, v)
    {
        if (paper_is(v, "rule", paper_text(verdict, "rule")) &&
            paper_number(v, "code") == paper_number(verdict, "code"))
            return paper_number(v, "count");
    }
    return 0;
}

static void put_refusals(struct page *p)
{
    struct buffer t = { 0 };
    const json_t *v;
    size_t i, n = 0;

    put_column(&t, "RULE", NAME_WIDTH);
    buffer_put_string(&t, " REPLY      COUNT     PER SECOND");
    put_row(p, PAPER_FAINT, &t);
    json_array_foreach(json_object_get(p->f->status, "verdicts"), i, v)
    {
        int64_t count = paper_number(v, "count");
        const char *rule = paper_text(v, "rule");

        if (paper_number(v, "code") < 400)
            continue;
        n++;
        put_column(&t, *rule ? rule : "(by no rule)", NAME_WIDTH);
        buffer_printf(&t, " %5lld %10lld", (long long)paper_number(v, "code"),
                      (long long)count);
        if (p->f->before && p->f->seconds > 0)
            buffer_printf(&t, " %14.1f",
                          (double)(count - count_before(p->f->before, v)) /
                              p->f->seconds);
        put_row(p, PAPER_PLAIN, &t);
    }
    if (n == 0) {
        buffer_put_string(&t, "nothing was refused by a rule");
        put_row(p, PAPER_PLAIN, &t);
    }
    buffer_fini(&t);
}

/* ------------------------------------------------------------------- live ---- */

/* The latest, as many as there is room for. */
static void put_live(struct page *p)
{
    size_t n = json_array_size(p->f->lines);
    size_t room = p->look->rows > p->rows ? p->look->rows - p->rows : n;
    struct buffer t = { 0 };

    for (size_t i = n > room ? n - room : 0; i < n; i++) {
        const char *text = json_string_value(json_array_get(p->f->lines, i));

        buffer_put_string(&t, text ? text : "");
        put_row(p, PAPER_PLAIN, &t);
    }
    if (n == 0) {
        buffer_put_string(&t, "nothing has happened yet");
        put_row(p, PAPER_FAINT, &t);
    }
    buffer_fini(&t);
}

void top_screen_put(struct buffer *b, const struct top_figures *f,
                    const struct top_look *look)
{
    static void (*const views[TOP_VIEWS])(struct page * p) = {
        [TOP_FLOW] = put_flow_view,
        [TOP_DESTINATIONS] = put_destinations,
        [TOP_REFUSALS] = put_refusals,
        [TOP_LIVE] = put_live,
    };
    struct page p = { b, f, look, 0 };

    put_head(&p);
    put_troubles(&p);
    if (look->view != TOP_ALL) {
        put_tabs(&p);
        put_gap(&p);
        views[look->view](&p);
        return;
    }
    for (int i = 0; i < TOP_LIVE; i++) {
        put_gap(&p);
        views[i](&p);
    }
}
