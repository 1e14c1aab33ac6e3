/*
 * dest_listing - a destination as text: a line of a table, or all there is to say.
 */
#include "relay/main/dest_listing.h"

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

static void put_next(struct buffer *b, const json_t *o)
{
    int64_t next = next_s(o), now = time(NULL);

    if (is_up(o) || (next && next <= now))
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

void dest_listing_put_head(struct buffer *b)
{
    buffer_printf(b, "%-32s  %-11s  %6s  %6s  %7s  %7s  %7s  %6s  %s\n",
                  "DESTINATION", "STATE", "SEEN", "NEXT", "OPEN", "WAITING",
                  "BYTES", "SINCE", "LAST WORDS");
}

void dest_listing_put_line(struct buffer *b, const json_t *o)
{
    struct buffer cell = { 0 };

    buffer_put_escaped(&cell, paper_span(o, "name"));
    listing_put_cell(b, &cell, -32);
    if (is_fetched(o))
        buffer_put_string(&cell, "fetched");
    else
        buffer_put_escaped(&cell, paper_span(o, "state"));
    listing_put_cell(b, &cell, -11);
    put_seen(&cell, o);
    listing_put_cell(b, &cell, 6);
    put_next(&cell, o);
    listing_put_cell(b, &cell, 6);
    buffer_printf(&cell, "%lld/%lld", (long long)paper_number(o, "open"),
                  (long long)paper_number(o, "window"));
    listing_put_cell(b, &cell, 7);
    buffer_printf(&cell, "%lld", (long long)paper_number(o, "waiting"));
    listing_put_cell(b, &cell, 7);
    listing_put_size(&cell, paper_number(o, "waiting_bytes"));
    listing_put_cell(b, &cell, 7);
    if (paper_number(o, "since"))
        listing_put_duration(&cell, time(NULL) - paper_number(o, "since"));
    listing_put_cell(b, &cell, 6);
    /* One that is up but defers all has words as well. */
    buffer_put_escaped(b, paper_span(o, "reason").len ||
                                  !paper_number(o, "waiting")
                              ? paper_span(o, "reason")
                              : paper_span(o, "last_reply"));
    buffer_put_byte(b, '\n');
    buffer_fini(&cell);
}

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
    put_amount(b, o, &value);
    buffer_put_escaped(&value, paper_span(o, "reason"));
    put_fact(b, "last words", &value);
    put_deliveries(b, o, &value);
    buffer_fini(&value);
}
