/*
 * history_story - all that happened to one message, from its arrival to its end.
 *
 * What every row knows of the message is told once at the head; then each attempt and each
 * end in the order of time, and at last what still waits.
 */
#include "relay/main/history_listing.h"

#include "policy/vocabulary/memory.h"
#include "relay/admin/listing.h"
#include "relay/main/paper.h"

#include <stdlib.h>

struct scene {
    int64_t at_ms;
    size_t number; /* as they were found: keeps equal times in order */
    struct buffer text;
};

struct story {
    struct scene *scenes;
    size_t count, room;
};

/* The text's owner is the story. */
static struct buffer *add_scene(struct story *s, int64_t at_ms)
{
    if (s->count == s->room) {
        s->room = s->room ? s->room * 2 : 16;
        s->scenes = memory_grow(s->scenes, s->room * sizeof *s->scenes);
    }
    s->scenes[s->count] = (struct scene){ .at_ms = at_ms, .number = s->count };
    return &s->scenes[s->count++].text;
}

static int compare_scenes(const void *a, const void *b)
{
    const struct scene *x = a, *y = b;

    if (x->at_ms != y->at_ms)
        return x->at_ms < y->at_ms ? -1 : 1;
    return x->number < y->number ? -1 : x->number > y->number;
}

static void put_after(struct buffer *b, const char *before, struct span part)
{
    if (!part.len)
        return;
    buffer_put_string(b, before);
    buffer_put_escaped(b, part);
}

static void put_dialogue(struct buffer *b, const json_t *lines)
{
    const json_t *line;
    size_t i;

    json_array_foreach(lines, i, line)
    {
        buffer_put_string(b, "\n                         ");
        buffer_put_escaped(b, span_of(json_string_value(line)));
    }
}

/* Attempts that were not the last. */
static void add_tries(struct story *s, struct span recipient,
                      const json_t *tries)
{
    const json_t *one;
    size_t i;

    json_array_foreach(tries, i, one)
    {
        struct buffer *b = add_scene(s, paper_number(one, "at") * 1000);

        buffer_put_string(b, "deferred   ");
        buffer_put_escaped(b, recipient);
        put_after(b, " at ", paper_span(one, "host"));
        put_after(b, ": ", paper_span(one, "status"));
        put_after(b, " ", paper_span(one, "reply"));
    }
}

static void add_end(struct story *s, const json_t *row)
{
    struct span who = paper_span(row, "who");
    struct buffer *b = add_scene(s, paper_number(row, "at_ms"));

    buffer_printf(b, "%-9.*s  ", SPAN_FMT(paper_span(row, "what")));
    buffer_put_escaped(b, paper_span(row, "recipient"));
    put_after(b, " at ", paper_span(row, "host"));
    if (paper_span(row, "recipient").len)
        buffer_put_string(b, ": ");
    put_after(b, "", paper_span(row, "status"));
    put_after(b, " ", paper_span(row, "reply"));
    put_after(b, who.len ? ", by " : "", who);
    if (json_is_true(json_object_get(row, "in_doubt")))
        buffer_put_string(b, ", in doubt: it may have arrived");
    put_dialogue(b, json_object_get(row, "dialogue"));
}

static void put_fact(struct buffer *b, const char *name, struct span value)
{
    if (!value.len)
        return;
    buffer_printf(b, "%-10s ", name);
    buffer_put_escaped(b, value);
    buffer_put_byte(b, '\n');
}

/* "192.0.2.7 (client.example), login joe, on listener edge, TLSv1.3 256" */
static void put_origin(struct buffer *b, const json_t *row)
{
    put_after(b, " from ", paper_span(row, "client"));
    if (paper_span(row, "client_name").len) {
        put_after(b, " (", paper_span(row, "client_name"));
        buffer_put_byte(b, ')');
    }
    put_after(b, ", who says ", paper_span(row, "helo"));
    put_after(b, ", logged in as ", paper_span(row, "login"));
    put_after(b, ", on listener ", paper_span(row, "listener"));
    put_after(b, ", by ", paper_span(row, "protocol"));
    put_after(b, ", ", paper_span(row, "tls"));
}

