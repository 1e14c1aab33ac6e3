/*
 * store_audit - a person's order, told to the history: what was asked, by whom, and how much
 * of the queue it met.
 *
 *   delete from=a@* state=held: 2 messages, 3 recipients
 *
 * What people wrote is escaped and cut to a path's length.
 */
#include "queue/store_private.h"

#include "policy/vocabulary/id.h"

#include <time.h>

static void put_condition(struct buffer *b, const char *name, struct span value)
{
    if (!value.len)
        return;
    buffer_printf(b, " %s=", name);
    buffer_put_escaped(b, span_first(value, LIMIT_PATH));
}

static void put_moment(struct buffer *b, const char *name, int64_t ms)
{
    time_t t = (time_t)(ms / 1000);
    char text[32];
    struct tm tm;

    if (ms && gmtime_r(&t, &tm) &&
        strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%SZ", &tm))
        buffer_printf(b, " %s=%s", name, text);
}

static void put_states(struct buffer *b, unsigned states)
{
    static const struct {
        enum queue_state state;
        const char *name;
    } names[] = {
        { STATE_ACTIVE, "active" },     { STATE_READY, "ready" },
        { STATE_DEFERRED, "deferred" }, { STATE_HELD, "held" },
        { STATE_DELETED, "deleted" },
    };
    const char *between = " state=";

    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        if (!(states & names[i].state))
            continue;
        buffer_put_string(b, between);
        buffer_put_string(b, names[i].name);
        between = ",";
    }
}

static void put_filter(struct buffer *b, const struct queue_filter *f)
{
    if (f->id)
        put_condition(b, "id", span_of(id_print(f->id).at));
    put_condition(b, "from", f->from);
    put_condition(b, "to", f->to);
    put_condition(b, "domain", f->domain);
    put_condition(b, "client", f->client);
    put_condition(b, "login", f->login);
    put_condition(b, "reason", f->reason);
    put_condition(b, "via", f->via);
    put_states(b, f->states);
    if (f->attempts)
        buffer_printf(b, " attempts=%u", f->attempts);
    put_moment(b, "before", f->older_ms);
    put_moment(b, "after", f->newer_ms);
}

int store_audit_put(struct store *s, const struct store_change *c,
                    const char *name, const struct queue_count *count)
{
    const struct queue_filter *f = c->filter;
    struct envelope e = { .login = c->who };
    struct queue_result r = { 0 };
    struct store_event event = {
        .kind = EVENT_CHANGED,
        .at_ms = c->now_ms,
        .message = f->id,
        .envelope = &e,
        .result = &r,
        .who = c->who,
    };

    buffer_clear(&s->text);
    buffer_put_string(&s->text, name);
    put_condition(&s->text, "route", c->route);
    put_condition(&s->text, "why", c->why);
    put_filter(&s->text, f);
    if (count)
        buffer_printf(&s->text, ": %llu message%s, %llu recipient%s",
                      (unsigned long long)count->messages,
                      count->messages == 1 ? "" : "s",
                      (unsigned long long)count->recipients,
                      count->recipients == 1 ? "" : "s");
    if (count && count->active)
        buffer_printf(&s->text, ", %llu being sent left alone",
                      (unsigned long long)count->active);
    if (!count)
        buffer_put_string(&s->text, ": begun");
    r.reply = buffer_span(&s->text);
    return store_event_put(s, &event);
}
