/*
 * chronicle_row - one thing that happened, as a JSON object.
 */
#include "relay/admin/chronicle_row.h"

#include "policy/vocabulary/error.h"
#include "policy/vocabulary/id.h"
#include "relay/admin/filter.h"
#include "relay/admin/jsontext.h"

static void print_place(struct buffer *b, const struct queue_place *p)
{
    buffer_printf(b, "%llu.%u.%llu", (unsigned long long)p->at_ms, p->source,
                  (unsigned long long)p->id);
}

bool chronicle_row_read_cursor(struct span s, struct queue_place *out)
{
    uint64_t at, source, id;

    if (!span_number(span_split(s, '.', &s), &at) ||
        !span_number(span_split(s, '.', &s), &source) || !span_number(s, &id) ||
        at == 0 || at > INT64_MAX || source > 9 || id > INT64_MAX)
        return false;
    *out = (struct queue_place){ (int64_t)at, (int64_t)id, (unsigned)source };
    return true;
}

static void put_some_text(struct buffer *b, struct span key, struct span text)
{
    if (text.len)
        jsontext_text(b, key, text);
}

static void put_status(struct buffer *b, struct status s)
{
    struct buffer text = { 0 };

    if (s.class)
        status_print(&text, s);
    jsontext_text(b, SPAN("status"), buffer_span(&text));
    buffer_fini(&text);
}

/* A line time|host|status|reply for each. */
static void put_tries(struct buffer *b, struct span trail)
{
    jsontext_begin(b, '[');
    while (trail.len) {
        struct span line = span_split(trail, '\n', &trail);
        uint64_t ms;

        if (!span_number(span_split(line, '|', &line), &ms))
            continue;
        jsontext_begin(b, '{');
        jsontext_number(b, SPAN("at"), (int64_t)(ms / 1000));
        jsontext_text(b, SPAN("host"), span_split(line, '|', &line));
        jsontext_text(b, SPAN("status"), span_split(line, '|', &line));
        jsontext_text(b, SPAN("reply"), line);
        buffer_put_byte(b, '}');
    }
    buffer_put_byte(b, ']');
}

/* As values; the buffer is given back. */
static json_t *json_of(struct buffer *b)
{
    json_t *v = json_loadb(b->at, b->len, JSON_ALLOW_NUL, NULL);

    ASSERT(v);
    buffer_fini(b);
    return v;
}

json_t *chronicle_row_tries(struct span trail)
{
    struct buffer b = { 0 };

    put_tries(&b, trail);
    return json_of(&b);
}

static void put_lines(struct buffer *b, struct span text)
{
    jsontext_begin(b, '[');
    for (bool is_first = true; text.len; is_first = false) {
        if (!is_first)
            buffer_put_byte(b, ',');
        jsontext_put_text(b, span_split(text, '\n', &text));
    }
    buffer_put_byte(b, ']');
}

json_t *chronicle_row_lines(struct span text)
{
    struct buffer b = { 0 };

    put_lines(&b, text);
    return json_of(&b);
}

static void put_delays(struct buffer *b, const struct queue_told *t)
{
    jsontext_key(b, SPAN("delays"));
    buffer_put_byte(b, '[');
    for (int i = 0; i < 4; i++) {
        if (i)
            buffer_put_byte(b, ',');
        jsontext_put_seconds(b, t->delay_ms[i]);
    }
    buffer_put_byte(b, ']');
}

static void put_rest(struct buffer *b, const struct queue_told *t)
{
    put_delays(b, t);
    jsontext_key(b, SPAN("tries"));
    put_tries(b, t->trail);
    jsontext_text(b, SPAN("rule"), t->ruling.rule);
    jsontext_text(b, SPAN("place"), t->ruling.place);
    jsontext_text(b, SPAN("held_by"), t->ruling.held_by);
    jsontext_text(b, SPAN("tls"), t->tls);
    jsontext_text(b, SPAN("stage"), t->stage);
    put_some_text(b, SPAN("asked_to"), t->ruling.asked_to);
    put_some_text(b, SPAN("asked_from"), t->ruling.asked_from);
    put_some_text(b, SPAN("orig_to"), t->ruling.orig_to);
    put_some_text(b, SPAN("who"), t->who);
    if (t->dialogue.len) {
        jsontext_key(b, SPAN("dialogue"));
        put_lines(b, t->dialogue);
    }
}

static void put_origin(struct buffer *b, const struct queue_told *t)
{
    jsontext_text(b, SPAN("client"), t->client);
    jsontext_text(b, SPAN("client_name"), t->client_name);
    jsontext_text(b, SPAN("helo"), t->helo);
    jsontext_text(b, SPAN("login"), t->login);
    jsontext_text(b, SPAN("listener"), t->listener);
    jsontext_text(b, SPAN("protocol"), t->protocol);
    jsontext_text(b, SPAN("message_id"), t->message_id);
}

void chronicle_row_put(struct buffer *b, const struct queue_told *t)
{
    jsontext_begin(b, '{');
    jsontext_key(b, SPAN("cursor"));
    buffer_put_byte(b, '"');
    print_place(b, &t->place);
    buffer_put_byte(b, '"');
    jsontext_number(b, SPAN("at"), t->place.at_ms / 1000);
    jsontext_number(b, SPAN("at_ms"), t->place.at_ms);
    jsontext_text(b, SPAN("what"), span_of(filter_what_name(t->what)));
    jsontext_text(b, SPAN("queue_id"),
                  span_of(t->message ? id_print(t->message).at : ""));
    jsontext_text(b, SPAN("sender"), t->sender);
    jsontext_text(b, SPAN("recipient"), t->recipient);
    put_status(b, t->status);
    jsontext_text(b, SPAN("reply"), t->reply);
    jsontext_text(b, SPAN("host"), t->host);
    if (t->received_ms)
        jsontext_number(b, SPAN("received"), t->received_ms / 1000);
    else
        jsontext_bare(b, SPAN("received"), SPAN("null"));
    jsontext_number(b, SPAN("size"), (int64_t)t->size_bytes);
    put_origin(b, t);
    jsontext_number(b, SPAN("attempts"), t->attempts);
    jsontext_bare(b, SPAN("in_doubt"),
                  t->in_doubt ? SPAN("true") : SPAN("false"));
    put_rest(b, t);
    buffer_put(b, SPAN("}\n"));
}

json_t *chronicle_row(const struct queue_told *t)
{
    struct buffer b = { 0 };

    chronicle_row_put(&b, t);
    return json_of(&b);
}