static void put_ruling(struct buffer *b, const json_t *row)
{
    put_after(b, "\n                     to ", paper_span(row, "recipient"));
    put_after(b, ", the client said ", paper_span(row, "asked_to"));
    put_after(b, ", first sent to ", paper_span(row, "orig_to"));
    put_after(b, ", by rule ", paper_span(row, "rule"));
    if (paper_span(row, "place").len) {
        put_after(b, " (", paper_span(row, "place"));
        buffer_put_byte(b, ')');
    }
    put_after(b, ", held by rule ", paper_span(row, "held_by"));
}

static bool is_of_mail(const json_t *row)
{
    return !span_is(paper_span(row, "what"), SPAN("changed"));
}

static const json_t *first_of_mail(const json_t *rows)
{
    const json_t *row;
    size_t i;

    json_array_foreach(rows, i, row)
    {
        if (is_of_mail(row))
            return row;
    }
    return NULL;
}

static void put_head(struct buffer *b, const json_t *row, const json_t *rows,
                     const json_t *waiting)
{
    struct buffer sender = { 0 };

    put_fact(b, "message",
             paper_span(row       ? row
                        : waiting ? waiting
                                  : json_array_get(rows, 0),
                        "queue_id"));
    if (row || waiting) {
        buffer_put(&sender, paper_span(row ? row : waiting, "sender"));
        put_fact(b, "from", sender.len ? buffer_span(&sender) : SPAN("<>"));
        buffer_printf(b, "%-10s %lld bytes\n", "size",
                      (long long)(row ? paper_number(row, "size")
                                      : paper_number(waiting, "message_size")));
    }
    if (row)
        put_fact(b, "message-id", paper_span(row, "message_id"));
    buffer_put_byte(b, '\n');
    buffer_fini(&sender);
}

static void add_arrival(struct story *s, const json_t *row, const json_t *rows,
                        const json_t *waiting)
{
    int64_t at = row ? paper_number(row, "received")
                     : paper_number(waiting, "arrival_time");
    struct buffer *b = add_scene(s, at * 1000);
    const json_t *each;
    size_t i;

    s->scenes[s->count - 1].number = 0; /* ahead of what came in that second */
    buffer_put_string(b, "received  ");
    put_origin(b, row ? row : waiting);
    json_array_foreach(rows, i, each)
    {
        if (is_of_mail(each))
            put_ruling(b, each);
    }
}

static void put_waiting(struct buffer *b, const json_t *waiting, int64_t now_s)
{
    const json_t *r;
    size_t i;

    json_array_foreach(json_object_get(waiting, "recipients"), i, r)
    {
        int64_t due = paper_number(r, "due");

        buffer_put_string(b, "still here           ");
        buffer_printf(b, "%-9.*s  ", SPAN_FMT(paper_span(r, "state")));
        buffer_put_escaped(b, paper_span(r, "address"));
        if (span_is(paper_span(r, "state"), SPAN("deferred")) && due > now_s) {
            buffer_put_string(b, ", next attempt in ");
            listing_put_duration(b, due - now_s);
        }
        put_after(b, ": ", paper_span(r, "delay_reason"));
        buffer_put_byte(b, '\n');
    }
}

void history_story_put(struct buffer *b, const json_t *rows,
                       const json_t *waiting, int64_t now_s, bool in_colour)
{
    const json_t *row, *first = first_of_mail(rows);
    struct story s = { 0 };
    size_t i;

    put_head(b, first, rows, waiting);
    if (first || waiting)
        add_arrival(&s, first, rows, waiting);
    json_array_foreach(rows, i, row)
    {
        add_tries(&s, paper_span(row, "recipient"),
                  json_object_get(row, "tries"));
        add_end(&s, row);
    }
    json_array_foreach(json_object_get(waiting, "recipients"), i, row)
        add_tries(&s, paper_span(row, "address"),
                  json_object_get(row, "tries"));
    if (s.count)
        qsort(s.scenes, s.count, sizeof *s.scenes, compare_scenes);
    for (i = 0; i < s.count; i++) {
        if (in_colour)
            buffer_put_string(b, "\033[1m");
        history_listing_put_time(b, s.scenes[i].at_ms / 1000);
        buffer_put_string(b, in_colour ? "\033[0m  " : "  ");
        buffer_put(b, buffer_span(&s.scenes[i].text));
        buffer_put_byte(b, '\n');
        buffer_fini(&s.scenes[i].text);
    }
    put_waiting(b, waiting, now_s);
    free(s.scenes);
}
