/*
 * delaywords - why does it wait, and until when? One plain sentence.
 *
 * A person's or a rule's hold first, then what is known of its destination, then its own due
 * time: the first that holds is what keeps it.
 */
#include "relay/admin/delaywords.h"

#include "policy/route.h"
#include "relay/net/pacewords.h"

#include <time.h>

enum { DAY_MS = 24 * 3600 * 1000 };

static void put_moment(struct buffer *b, int64_t ms)
{
    time_t t = (time_t)(ms / 1000);
    char text[64];
    struct tm tm;

    if (localtime_r(&t, &tm) &&
        strftime(text, sizeof text, "%Y-%m-%d %H:%M:%S", &tm))
        buffer_put_string(b, text);
}

/* "..., because ...": nothing where there are no words. */
static void put_words(struct buffer *b, const char *before, struct span words)
{
    if (words.len == 0)
        return;
    buffer_put_string(b, before);
    buffer_put_escaped(b, words);
}

static void put_until(struct buffer *b, int64_t ms, const char *never)
{
    if (ms == INT64_MAX) {
        buffer_put_string(b, never);
        return;
    }
    buffer_put_string(b, " until ");
    put_moment(b, ms);
}

/* ---------------------------------------------------------------- held ---- */

static void put_rule(struct buffer *b, const struct delaywords *d)
{
    struct span title = d->to->ruling.held_by;
    const struct settings *s = d->settings;

    buffer_put_string(b, "it is held by the rule \"");
    buffer_put_escaped(b, title);
    buffer_put_byte(b, '"');
    for (size_t i = 0; s && i < s->rule_count; i++) {
        if (!span_is(s->rules[i].title, title))
            continue;
        buffer_printf(b, " (%s:%u)", s->rules[i].place.file,
                      s->rules[i].place.line);
        break;
    }
}

/* When was the latest attempt? 0: there was none. */
static int64_t last_attempt_ms(struct span trail)
{
    uint64_t ms = 0;

    while (trail.len) {
        struct span line = span_split(trail, '\n', &trail);

        if (line.len &&
            !span_number(span_first(line, span_find(line, '|')), &ms))
            ms = 0;
    }
    return (int64_t)ms;
}

/* A version that did not write down who it was left since_ms alone. */
static void put_deed(struct buffer *b, const char *done, const char *when,
                     const struct queue_story_recipient *to)
{
    const struct queue_deed *d = &to->row.deed;

    buffer_put_string(b, done);
    if (d->who.len)
        buffer_put_escaped(b, d->who);
    else
        buffer_put_string(b, "a person");
    buffer_put_byte(b, ' ');
    buffer_put_string(b, when);
    put_moment(b, d->at_ms ? d->at_ms : to->since_ms);
    put_words(b, ": ", d->why);
}

static void put_deleted(struct buffer *b,
                        const struct queue_story_recipient *to)
{
    int64_t at_ms = to->row.deed.at_ms;

    put_deed(b, "it was deleted by ", "on ", to);
    buffer_put_string(b, "; it can be brought back until ");
    put_moment(b, (at_ms ? at_ms : to->since_ms) + DAY_MS);
}

/* A rule holds from the moment that it comes in, we ourselves after an attempt. */
static void put_held(struct buffer *b, const struct delaywords *d)
{
    const struct queue_story_recipient *to = d->to;

    if (to->ruling.held_by.len && to->since_ms == d->envelope->received_ms) {
        put_rule(b, d);
        return;
    }
    if (to->since_ms && to->since_ms == last_attempt_ms(to->trail)) {
        buffer_put_string(b, "it is held by the relay itself since ");
        put_moment(b, to->since_ms);
        put_words(b, ": ", to->row.reason);
        return;
    }
    put_deed(b, "it is held by ", "since ", to);
}

/* -------------------------------------------------- its destination ---- */

static void put_logins(struct buffer *b, const struct delaywords *d)
{
    const struct route *r =
        d->settings ? route_of_lane(d->settings, d->to->lane) : NULL;
    const char *between = " by login ";

    for (size_t i = 0; r && i < r->offline.logins.exact_count; i++) {
        buffer_put_string(b, between);
        buffer_put_escaped(b, r->offline.logins.exact[i]);
        between = " or ";
    }
}

static void put_offline(struct buffer *b, const struct delaywords *d)
{
    buffer_put_string(b, "it waits to be fetched");
    put_logins(b, d);
    if (d->destination->due_ms == INT64_MAX)
        return;
    buffer_put_string(b, "; its destination is tried at ");
    put_moment(b, d->destination->due_ms);
}

/* Does the destination keep it? */
static bool put_destination(struct buffer *b, const struct delaywords *d)
{
    const struct queue_destination_row *to = d->destination;

    if (!to)
        return false;
    switch (to->state) {
    case DESTINATION_UP:
        return false;
    case DESTINATION_RESTING:
        if (d->to->row.due_ms > to->due_ms && d->to->row.due_ms != INT64_MAX)
            return false; /* its own time comes later */
        buffer_put_string(b, "its destination is backing off");
        put_until(b, to->due_ms, "");
        put_words(b, ", because ", to->error);
        return true;
    case DESTINATION_OFFLINE:
        put_offline(b, d);
        return true;
    case DESTINATION_SUSPENDED:
        buffer_put_string(b, "a person has suspended its destination");
        put_until(b, to->due_ms, " until it is resumed");
        put_words(b, ": ", to->error);
        return true;
    }
    return false;
}

static void put_rate(struct buffer *b, const struct queue_destination_row *to)
{
    struct buffer words = { 0 };

    pacewords_put(&words, to, 0); /* with the date, as all of these */
    put_words(b, "; its destination is ", buffer_span(&words));
    buffer_fini(&words);
}

static void put_ready(struct buffer *b, const struct delaywords *d)
{
    const struct queue_destination_row *to = d->destination;

    buffer_put_string(b, "it is ready");
    if (to && to->is_fetched)
        buffer_put_string(b, "; its destination's mail is being fetched by "
                             "somebody");
    else if (to && to->held_ms)
        put_rate(b, to);
    else if (to && to->slots && to->slots >= to->window)
        buffer_printf(b,
                      "; its destination's window is full (%u of %u "
                      "connections are open)",
                      to->slots, to->window);
    else
        buffer_put_string(b, " and goes out in its turn");
}

static void put_deferred(struct buffer *b, const struct delaywords *d)
{
    const struct queue_story_recipient *to = d->to;

    if (to->is_returned) {
        buffer_put_string(b, "it is being returned to its sender");
    } else if (to->row.attempts == 0) {
        buffer_put_string(b, "it is not to be sent before ");
        put_moment(b, to->row.due_ms);
    } else {
        buffer_put_string(b, "it is deferred until ");
        put_moment(b, to->row.due_ms);
        put_words(b, ", after ", to->row.reason);
    }
}

void delaywords_put(struct buffer *b, const struct delaywords *d)
{
    switch (d->to->row.state) {
    case STATE_ACTIVE:
        buffer_put_string(b, "it is being sent now");
        break;
    case STATE_HELD:
        put_held(b, d);
        break;
    case STATE_DELETED:
        put_deleted(b, d->to);
        break;
    case STATE_READY:
        if (!put_destination(b, d))
            put_ready(b, d);
        break;
    case STATE_DEFERRED:
        if (d->to->is_returned || !put_destination(b, d))
            put_deferred(b, d);
        break;
    }
}
