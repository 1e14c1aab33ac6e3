/*
 * history_listing - what became of mail, a line for each thing that happened.
 */
#include "relay/main/history_listing.h"

#include "policy/vocabulary/breadth.h"
#include "relay/admin/listing.h"
#include "relay/main/paper.h"

#include <time.h>

enum { COLUMNS_BEFORE = 47 }; /* time, what and id */

void history_listing_put_time(struct buffer *b, int64_t s)
{
    time_t t = (time_t)s;
    struct tm tm;
    char text[64];

    if (localtime_r(&t, &tm) &&
        strftime(text, sizeof(text), "%Y-%m-%d %H:%M:%S", &tm))
        buffer_put_string(b, text);
}

void history_listing_put_head(struct buffer *b, size_t width)
{
    size_t from = b->len;

    buffer_printf(b, "%-19s  %-9s  %-13s  %s", "TIME", "WHAT", "ID",
                  "SENDER -> RECIPIENT  STATUS  HOST  DELAY  (REPLY)");
    if (width)
        breadth_cut(b, from, width);
    buffer_put_byte(b, '\n');
}

/* Green what went well, red what did not, the rest as it is. */
static const char *colour_of(struct span what)
{
    static const struct {
        struct span what;
        const char *start;
    } rows[] = {
        { SPAN_INIT("delivered"), "\033[32m" },
        { SPAN_INIT("failed"), "\033[31m" },
        { SPAN_INIT("expired"), "\033[31m" },
        { SPAN_INIT("refused"), "\033[33m" },
        { SPAN_INIT("returned"), "\033[33m" },
    };

    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        if (span_is(rows[i].what, what))
            return rows[i].start;
    return NULL;
}

static void put_address(struct buffer *b, struct span address)
{
    if (address.len)
        buffer_put_escaped(b, address);
    else
        buffer_put_string(b, "<>");
}

static void put_part(struct buffer *b, struct span part)
{
    if (!part.len)
        return;
    buffer_put_string(b, "  ");
    buffer_put_escaped(b, part);
}

static double delay_of(const json_t *row)
{
    double sum = 0;
    const json_t *d;
    size_t i;

    json_array_foreach(json_object_get(row, "delays"), i, d) sum +=
        json_number_value(d);
    return sum;
}

/* Of a refusal: who came, and what in the configuration refused. */
static void put_refusal(struct buffer *b, const json_t *row)
{
    struct span rule = paper_span(row, "rule");
    struct span place = paper_span(row, "place");
    size_t slash = span_find_last(place, '/');

    if (paper_span(row, "client").len) {
        buffer_put_string(b, "  from ");
        buffer_put_escaped(b, paper_span(row, "client"));
    }
    if (!rule.len)
        return;
    buffer_put_string(b, "  rule \"");
    buffer_put_escaped(b, rule);
    buffer_put_string(b, "\" ");
    buffer_put_escaped(b,
                       slash < place.len ? span_skip(place, slash + 1) : place);
}

/* Who to whom, or, of an order, who. */
static void put_parties(struct buffer *b, const json_t *row)
{
    bool is_refused = span_is(paper_span(row, "what"), SPAN("refused"));
    struct span recipient = paper_span(row, "recipient");

    if (paper_span(row, "who").len && !recipient.len) {
        buffer_put_escaped(b, paper_span(row, "who"));
        return;
    }
    put_address(b, paper_span(row, "sender"));
    if (recipient.len || !is_refused) {
        buffer_put_string(b, " -> ");
        put_address(b, recipient);
    }
    if (paper_span(row, "who").len) {
        buffer_put_string(b, "  by ");
        buffer_put_escaped(b, paper_span(row, "who"));
    }
    put_part(b, paper_span(row, "status"));
    put_part(b, paper_span(row, "host"));
    if (paper_span(row, "host").len)
        buffer_printf(b, "  %.1fs", delay_of(row));
    if (is_refused)
        put_refusal(b, row);
}

void history_listing_put_line(struct buffer *b, const json_t *row, size_t width,
                              bool in_colour)
{
    struct span what = paper_span(row, "what");
    struct span reply = paper_span(row, "reply");
    const char *colour = in_colour ? colour_of(what) : NULL;
    struct buffer rest = { 0 };

    history_listing_put_time(b, json_integer_value(json_object_get(row, "at")));
    buffer_printf(b, "  %s%-9.*s%s  %-13.*s  ", colour ? colour : "",
                  SPAN_FMT(what), colour ? "\033[0m" : "",
                  SPAN_FMT(paper_span(row, "queue_id")));
    put_parties(&rest, row);
    if (reply.len) {
        buffer_put_string(&rest, "  (");
        buffer_put_escaped(&rest, reply);
        buffer_put_byte(&rest, ')');
    }
    if (width > COLUMNS_BEFORE)
        breadth_cut(&rest, 0, width - COLUMNS_BEFORE);
    buffer_put(b, buffer_span(&rest));
    buffer_put_byte(b, '\n');
    buffer_fini(&rest);
}
