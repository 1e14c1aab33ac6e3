/*
 * queue_print - waiting mail on paper.
 */
#include "relay/main/queue_print.h"

#include "policy/vocabulary/breadth.h"
#include "relay/admin/listing.h"

#include <time.h>

enum {
    NAME_COLUMNS = 30,
    NAME_LEAST = 12,
    NAME_MOST = 60,
    CELLS = 11,
    DIALOGUES_SHOWN = 3
};

static void put_moment(struct buffer *b, int64_t s)
{
    time_t t = (time_t)s;
    char text[64];
    struct tm tm;

    if (localtime_r(&t, &tm) &&
        strftime(text, sizeof(text), "%Y-%m-%d %H:%M:%S %z", &tm))
        buffer_put_string(b, text);
}

static enum paper_colour colour_of(const char *state)
{
    if (strcmp(state, "active") == 0 || strcmp(state, "ready") == 0)
        return PAPER_GOOD;
    if (strcmp(state, "deferred") == 0)
        return PAPER_DOUBTFUL;
    return strcmp(state, "held") == 0 ? PAPER_BAD : PAPER_FAINT;
}

static void put_coloured(struct paper *p, enum paper_colour c, const char *text)
{
    paper_begin(p, c);
    paper_put(p, text);
    paper_end(p, c);
}

/* ------------------------------------------------------- one message ---- */

static void put_fact(struct paper *p, const char *name, struct span value)
{
    if (!value.len)
        return;
    buffer_printf(p->b, "%-9s ", name);
    buffer_put_escaped(p->b, value);
    buffer_put_byte(p->b, '\n');
}

static void put_tries(struct paper *p, const json_t *tries)
{
    const json_t *one;
    size_t i;

    json_array_foreach(tries, i, one)
    {
        buffer_put_string(p->b, "      ");
        put_moment(p->b, paper_number(one, "at"));
        buffer_put_string(p->b, "  ");
        if (*paper_text(one, "host")) {
            paper_put(p, paper_text(one, "host"));
            buffer_put_string(p->b, ": ");
        }
        paper_put(p, paper_text(one, "reply"));
        buffer_put_byte(p->b, '\n');
    }
}

static void put_where(struct paper *p, const json_t *r)
{
    if (!*paper_text(r, "destination"))
        return;
    buffer_put_string(p->b, "    to ");
    paper_put(p, paper_text(r, "destination"));
    if (*paper_text(r, "route")) {
        buffer_put_string(p->b, ", route ");
        paper_quote(p, paper_text(r, "route"));
    }
    buffer_put_byte(p->b, '\n');
}

/* Each recipient is judged for itself; the log's line has the first one's rule. */
static void put_ruling(struct paper *p, const json_t *r)
{
    if (!*paper_text(r, "rule"))
        return;
    buffer_put_string(p->b, "    let in by rule ");
    paper_quote(p, paper_text(r, "rule"));
    if (*paper_text(r, "place")) {
        buffer_put_string(p->b, " (");
        paper_put(p, paper_text(r, "place"));
        buffer_put_byte(p->b, ')');
    }
    buffer_put_byte(p->b, '\n');
}

static void put_recipient(struct paper *p, const json_t *r)
{
    int64_t attempts = paper_number(r, "attempts");

    buffer_put_string(p->b, "  ");
    paper_put(p, paper_text(r, "address"));
    buffer_put_string(p->b, "\n    ");
    put_coloured(p, colour_of(paper_text(r, "state")), paper_text(r, "state"));
    buffer_printf(p->b, ", %lld attempt%s", (long long)attempts,
                  attempts == 1 ? "" : "s");
    if (*paper_text(r, "why")) {
        buffer_put_string(p->b, ": ");
        paper_put(p, paper_text(r, "why"));
    }
    buffer_put_byte(p->b, '\n');
    put_where(p, r);
    put_ruling(p, r);
    put_tries(p, json_object_get(r, "tries"));
}

static void put_lines(struct paper *p, const char *before, struct span text)
{
    while (text.len) {
        struct span line = span_split(text, '\n', &text);

        buffer_put_string(p->b, before);
        buffer_put_escaped(p->b, line);
        buffer_put_byte(p->b, '\n');
    }
}

