/*
 * dest_listing - a destination as text: a line of a table, or all there is to say.
 */
#include "relay/main/dest_listing.h"

#include "policy/vocabulary/breadth.h"
#include "relay/admin/listing.h"
#include "relay/main/paper.h"

#include <time.h>

static bool is_up(const json_t *o)
{
    return span_is(paper_span(o, "state"), SPAN("up"));
}

static bool is_offline(const json_t *o)
{
    return span_is(paper_span(o, "state"), SPAN("offline"));
}

/* By a customer, over a connection of his own. */
static bool is_fetched(const json_t *o)
{
    return json_is_true(json_object_get(o, "fetched"));
}

static void put_seen(struct buffer *b, const json_t *o)
{
    int64_t last = paper_number(o, "last_good");

    if (last)
        listing_put_duration(b, time(NULL) - last);
    else
        buffer_put_string(b, "never");
}

/* A probe, or the window that opens before; 0: not by itself. */
static int64_t next_s(const json_t *o)
{
    int64_t due = paper_number(o, "due"), opens = paper_number(o, "opens");

    return opens && is_offline(o) && (!due || opens < due) ? opens : due;
}

/* It is up, but what waits was put off: each recipient has a time of its own. */
static bool puts_off(const json_t *o)
{
    return is_up(o) && *paper_text(o, "last_reply") == '4';
}

static void put_next(struct buffer *b, const json_t *o)
{
    int64_t held = paper_number(o, "held_until");
    int64_t next = held ? held : next_s(o), now = time(NULL);

    if ((is_up(o) && !held && !puts_off(o)) || (next && next <= now))
        buffer_put_string(b, "now");
    else if (next)
        listing_put_duration(b, next - now);
    else
        buffer_put_string(b, "-");
}

/* "opens in 3h": when mail goes out without being asked for, and no longer. */
static void put_window(struct buffer *b, const json_t *o, const char *what)
{
    int64_t at = paper_number(o, what), now = time(NULL);

    if (!at)
        return;
    buffer_printf(b, "%s ", what);
    if (at > now) {
        buffer_put_string(b, "in ");
        listing_put_duration(b, at - now);
    } else {
        buffer_put_string(b, "now");
    }
}

/* ---------------------------------------------------------------- lines ---- */

typedef void cell_fn(struct buffer *cell, const json_t *o);

static void put_state(struct buffer *cell, const json_t *o)
{
    if (is_fetched(o))
        buffer_put_string(cell, "fetched");
    else
        buffer_put_escaped(cell, paper_span(o, "state"));
}

static void put_open(struct buffer *cell, const json_t *o)
{
    buffer_printf(cell, "%lld/%lld", (long long)paper_number(o, "open"),
                  (long long)paper_number(o, "window"));
}

static void put_waiting(struct buffer *cell, const json_t *o)
{
    buffer_printf(cell, "%lld", (long long)paper_number(o, "waiting"));
}

static void put_bytes(struct buffer *cell, const json_t *o)
{
    listing_put_size(cell, paper_number(o, "waiting_bytes"));
}

static void put_since(struct buffer *cell, const json_t *o)
{
    if (paper_number(o, "since"))
        listing_put_duration(cell, time(NULL) - paper_number(o, "since"));
}

/* Columns that a narrow terminal has no room for are left out: the last words matter more. */
static const struct column {
    const char *head;
    cell_fn *put;
    int columns;
    size_t needs; /* that the terminal is so wide */
} columns[] = {
    { "STATE", put_state, -11, 0 },    { "SEEN", put_seen, 6, 110 },
    { "NEXT", put_next, 6, 60 },       { "OPEN", put_open, 7, 90 },
    { "WAITING", put_waiting, 7, 40 }, { "BYTES", put_bytes, 7, 130 },
    { "SINCE", put_since, 6, 120 },
};

