/*
 * listing - waiting mail as programs and people read it.
 */
#include "relay/admin/listing.h"

#include "policy/vocabulary/breadth.h"
#include "policy/vocabulary/error.h"
#include "policy/vocabulary/id.h"
#include "policy/vocabulary/utf8.h"
#include "relay/admin/filter.h"
#include "relay/admin/jsontext.h"

#include <stdlib.h>

enum { COLUMN_STATE = 8 };

static const int64_t minute = 60, hour = 3600, day = 86400;

/* ------------------------------------------------------- for programs ---- */

json_t *listing_text(struct span s)
{
    struct buffer b = { 0 };
    json_t *text = NULL;

    /* jansson wants an address even for no bytes. */
    if (utf8_is_valid(s))
        text = json_stringn(s.len ? s.at : "", s.len);
    if (text)
        return text;
    buffer_put_escaped(&b, s);
    text = json_stringn(buffer_string(&b), b.len);
    buffer_fini(&b);
    ASSERT(text);
    return text;
}

void listing_set(json_t *object, const char *key, json_t *take_value)
{
    ASSERT(take_value && json_object_set_new(object, key, take_value) == 0);
}

json_t *listing_moment(int64_t ms)
{
    return ms <= 0 || ms == INT64_MAX ? json_null() : json_integer(ms / 1000);
}

/* What was just written, as an object; the buffer is given back. */
static json_t *object_of(struct buffer *b)
{
    json_t *o = json_loadb(b->at, b->len, JSON_ALLOW_NUL, NULL);

    ASSERT(o);
    buffer_fini(b);
    return o;
}

static void put_recipient(struct buffer *b, const struct queue_row_recipient *r)
{
    jsontext_begin(b, '{');
    jsontext_text(b, SPAN("address"), r->address);
    jsontext_text(b, SPAN("state"), span_of(filter_state_name(r->state)));
    jsontext_number(b, SPAN("attempts"), r->attempts);
    if (r->due_ms == INT64_MAX)
        jsontext_bare(b, SPAN("due"), SPAN("null"));
    else
        jsontext_number(b, SPAN("due"), r->due_ms / 1000);
    if (r->reason.len)
        jsontext_text(b, SPAN("delay_reason"), r->reason);
    if (r->deed.at_ms) {
        jsontext_text(b, SPAN("ordered_by"), r->deed.who);
        jsontext_number(b, SPAN("ordered_at"), r->deed.at_ms / 1000);
        if (r->deed.why.len)
            jsontext_text(b, SPAN("ordered_why"), r->deed.why);
    }
    buffer_put_byte(b, '}');
}

json_t *listing_recipient(const struct queue_row_recipient *r)
{
    struct buffer b = { 0 };

    put_recipient(&b, r);
    return object_of(&b);
}

static void put_origin(struct buffer *b, const struct queue_row *row)
{
    jsontext_text(b, SPAN("client"), row->client);
    jsontext_text(b, SPAN("helo"), row->helo);
    jsontext_text(b, SPAN("login"), row->login);
    if (row->expire_ms > 0 && row->expire_ms < INT64_MAX)
        jsontext_number(b, SPAN("expire_time"), row->expire_ms / 1000);
}

void listing_put_json(struct buffer *b, const struct queue_row *row,
                      bool in_full)
{
    jsontext_begin(b, '{');
    jsontext_text(b, SPAN("queue_id"), span_of(id_print(row->id).at));
    jsontext_number(b, SPAN("arrival_time"), row->received_ms / 1000);
    jsontext_number(b, SPAN("message_size"), (int64_t)row->size_bytes);
    jsontext_text(b, SPAN("sender"),
                  row->sender.len ? row->sender : SPAN("MAILER-DAEMON"));
    jsontext_text(b, SPAN("state"), span_of(filter_state_name(row->state)));
    if (in_full)
        put_origin(b, row);
    jsontext_key(b, SPAN("recipients"));
    jsontext_begin(b, '[');
    for (size_t i = 0; i < row->count; i++)
        put_recipient(b, &row->recipients[i]);
    buffer_put(b, SPAN("]}\n"));
}

json_t *listing_row(const struct queue_row *row, bool in_full)
{
    struct buffer b = { 0 };

    listing_put_json(&b, row, in_full);
    return object_of(&b);
}

json_t *listing_count(const struct queue_count *n)
{
    json_t *o = json_pack(
        "{s:I, s:I, s:I}", "messages", (json_int_t)n->messages, "recipients",
        (json_int_t)n->recipients, "bytes", (json_int_t)n->bytes);

    ASSERT(o);
    return o;
}

void listing_put_value(struct buffer *b, json_t *take_v)
{
    char *text =
        json_dumps(take_v, JSON_COMPACT | JSON_ENSURE_ASCII | JSON_ENCODE_ANY);

    ASSERT(text);
    buffer_put_string(b, text);
    free(text);
    json_decref(take_v);
}

