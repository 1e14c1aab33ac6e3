/*
 * portrait - all about one message that waits, over HTTP, and its bytes.
 *
 * Bytes go out in parts, each read when the one before has left. A request that goes while a
 * part is read lets go of its copy at once: the late part finds nobody.
 */
#include "relay/admin/portrait.h"

#include "policy/route.h"
#include "policy/vocabulary/id.h"
#include "policy/vocabulary/limits.h"
#include "relay/admin/chronicle_row.h"
#include "relay/admin/delaywords.h"
#include "relay/admin/listing.h"

static bool read_id(struct request *r, struct span id)
{
    struct buffer why = { 0 };
    bool is_good =
        filter_add(&r->filter, SPAN("id"), id, request_now_ms(r), &why);

    if (!is_good)
        request_refuse(r, 404, "%s", buffer_string(&why));
    buffer_fini(&why);
    return is_good;
}

static void refuse_unknown(struct request *r)
{
    struct id_text id = id_print(r->filter.queue.id);

    request_refuse(
        r, 404,
        "there is no message %s in the queue: \"waypost history %s\" "
        "tells what became of it",
        id.at, id.at);
}

/* ------------------------------------------------------------ the story ---- */

/* A line each, with nothing in it that a terminal would obey. */
static json_t *header_text(struct span header)
{
    struct buffer clean = { 0 };
    json_t *text;

    while (header.len) {
        struct span line = span_split(header, '\n', &header);

        if (span_ends_nocase(line, SPAN("\r")))
            line.len--;
        if (line.len == 0)
            continue;
        for (size_t at; line.len; line = span_skip(line, at)) {
            at = span_find(line, '\t');
            buffer_put_escaped(&clean, span_first(line, at));
            if (at < line.len) {
                buffer_put_byte(&clean, ' ');
                at++;
            }
        }
        buffer_put_byte(&clean, '\n');
    }
    text = listing_text(buffer_span(&clean));
    buffer_fini(&clean);
    return text;
}

struct about {
    const struct settings *settings;
    const struct queue_story *story;
    const struct queue_story_recipient *to;
    int64_t now_ms;
    struct buffer why;
};

static void put_why(const struct queue_destination_row *d, struct about *a)
{
    const struct delaywords words = { .settings = a->settings,
                                      .envelope = &a->story->envelope,
                                      .to = a->to,
                                      .destination = d,
                                      .now_ms = a->now_ms };

    buffer_clear(&a->why);
    delaywords_put(&a->why, &words);
}

static void on_destination(void *user, const struct queue_destination_row *d)
{
    put_why(d, user);
}

static void add_recipient(struct request *r, struct about *a, json_t *o)
{
    const struct route *route =
        a->settings ? route_of_lane(a->settings, a->to->lane) : NULL;
    const struct queue_ruling *ruling = &a->to->ruling;

    if (!queue_destination_find(request_queue(r), a->to->destination,
                                on_destination, a))
        put_why(NULL, a);
    listing_set(o, "why", listing_text(buffer_span(&a->why)));
    listing_set(o, "destination", listing_text(a->to->destination));
    listing_set(o, "route", route ? listing_text(route->title) : json_null());
    listing_set(o, "tries", chronicle_row_tries(a->to->trail));
    if (a->to->orcpt.len)
        listing_set(o, "orcpt", listing_text(a->to->orcpt));
    if (ruling->rule.len)
        listing_set(o, "rule", listing_text(ruling->rule));
    if (ruling->place.len)
        listing_set(o, "place", listing_text(ruling->place));
    if (ruling->held_by.len)
        listing_set(o, "held_by", listing_text(ruling->held_by));
}

static json_t *dialogues_json(const struct queue_story *s)
{
    json_t *all = json_array();

    for (size_t i = 0; i < s->dialogue_count; i++) {
        const struct queue_dialogue *d = &s->dialogues[i];
        json_t *o = json_object();

        listing_set(o, "at", json_integer(d->at_ms / 1000));
        listing_set(o, "host", listing_text(d->host));
        listing_set(o, "lines", chronicle_row_lines(d->text));
        ASSERT(json_array_append_new(all, o) == 0);
    }
    return all;
}

