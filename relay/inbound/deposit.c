/*
 * deposit - a finished draft becomes a message of the queue.
 */
#include "relay/inbound/deposit.h"

#include "policy/retry.h"
#include "policy/route.h"
#include "policy/vocabulary/memory.h"
#include "relay/net/log.h"

#include <stdlib.h>

static void log_arrival(const struct draft *d)
{
    const struct envelope *e = &d->envelope;

    log_put(&(struct log_line){
        .event = LOG_CLIENT, .id = d->id, .host = e->client_name,
        .address = e->client, .listener = e->listener, .login = e->login });
    log_put(&(struct log_line){ .event = LOG_MESSAGE_ID, .id = d->id,
                                .message_id = e->message_id });
}

void deposit_log(const struct draft *d)
{
    log_put(&(struct log_line){ .event = LOG_QUEUED, .id = d->id,
                                .sender = d->envelope.sender,
                                .size = d->envelope.size_bytes,
                                .count = d->count });
}

static void log_discarded(const struct draft *d,
                          const struct draft_recipient *r)
{
    struct buffer why = { 0 };

    buffer_printf(&why, "discarded by rule \"%.*s\"", SPAN_FMT(r->rule->title));
    log_put(&(struct log_line){
        .event = LOG_DELIVERY, .id = d->id, .recipient = r->address.text,
        .relay = SPAN("none"), .dsn = STATUS(2, 0, 0),
        .status = SPAN("discarded"), .text = buffer_span(&why) });
    buffer_fini(&why);
}

struct deposit_terms deposit_terms(const struct draft *d,
                                   const struct retry_settings *retry)
{
    const struct envelope *e = &d->envelope;
    bool is_report = e->sender.len == 0;
    int64_t begin_ms = envelope_begin_ms(e);
    struct deposit_terms t = {
        .due_ms = e->release_ms,
        .expire_ms = retry_expiry_ms(retry, begin_ms, is_report),
        .warn_ms = retry_warning_ms(retry, begin_ms, is_report),
    };
    int64_t notify_by_ms = envelope_notify_by_ms(e);

    if (e->deliver_by_ms && e->deliver_by_mode == DELIVER_BY_RETURN &&
        e->deliver_by_ms < t.expire_ms)
        t.expire_ms = e->deliver_by_ms;
    if (notify_by_ms && notify_by_ms < t.warn_ms)
        t.warn_ms = notify_by_ms;
    if (is_report)
        t.warn_ms = INT64_MAX; /* nobody is there to be told */
    return t;
}

/* One recipient as the queue keeps it; its lane key goes behind the others. */
static void fill(struct queue_recipient *r, const struct settings *s,
                 const struct draft *d, const struct draft_recipient *from,
                 struct buffer *lanes)
{
    const struct route *route =
        route_find(s, d->envelope.sender, &from->address);
    struct deposit_terms terms =
        deposit_terms(d, route ? &route->retry : &s->retry);
    size_t start = lanes->len;

    if (lane_key(s, d->envelope.sender, &from->address, lanes) < 0)
        ASSERT(!"an accepted recipient's domain folds");
    *r = (struct queue_recipient){
        .address = from->address.text,
        .notify = from->notify,
        .orcpt = from->orcpt,
        .lane = { NULL, lanes->len - start }, /* see place_lanes */
        .held = from->hold,
        .due_ms = terms.due_ms,
        .expire_ms = terms.expire_ms,
        .warn_ms = terms.warn_ms,
    };
}

/* Lane keys lie one behind the other in a buffer that moved while it grew: now it stands
 * still. */
static void place_lanes(struct queue_recipient *r, size_t count,
                        const struct buffer *lanes)
{
    const char *at = lanes->at;

    for (size_t n = 0; n < count; n++) {
        r[n].number = (uint32_t)n;
        r[n].lane.at = at;
        at += r[n].lane.len;
    }
}

static void put(struct queue_port *p, struct draft *d,
                const struct queue_recipient *r, size_t count,
                struct queue_body *take_body, queue_put_fn *done,
                uint64_t token)
{
    struct queue_message m = {
        .id = d->id, .envelope = d->envelope,
        .recipients = r, .recipient_count = count, .take_body = take_body };

    if (!take_body) {
        m.take_content = d->content.at;
        d->content = (struct buffer){ .cap = d->content.cap };
    }
    queue_put(p, &m, done, token);
}

bool deposit(struct queue_port *p, const struct settings *s, struct draft *d,
             struct queue_body *take_body, struct buffer *scratch,
             queue_put_fn *done, uint64_t token)
{
    struct queue_recipient few[8], *r = few;
    size_t count = 0;

    if (d->count > sizeof few / sizeof few[0])
        r = NEW_ARRAY(struct queue_recipient, d->count);
    buffer_clear(scratch);
    log_arrival(d);
    for (size_t n = 0; n < d->count; n++)
        if (d->recipients[n].discard)
            log_discarded(d, &d->recipients[n]);
        else
            fill(&r[count++], s, d, &d->recipients[n], scratch);
    place_lanes(r, count, scratch);
    if (count)
        put(p, d, r, count, take_body, done, token);
    if (r != few)
        free(r);
    return count > 0;
}