enum {
    COLUMNS = sizeof(columns) / sizeof(columns[0]),
    NAME_COLUMNS = 32,
    NAME_MOST = 60,
    WORDS_LEAST = 8
};

static bool has_room(const struct column *c, size_t width)
{
    return width == 0 || width >= c->needs;
}

/* Names are there to be typed, so they come before the last words, which are behind. */
static size_t name_columns(size_t width)
{
    if (width == 0)
        return NAME_COLUMNS;
    if (width < 60)
        return width > 38 ? width - 24 : 14;
    return width * 9 / 20 < NAME_MOST ? width * 9 / 20 : NAME_MOST;
}

void dest_listing_put_head(struct buffer *b, size_t width)
{
    struct buffer cell = { 0 };

    buffer_put_string(&cell, "DESTINATION");
    listing_put_cell(b, &cell, -(int)name_columns(width));
    for (size_t i = 0; i < COLUMNS; i++)
        if (has_room(&columns[i], width)) {
            buffer_put_string(&cell, columns[i].head);
            listing_put_cell(b, &cell, columns[i].columns);
        }
    buffer_put_string(b, "LAST WORDS");
    if (width)
        breadth_cut(b, 0, width);
    buffer_put_byte(b, '\n');
    buffer_fini(&cell);
}

static enum paper_colour colour_of(const json_t *o)
{
    return is_up(o)                            ? PAPER_GOOD
           : is_offline(o) || is_fetched(o)    ? PAPER_FAINT
           : paper_is(o, "state", "suspended") ? PAPER_DOUBTFUL
                                               : PAPER_BAD;
}

void dest_listing_put_line(struct buffer *b, const json_t *o, size_t width,
                           bool is_coloured)
{
    struct buffer cell = { 0 }, line = { 0 };
    struct paper paper = { b, o, is_coloured, width };
    size_t name = name_columns(width), state;

    buffer_put_escaped(&cell, paper_span(o, "name"));
    if (width)
        breadth_cut(&cell, 0, name);
    listing_put_cell(b, &cell, -(int)name);
    put_state(&cell, o);
    state = cell.len;
    paper_begin(&paper, colour_of(o));
    buffer_put(b, buffer_span(&cell));
    paper_end(&paper, colour_of(o));
    buffer_clear(&cell);
    buffer_printf(b, "%*s", state < 11 ? (int)(11 - state) + 2 : 2, "");
    for (size_t i = 1; i < COLUMNS; i++)
        if (has_room(&columns[i], width)) {
            columns[i].put(&cell, o);
            listing_put_cell(&line, &cell, columns[i].columns);
        }
    if (width == 0 || width >= name + 15 + line.len + WORDS_LEAST) {
        size_t from = line.len;

        /* One that is up but defers all has words as well. */
        buffer_put_escaped(&line, paper_span(o, "reason").len ||
                                          !paper_number(o, "waiting")
                                      ? paper_span(o, "reason")
                                      : paper_span(o, "last_reply"));
        if (width)
            breadth_cut(&line, from, width - name - 15 - from);
    }
    buffer_put(b, buffer_span(&line));
    buffer_put_byte(b, '\n');
    buffer_fini(&line);
    buffer_fini(&cell);
}

/* ---------------------------------------------------------------- story ---- */

static void put_fact(struct buffer *b, const char *name, struct buffer *value)
{
    if (value->len)
        buffer_printf(b, "%-12s %s\n", name, buffer_string(value));
    buffer_clear(value);
}

