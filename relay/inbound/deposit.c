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

/* One recipient as the queue keeps it; its lane key goes behind the others. */
static void fill(struct queue_recipient *r, const struct settings *s,
                 const struct draft *d, const struct draft_recipient *from,
                 struct buffer *lanes)
{
    const struct route *route =
        route_find(s, d->envelope.sender, &from->address);
    const struct retry_settings *retry = route ? &route->retry : &s->retry;
    int64_t received_ms = d->envelope.received_ms;
    bool is_report = d->envelope.sender.len == 0;
    size_t start = lanes->len;

    if (lane_key(s, d->envelope.sender, &from->address, lanes) < 0)
        ASSERT(!"an accepted recipient's domain folds");
    *r = (struct queue_recipient){
        .address = from->address.text,
        .lane = { NULL, lanes->len - start }, /* see place_lanes */
        .held = from->hold,
        .expire_ms = retry_expiry_ms(retry, received_ms, is_report),
        .warn_ms = retry_warning_ms(retry, received_ms, is_report),
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