static void put_dialogues(struct paper *p, const json_t *dialogues)
{
    const json_t *one, *line;
    size_t i, k;

    json_array_foreach(dialogues, i, one)
    {
        if (i == DIALOGUES_SHOWN)
            break;
        buffer_put_string(p->b, "said on ");
        put_moment(p->b, paper_number(one, "at"));
        if (*paper_text(one, "host")) {
            buffer_put_string(p->b, " with ");
            paper_put(p, paper_text(one, "host"));
        }
        buffer_put_byte(p->b, '\n');
        json_array_foreach(json_object_get(one, "lines"), k, line)
        {
            const char *text = json_string_value(line);
            enum paper_colour c =
                text && *text == '<' ? PAPER_PLAIN : PAPER_FAINT;

            buffer_put_string(p->b, "  ");
            put_coloured(p, c, text ? text : "");
            buffer_put_byte(p->b, '\n');
        }
    }
}

static void put_origin(struct paper *p)
{
    put_fact(p, "client", paper_span(p->o, "client"));
    put_fact(p, "name", paper_span(p->o, "client_name"));
    put_fact(p, "greeting", paper_span(p->o, "helo"));
    put_fact(p, "login", paper_span(p->o, "login"));
    put_fact(p, "listener", paper_span(p->o, "listener"));
    put_fact(p, "TLS", paper_span(p->o, "tls"));
}

void queue_print_story(struct paper *p, int64_t now_s)
{
    int64_t arrived = paper_number(p->o, "arrival_time");
    const json_t *r;
    size_t i;

    put_fact(p, "message", paper_span(p->o, "queue_id"));
    buffer_printf(p->b, "%-9s ", "state");
    put_coloured(p, colour_of(paper_text(p->o, "state")),
                 paper_text(p->o, "state"));
    buffer_put_byte(p->b, '\n');
    put_fact(p, "from", paper_span(p->o, "sender"));
    buffer_printf(p->b, "%-9s %lld bytes\n%-9s ", "size",
                  (long long)paper_number(p->o, "message_size"), "arrived");
    put_moment(p->b, arrived);
    buffer_put_string(p->b, ", ");
    listing_put_duration(p->b, now_s - arrived);
    buffer_put_string(p->b, " ago\n");
    if (paper_number(p->o, "expire_time")) {
        buffer_printf(p->b, "%-9s ", "expires");
        put_moment(p->b, paper_number(p->o, "expire_time"));
        buffer_put_byte(p->b, '\n');
    }
    put_origin(p);
    buffer_put_string(p->b, "to\n");
    json_array_foreach(json_object_get(p->o, "recipients"), i, r)
        put_recipient(p, r);
    if (*paper_text(p->o, "header"))
        buffer_put_string(p->b, "header\n");
    put_lines(p, "  ", paper_span(p->o, "header"));
    if (paper_is_so(p->o, "header_is_cut"))
        buffer_put_string(p->b, "  ...\n");
    put_dialogues(p, json_object_get(p->o, "dialogues"));
}

/* ----------------------------------------------------------- a preview ---- */

void queue_print_preview(struct paper *p, int64_t now_s, size_t width)
{
    const json_t *first = json_object_get(p->o, "first");
    const json_t *all = json_object_get(p->o, "destinations"), *one;
    int64_t more =
        paper_number(p->o, "messages") - (int64_t)json_array_size(first);
    int64_t others =
        paper_number(p->o, "destination_count") - (int64_t)json_array_size(all);
    size_t i;

    json_array_foreach(first, i, one) listing_put_line(p->b, one, now_s, width);
    if (more > 0)
        buffer_printf(p->b, "... and %lld more\n", (long long)more);
    json_array_foreach(all, i, one)
    {
        buffer_printf(p->b, "%9lld  ",
                      (long long)paper_number(one, "recipients"));
        put_coloured(p, PAPER_PLAIN, paper_text(one, "name"));
        buffer_put_byte(p->b, '\n');
    }
    if (others > 0)
        buffer_printf(p->b, "%9s  ... and %lld more destinations\n", "",
                      (long long)others);
}

/* ----------------------------------------------------------- the shape ---- */

/* Where the terminal is narrow, cells are too, and then names get what is left. */
static int cell_columns(const struct paper *p)
{
    return p->width && p->width < NAME_COLUMNS + CELLS * 7 ? 4 : 6;
}

static size_t name_columns(const struct paper *p)
{
    size_t cells = CELLS * ((size_t)cell_columns(p) + 1);

    if (!p->width)
        return NAME_COLUMNS;
    return p->width < cells + NAME_LEAST  ? NAME_LEAST
           : p->width - cells < NAME_MOST ? p->width - cells
                                          : NAME_MOST;
}

