/*
 * header_scan - what a relay wants to know of a header section.
 *
 *   LINE_START --name--> NAME --":"--> VALUE --LF--> LINE_START
 *       |                  |
 *       | CR, then LF      | not a field
 *       v                  v
 *   EMPTY_CR ----------> OVER
 *
 * A line counts for the section once its end, or for a field its colon, was
 * seen: the section's size is that of the lines that belong to it.
 */
#include "relay/inbound/header_scan.h"

#include "policy/vocabulary/utf8.h"

static bool is_name_byte(char c)
{
    return c > 32 && c < 127 && c != ':';
}

static void over(struct header_scan *h)
{
    h->place = HEADER_OVER;
    h->line_bytes = 0;
}

static bool name_is(const struct header_scan *h, struct span name)
{
    return span_is_nocase(span_make(h->name, h->name_len), name);
}

static void field_begins(struct header_scan *h)
{
    h->had_field = true;
    h->place = HEADER_VALUE;
    h->in_id = false;
    if (name_is(h, SPAN("received")))
        h->hops++;
    else if (h->id_len == 0 && name_is(h, SPAN("message-id")))
        h->in_id = true;
}

/* Line ends of a folded field and spaces around its value are left out. */
static void keep_id(struct header_scan *h, struct span value)
{
    for (size_t i = 0; i < value.len && h->id_len < HEADER_ID_MOST; i++) {
        char c = value.at[i];

        if (c == '\r' || c == '\n')
            continue;
        if ((c == ' ' || c == '\t') && h->id_len == 0)
            continue;
        h->id[h->id_len++] = c;
    }
}

/* Each step consumes at least one byte, or ends the section. */
static size_t at_line_start(struct header_scan *h, struct span run)
{
    char c = run.at[0];

    h->name_len = 0;
    h->name_ended = false;
    h->line_bytes = 0;
    if (c == '\r') {
        h->place = HEADER_EMPTY_CR;
        h->line_bytes = 1;
        return 1;
    }
    if ((c == ' ' || c == '\t') && h->had_field) {
        h->place = HEADER_VALUE;
        return 0;
    }
    h->place = HEADER_NAME;
    return 0;
}

static size_t in_name(struct header_scan *h, struct span run)
{
    for (size_t i = 0; i < run.len; i++) {
        char c = run.at[i];

        h->line_bytes++;
        if (c == ':' && h->line_bytes > 1) {
            h->bytes += h->line_bytes;
            h->line_bytes = 0;
            field_begins(h);
            return i + 1;
        }
        if ((c == ' ' || c == '\t') && h->line_bytes > 1) {
            h->name_ended = true; /* obsolete syntax: RFC 5322 4.5 */
        } else if (!is_name_byte(c) || h->name_ended ||
                   h->line_bytes > HEADER_NAME_MOST) {
            over(h);
            return i;
        } else if (h->name_len < HEADER_NAME_KEPT) {
            h->name[h->name_len++] = c;
        }
    }
    return run.len;
}

static size_t in_value(struct header_scan *h, struct span run)
{
    const char *end = memchr(run.at, '\n', run.len);
    size_t n = end ? (size_t)(end - run.at) + 1 : run.len;

    h->bytes += n;
    h->has_8bit = h->has_8bit || utf8_has_high(span_first(run, n));
    if (h->in_id)
        keep_id(h, span_first(run, n));
    if (end)
        h->place = HEADER_LINE_START;
    return n;
}

void header_scan_feed(struct header_scan *h, struct span run)
{
    while (run.len) {
        size_t n = 0;

        switch (h->place) {
        case HEADER_LINE_START:
            n = at_line_start(h, run);
            break;
        case HEADER_NAME:
            n = in_name(h, run);
            break;
        case HEADER_VALUE:
            n = in_value(h, run);
            break;
        case HEADER_EMPTY_CR:
            if (run.at[0] == '\n')
                h->bytes += 2; /* else, in binary content, no empty line */
            over(h);
            return;
        case HEADER_OVER:
            return;
        }
        run = span_skip(run, n);
    }
}

void header_scan_end(struct header_scan *h)
{
    over(h);
}

struct span header_scan_id(const struct header_scan *h)
{
    return span_trim(span_make(h->id, h->id_len));
}