/* Where it stands, and when it is tried. */
static void put_standing(struct buffer *b, const json_t *o,
                         struct buffer *value)
{
    buffer_put_escaped(value, paper_span(o, "state"));
    if (json_is_true(json_object_get(o, "on_demand")))
        buffer_put_string(value, ", on demand");
    if (is_fetched(o))
        buffer_put_string(value, ", being fetched");
    put_fact(b, "state", value);
    put_seen(value, o);
    if (paper_number(o, "last_good"))
        buffer_put_string(value, " ago");
    put_fact(b, "last seen", value);
    if (!is_up(o) && !next_s(o)) {
        buffer_put_string(value, "not by itself");
    } else if (!is_up(o)) {
        buffer_put_string(value, next_s(o) > time(NULL) ? "in " : "");
        put_next(value, o);
    }
    put_fact(b, "next attempt", value);
    put_window(value, o, "opens");
    put_window(value, o, "closes");
    put_fact(b, "window", value);
    if (paper_number(o, "downs"))
        buffer_printf(value, "%lld in a row",
                      (long long)paper_number(o, "downs"));
    put_fact(b, "failures", value);
}

/* How much waits, and since when. */
static void put_amount(struct buffer *b, const json_t *o, struct buffer *value)
{
    buffer_printf(value, "%lld recipient%s of %lld domain%s, %lld in memory",
                  (long long)paper_number(o, "waiting"),
                  paper_number(o, "waiting") == 1 ? "" : "s",
                  (long long)paper_number(o, "lanes"),
                  paper_number(o, "lanes") == 1 ? "" : "s",
                  (long long)paper_number(o, "active"));
    put_fact(b, "waiting", value);
    buffer_printf(value, "%lld bytes",
                  (long long)paper_number(o, "waiting_bytes"));
    put_fact(b, "size", value);
    if (paper_number(o, "since"))
        listing_put_duration(value, time(NULL) - paper_number(o, "since"));
    put_fact(b, "for", value);
}

/* What deliveries came to, since the relay was started. */
static void put_deliveries(struct buffer *b, const json_t *o,
                           struct buffer *value)
{
    if (!paper_number(o, "last_at"))
        return;
    buffer_printf(value, "%lld sent, %lld deferred, %lld bounced",
                  (long long)paper_number(o, "sent"),
                  (long long)paper_number(o, "deferred"),
                  (long long)paper_number(o, "bounced"));
    put_fact(b, "since start", value);
    buffer_put_escaped(value, paper_span(o, "tls"));
    put_fact(b, "TLS", value);
    if (json_is_integer(json_object_get(o, "delivery_ms")))
        buffer_printf(value, "%lld ms a delivery",
                      (long long)paper_number(o, "delivery_ms"));
    put_fact(b, "time", value);
    listing_put_duration(value, time(NULL) - paper_number(o, "last_at"));
    buffer_put_string(value, " ago: ");
    buffer_put_escaped(value, paper_span(o, "last_reply"));
    put_fact(b, "last reply", value);
}

/* "limited to 100/min, next at ..." where mail waits for that, else what it is limited to. */
static void put_rate(struct buffer *b, const json_t *o, struct buffer *value)
{
    const json_t *rates = json_object_get(o, "rates"), *rate;
    size_t i;

    if (paper_number(o, "held_until"))
        buffer_put_escaped(value, paper_span(o, "reason"));
    else
        json_array_foreach(rates, i, rate)
        {
            buffer_put_string(value, i ? " and " : "limited to ");
            buffer_put_escaped(value, span_of(json_string_value(rate)));
        }
    put_fact(b, "rate", value);
}

void dest_listing_put_story(struct buffer *b, const json_t *o)
{
    struct buffer value = { 0 };

    buffer_put_escaped(&value, paper_span(o, "name"));
    put_fact(b, "destination", &value);
    put_standing(b, o, &value);
    buffer_printf(&value, "%lld open of %lld allowed now, %lld at most",
                  (long long)paper_number(o, "open"),
                  (long long)paper_number(o, "window"),
                  (long long)paper_number(o, "connections"));
    put_fact(b, "connections", &value);
    put_rate(b, o, &value);
    put_amount(b, o, &value);
    if (!paper_number(o, "held_until"))
        buffer_put_escaped(&value, paper_span(o, "reason"));
    put_fact(b, "last words", &value);
    put_deliveries(b, o, &value);
    buffer_fini(&value);
}