static void put_name(struct paper *p, const char *name)
{
    struct buffer cell = { 0 };
    size_t columns = name_columns(p), n;

    buffer_put_escaped(&cell, span_of(name));
    breadth_cut(&cell, 0, p->width ? columns : SIZE_MAX);
    n = breadth_of(buffer_span(&cell));
    buffer_printf(p->b, "%*s", n < columns ? (int)(columns - n) : 0, "");
    buffer_put(p->b, buffer_span(&cell));
    buffer_fini(&cell);
}

/* 9999, then 12k, then 3M, where there is room for four figures. */
static void put_cell(struct paper *p, const json_t *json)
{
    int columns = cell_columns(p);
    int64_t n = json_integer_value(json);

    buffer_put_byte(p->b, ' ');
    if (n == 0)
        paper_begin(p, PAPER_FAINT);
    if (columns > 4 || n < 10000)
        buffer_printf(p->b, "%*lld", columns, (long long)n);
    else if (n < 1000000)
        buffer_printf(p->b, "%*lldk", columns - 1, (long long)n / 1000);
    else
        buffer_printf(p->b, "%*lldM", columns - 1, (long long)n / 1000000);
    if (n == 0)
        paper_end(p, PAPER_FAINT);
}

static void put_row(struct paper *p, const char *name, const json_t *row)
{
    const json_t *cell;
    size_t i;

    put_name(p, name);
    put_cell(p, json_object_get(row, "total"));
    json_array_foreach(json_object_get(row, "cells"), i, cell)
        put_cell(p, cell);
    buffer_put_byte(p->b, '\n');
}

void queue_print_shape(struct paper *p, int64_t now_s)
{
    int64_t age_s = now_s - paper_number(p->o, "at_ms") / 1000;

    const json_t *bounds = json_object_get(p->o, "bounds_min"), *one;
    struct buffer last = { 0 };
    size_t i;

    put_name(p, "minutes");
    buffer_printf(p->b, " %*s", cell_columns(p), "T");
    json_array_foreach(bounds, i, one) buffer_printf(
        p->b, " %*lld", cell_columns(p), (long long)json_integer_value(one));
    buffer_printf(&last, "%lld+",
                  (long long)json_integer_value(
                      json_array_get(bounds, json_array_size(bounds) - 1)));
    buffer_printf(p->b, " %*s\n", cell_columns(p),
                  cell_columns(p) > 4 ? buffer_string(&last) : "more");
    buffer_fini(&last);
    put_row(p, "TOTAL", p->o);
    json_array_foreach(json_object_get(p->o, "rows"), i, one)
    {
        const char *domain = paper_text(one, "domain");

        put_row(p, *domain ? domain : "(others)", one);
    }
    if (!paper_is_so(p->o, "complete"))
        buffer_put_string(p->b, "The queue is still being read; ask again.\n");
    else if (age_s > SHAPE_FRESH_S)
        buffer_printf(p->b, "As it was %lld s ago; it is being read anew.\n",
                      (long long)age_s);
}

/* --------------------------------------------------------------- the top -- */

static void put_rank_name(struct buffer *b, const json_t *rank, const char *by)
{
    const char *name = json_string_value(json_object_get(rank, "name"));

    if (!name)
        buffer_put_string(b, "(all others)");
    else if (*name)
        buffer_put_escaped(b, span_of(name));
    else
        buffer_printf(b, "(no %s)", by);
}

void queue_print_rank(struct buffer *b, const json_t *rank, const char *by,
                      bool has_head)
{
    struct buffer size = { 0 };
    const char *key = by;

    listing_put_size(&size, paper_number(rank, "bytes"));
    if (has_head) {
        buffer_put_string(b, "MESSAGES RECIPIENTS    BYTES  ");
        for (; *by; by++)
            buffer_put_byte(b, (char)(*by - 'a' + 'A'));
        buffer_put_byte(b, '\n');
    }
    buffer_printf(
        b, "%8lld %10lld %8s  ", (long long)paper_number(rank, "messages"),
        (long long)paper_number(rank, "recipients"), buffer_string(&size));
    put_rank_name(b, rank, key);
    buffer_put_byte(b, '\n');
    buffer_fini(&size);
}