static json_t *story_json(struct request *r, const struct queue_story *s)
{
    const struct envelope *e = &s->envelope;
    struct about about = { .settings = request_settings(r),
                           .story = s,
                           .now_ms = request_now_ms(r) };
    struct queue_row row = { .id = s->id,
                             .received_ms = e->received_ms,
                             .expire_ms = INT64_MAX,
                             .size_bytes = e->size_bytes,
                             .sender = e->sender,
                             .client = e->client,
                             .login = e->login,
                             .helo = e->helo,
                             .state = s->state };
    json_t *recipients = json_array(), *o;

    for (size_t i = 0; i < s->count; i++) {
        json_t *one = listing_recipient(&s->recipients[i].row);

        about.to = &s->recipients[i];
        if (about.to->expire_ms < row.expire_ms)
            row.expire_ms = about.to->expire_ms;
        add_recipient(r, &about, one);
        ASSERT(json_array_append_new(recipients, one) == 0);
    }
    o = listing_row(&row, true);
    listing_set(o, "recipients", recipients);
    listing_set(o, "client_name", listing_text(e->client_name));
    listing_set(o, "listener", listing_text(e->listener));
    listing_set(o, "protocol", listing_text(e->protocol));
    listing_set(o, "message_id", listing_text(e->message_id));
    listing_set(o, "tls", listing_text(e->tls));
    listing_set(o, "header", header_text(s->header));
    listing_set(o, "header_is_cut",
                json_boolean(e->header_bytes > STORY_HEADER));
    listing_set(o, "dialogues", dialogues_json(s));
    buffer_fini(&about.why);
    return o;
}

static void on_story(void *user, uint64_t token, int rc,
                     const struct queue_story *s)
{
    struct request *r = request_find(user, token);

    if (!r)
        return;
    if (rc < 0 && rc != ERROR_GONE)
        request_refuse_queue(r, rc);
    else if (!s)
        refuse_unknown(r);
    else
        request_answer_json(r, story_json(r, s));
}

void portrait_show(struct request *r)
{
    if (!read_id(r, r->name))
        return;
    queue_story(request_port(r), r->filter.queue.id, on_story, r->token);
    request_wait(r);
}

/* ------------------------------------------------------------ the bytes ---- */

static void ask_part(struct request *r);

static void on_part(void *user, uint64_t token, int rc, struct span bytes)
{
    struct request *r = request_find(user, token);

    if (!r)
        return;
    if (rc < 0 && !r->is_stream) {
        request_refuse_queue(r, rc);
        return;
    }
    if (rc < 0)
        r->is_cut = true;
    else
        buffer_put(&r->answer, bytes);
    r->after_id += bytes.len;
    r->more = rc == 0 && r->after_id < r->limit ? ask_part : NULL;
    request_go_on(r);
}

/* From after_id on; up to `limit`. */
static void ask_part(struct request *r)
{
    uint64_t left = r->limit - r->after_id;

    queue_copy_read(request_port(r), r->gone_user, r->after_id,
                    left < CONTENT_PART ? (size_t)left : CONTENT_PART, on_part,
                    r->token);
    request_wait(r);
}

static void on_gone(struct request *r, void *user)
{
    (void)r;
    queue_copy_close(user);
}

static void on_copy(void *user, uint64_t token, int rc,
                    struct queue_copy *take_c)
{
    struct request *r = request_find(user, token);

    if (!r) {
        queue_copy_close(take_c);
        return;
    }
    if (rc == ERROR_GONE) {
        refuse_unknown(r);
        return;
    }
    if (rc < 0) {
        request_refuse_queue(r, rc);
        return;
    }
    r->gone = on_gone;
    r->gone_user = take_c;
    if (r->page_rows)
        r->limit = queue_copy_header_size(take_c);
    else
        r->limit = queue_copy_size(take_c);
    r->after_id = 0;
    r->more = r->limit ? ask_part : NULL;
    request_go_on(r);
}

void portrait_content(struct request *r)
{
    const char *part = request_parameter(r, "part");

    if (!read_id(r, r->name))
        return;
    if (part && strcmp(part, "header") != 0) {
        request_refuse(r, 400, "part should be header");
        return;
    }
    r->page_rows = part != NULL;
    queue_copy_open(request_port(r), r->filter.queue.id, on_copy, r->token);
    request_wait(r);
}
