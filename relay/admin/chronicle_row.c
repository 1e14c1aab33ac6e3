/*
 * chronicle_row - one thing that happened, as a JSON object.
 */
#include "relay/admin/chronicle_row.h"

#include "policy/vocabulary/error.h"
#include "policy/vocabulary/id.h"
#include "relay/admin/filter.h"
#include "relay/admin/listing.h"

static const double ms_of_second = 1000.0;

static void put_text(json_t *o, const char *key, struct span text)
{
    listing_set(o, key, listing_text(text));
}

static void put_some_text(json_t *o, const char *key, struct span text)
{
    if (text.len)
        put_text(o, key, text);
}

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

static void put_cursor(json_t *o, const struct queue_place *p)
{
    struct buffer b = { 0 };

    print_place(&b, p);
    put_text(o, "cursor", buffer_span(&b));
    buffer_fini(&b);
}

static void put_status(json_t *o, struct status s)
{
    struct buffer b = { 0 };

    if (s.class)
        status_print(&b, s);
    put_text(o, "status", buffer_span(&b));
    buffer_fini(&b);
}

/* A line time|host|status|reply for each. */
json_t *chronicle_row_tries(struct span trail)
{
    json_t *all = json_array();

    while (trail.len) {
        struct span line = span_split(trail, '\n', &trail);
        json_t *one = json_object();
        uint64_t ms;

        if (span_number(span_split(line, '|', &line), &ms)) {
            listing_set(one, "at", json_integer((json_int_t)(ms / 1000)));
            put_text(one, "host", span_split(line, '|', &line));
            put_text(one, "status", span_split(line, '|', &line));
            put_text(one, "reply", line);
            ASSERT(json_array_append(all, one) == 0);
        }
        json_decref(one);
    }
    return all;
}

json_t *chronicle_row_lines(struct span text)
{
    json_t *all = json_array();

    while (text.len) {
        struct span line = span_split(text, '\n', &text);

        ASSERT(json_array_append_new(all, listing_text(line)) == 0);
    }
    return all;
}

static void put_rest(json_t *o, const struct queue_told *t)
{
    json_t *delays = json_array();

    for (int i = 0; i < 4; i++)
        ASSERT(json_array_append_new(delays, json_real((double)t->delay_ms[i] /
                                                       ms_of_second)) == 0);
    listing_set(o, "delays", delays);
    listing_set(o, "tries", chronicle_row_tries(t->trail));
    put_text(o, "rule", t->ruling.rule);
    put_text(o, "place", t->ruling.place);
    put_text(o, "held_by", t->ruling.held_by);
    put_text(o, "tls", t->tls);
    put_text(o, "stage", t->stage);
    put_some_text(o, "asked_to", t->ruling.asked_to);
    put_some_text(o, "asked_from", t->ruling.asked_from);
    put_some_text(o, "orig_to", t->ruling.orig_to);
    put_some_text(o, "who", t->who);
    if (t->dialogue.len)
        listing_set(o, "dialogue", chronicle_row_lines(t->dialogue));
}

json_t *chronicle_row(const struct queue_told *t)
{
    json_t *o = json_object();

    put_cursor(o, &t->place);
    listing_set(o, "at", json_integer(t->place.at_ms / 1000));
    listing_set(o, "at_ms", json_integer(t->place.at_ms));
    listing_set(o, "what", json_string(filter_what_name(t->what)));
    listing_set(o, "queue_id",
                json_string(t->message ? id_print(t->message).at : ""));
    put_text(o, "sender", t->sender);
    put_text(o, "recipient", t->recipient);
    put_status(o, t->status);
    put_text(o, "reply", t->reply);
    put_text(o, "host", t->host);
    listing_set(o, "received",
                t->received_ms ? json_integer(t->received_ms / 1000)
                               : json_null());
    listing_set(o, "size", json_integer((json_int_t)t->size_bytes));
    put_text(o, "client", t->client);
    put_text(o, "client_name", t->client_name);
    put_text(o, "helo", t->helo);
    put_text(o, "login", t->login);
    put_text(o, "listener", t->listener);
    put_text(o, "protocol", t->protocol);
    put_text(o, "message_id", t->message_id);
    listing_set(o, "attempts", json_integer(t->attempts));
    listing_set(o, "in_doubt", json_boolean(t->in_doubt));
    put_rest(o, t);
    return o;
}