void listing_put_object(struct buffer *b, json_t *take_o)
{
    listing_put_value(b, take_o);
    buffer_put_byte(b, '\n');
}

/* --------------------------------------------------------- for people ---- */

static struct span text_of(const json_t *o, const char *key)
{
    const json_t *v = json_object_get(o, key);

    return json_is_string(v)
               ? span_make(json_string_value(v), json_string_length(v))
               : SPAN("");
}

static int64_t number_of(const json_t *o, const char *key)
{
    return json_integer_value(json_object_get(o, key));
}

void listing_put_size(struct buffer *b, int64_t bytes)
{
    static const char letters[] = "KMGT";
    double n = (double)bytes;
    size_t i = 0;

    if (bytes < 1000) {
        buffer_printf(b, "%lld", (long long)bytes);
        return;
    }
    for (n /= 1024; n >= 1000 && i < sizeof(letters) - 2; i++)
        n /= 1024;
    buffer_printf(b, "%.*f%c", n < 10 ? 1 : 0, n, letters[i]);
}

void listing_put_duration(struct buffer *b, int64_t s)
{
    s = s < 0 ? 0 : s;
    if (s < 2 * minute)
        buffer_printf(b, "%llds", (long long)s);
    else if (s < 2 * hour)
        buffer_printf(b, "%lldmin", (long long)(s / minute));
    else if (s < 2 * day)
        buffer_printf(b, "%lldh", (long long)(s / hour));
    else
        buffer_printf(b, "%lldd", (long long)(s / day));
}

void listing_put_cell(struct buffer *b, struct buffer *cell, int columns)
{
    size_t wide = (size_t)(columns < 0 ? -columns : columns), from = b->len;

    if (columns > 0) {
        size_t n = breadth_of(buffer_span(cell));

        buffer_printf(b, "%*s", n < wide ? (int)(wide - n) : 0, "");
    }
    buffer_put(b, buffer_span(cell));
    breadth_fill(b, from, wide);
    buffer_put_string(b, "  ");
    buffer_clear(cell);
}

void listing_put_head(struct buffer *b, size_t width)
{
    size_t from = b->len;

    buffer_printf(b, "%-13s  %6s  %6s  %-8s  %s", "ID", "AGE", "SIZE", "STATE",
                  "SENDER -> RECIPIENTS (WHAT THE LAST ATTEMPT MET)");
    if (width)
        breadth_cut(b, from, width);
    buffer_put_byte(b, '\n');
}

/* " (held by ada: looks like spam; 4.2.0 busy)" */
static void put_reasons(struct buffer *b, const json_t *r)
{
    struct span reason = text_of(r, "delay_reason");
    struct span why = text_of(r, "ordered_why");
    bool is_ordered = number_of(r, "ordered_at") != 0;

    if (!reason.len && !is_ordered)
        return;
    buffer_put_string(b, " (");
    if (is_ordered) {
        buffer_put_escaped(b, text_of(r, "state"));
        buffer_put_string(b, " by ");
        buffer_put_escaped(b, text_of(r, "ordered_by"));
        if (why.len)
            buffer_put_string(b, ": ");
        buffer_put_escaped(b, why);
        if (reason.len)
            buffer_put_string(b, "; ");
    }
    buffer_put_escaped(b, reason);
    buffer_put_byte(b, ')');
}

static void put_recipients(struct buffer *b, const json_t *recipients)
{
    const json_t *r;
    size_t i;

    json_array_foreach(recipients, i, r)
    {
        if (i)
            buffer_put_string(b, ", ");
        buffer_put_escaped(b, text_of(r, "address"));
        put_reasons(b, r);
    }
}

void listing_put_line(struct buffer *b, const json_t *message, int64_t now_s,
                      size_t width)
{
    size_t from = b->len;
    struct buffer cell = { 0 };

    buffer_put_escaped(b, text_of(message, "queue_id"));
    buffer_put_string(b, "  ");
    listing_put_duration(&cell, now_s - number_of(message, "arrival_time"));
    listing_put_cell(b, &cell, 6);
    listing_put_size(&cell, number_of(message, "message_size"));
    listing_put_cell(b, &cell, 6);
    buffer_put_escaped(&cell, text_of(message, "state"));
    buffer_printf(b, "%-*s  ", COLUMN_STATE, buffer_string(&cell));
    buffer_put_escaped(b, text_of(message, "sender"));
    buffer_put_string(b, " -> ");
    put_recipients(b, json_object_get(message, "recipients"));
    if (width > 3)
        breadth_cut(b, from, width);
    buffer_put_byte(b, '\n');
    buffer_fini(&cell);
}

void listing_put_count(struct buffer *b, const json_t *count)
{
    long long messages = (long long)number_of(count, "messages");
    long long recipients = (long long)number_of(count, "recipients");

    buffer_printf(b, "%lld message%s, %lld recipient%s, ", messages,
                  messages == 1 ? "" : "s", recipients,
                  recipients == 1 ? "" : "s");
    listing_put_size(b, number_of(count, "bytes"));
}
