/*
 * settlement_report - who is told of what a settlement says.
 */
#include "relay/outbound/settlement_report.h"

#include "policy/retry.h"
#include "policy/route.h"
#include "policy/vocabulary/id.h"
#include "policy/vocabulary/memory.h"
#include "policy/vocabulary/utf8.h"
#include "relay/net/gauge.h"
#include "relay/net/log.h"
#include "relay/outbound/verp.h"

#include <stdlib.h>

/* What `protocol` says of messages of our own. */
#define PROTOCOL_REPORT SPAN("report")
#define PROTOCOL_NOTICE                                                        \
    SPAN("notice") /* to the postmaster; nobody is told of it */

/* -------------------------------------------------------- who is it about ---- */

static unsigned wanted(const struct settlement *s, size_t i)
{
    unsigned notify = s->work->recipients[i].notify;

    return notify ? notify : NOTIFY_FAILURE | NOTIFY_DELAY;
}

static bool is_failed(const struct settlement *s, size_t i)
{
    return s->results[i].outcome == OUTCOME_FAILED ||
           s->results[i].outcome == OUTCOME_EXPIRED ||
           s->results[i].outcome == OUTCOME_RETURNED;
}

static bool is_about_success(const struct settlement *s, size_t i)
{
    const struct settlement_fact *f = &s->facts[i];
    const struct envelope *e = &s->work->envelope;

    if (s->results[i].outcome != OUTCOME_DELIVERED)
        return false;
    if ((wanted(s, i) & NOTIFY_SUCCESS) && !f->dsn_passed)
        return true;
    if (!e->deliver_by_ms || f->is_final || wanted(s, i) == NOTIFY_NEVER)
        return false;
    /* Each relay leaves a trace; and where the next hop does not know of the time, nobody
     * will tell when it is over. RFC 2852 4.1.4 */
    return e->deliver_by_trace || !f->by_passed;
}

/* A report of ours says NOTIFY=NEVER, which is not meant for the postmaster. Nor is what an
 * operator gave back. */
static bool is_about_double(const struct settlement *s, size_t i)
{
    return is_failed(s, i) && s->results[i].outcome != OUTCOME_RETURNED &&
           (span_is(s->work->envelope.protocol, PROTOCOL_REPORT) ||
            (wanted(s, i) & NOTIFY_FAILURE));
}

static bool is_about(const struct settlement *s, size_t i,
                     enum report_kind kind)
{
    switch (kind) {
    case REPORT_FAILED:
        return is_failed(s, i) && (wanted(s, i) & NOTIFY_FAILURE);
    case REPORT_DELAYED:
        return s->results[i].outcome == OUTCOME_WARNED &&
               s->work->recipients[i].warn_ms <= wall_ms() &&
               (wanted(s, i) & NOTIFY_DELAY);
    case REPORT_SUCCESS:
        return is_about_success(s, i);
    case REPORT_DOUBLE:
        return is_about_double(s, i);
    case REPORT_KINDS:
        break;
    }
    return false;
}

/* The recipients that share a report. */
struct range {
    size_t from, to;
};

static struct span verp_sender(struct settlement *s, size_t i)
{
    struct buffer text = { 0 };
    struct span to;

    verp_put(&text, &s->work->envelope, s->work->recipients[i].address);
    to = arena_copy(&s->texts, buffer_span(&text));
    buffer_fini(&text);
    return to;
}

/* Who is to be sent a report of this kind; empty: nobody. */
static struct span addressee(struct settlement *s, enum report_kind kind,
                             struct range who)
{
    if (!settlement_is_report(s) && kind == REPORT_DOUBLE)
        return SPAN("");
    if (!settlement_is_report(s))
        return verp_is_asked(&s->work->envelope) ? verp_sender(s, who.from)
                                                 : s->work->envelope.sender;
    if (kind != REPORT_DOUBLE ||
        span_is(s->work->envelope.protocol, PROTOCOL_NOTICE))
        return SPAN("");
    return s->settings->postmaster;
}

static size_t gather(const struct settlement *s, enum report_kind kind,
                     struct range who, struct report_recipient *out)
{
    size_t count = 0;

    for (size_t i = who.from; i < who.to; i++) {
        const struct queue_result *r = &s->results[i];

        if (!is_about(s, i, kind))
            continue;
        out[count++] = (struct report_recipient){
            .address = s->work->recipients[i].address,
            .orcpt = s->work->recipients[i].orcpt,
            .action = kind == REPORT_DELAYED   ? REPORT_ACTION_DELAYED
                      : kind != REPORT_SUCCESS ? REPORT_ACTION_FAILED
                      : s->facts[i].is_final   ? REPORT_ACTION_DELIVERED
                                               : REPORT_ACTION_RELAYED,
            .status = r->status,
            .reply = r->reply,
            .is_remote = s->facts[i].is_remote,
            .is_returned = r->outcome == OUTCOME_RETURNED,
            .host = r->host,
            .attempt_ms = s->work->is_alarm ? 0 : wall_ms(),
            .until_ms = r->expire_ms,
        };
    }
    return count;
}

/* --------------------------------------------------------- as a message ---- */

static uint32_t header_length(struct span content)
{
    const char *end = memmem(content.at, content.len, "\r\n\r\n", 4);

    return end ? (uint32_t)(end - content.at) + 4 : (uint32_t)content.len;
}

/* Where it goes; false when there is nowhere. What VERP made is in the sender's domain, and
 * may be longer than an address of somebody's own. */
static bool address_report(const struct settlement *s, struct span address,
                           struct queue_recipient *to, struct buffer *lane)
{
    const struct retry_settings *retry = &s->settings->retry;
    bool is_verp = verp_is_asked(&s->work->envelope);
    const struct route *route;
    struct address parsed;

    if (address_parse(is_verp ? s->work->envelope.sender : address, &parsed) !=
            ADDRESS_OK ||
        lane_key(s->settings, SPAN(""), &parsed, lane) < 0)
        return false;
    route = route_find(s->settings, SPAN(""), &parsed);
    if (route)
        retry = &route->retry;
    *to = (struct queue_recipient){
        .address = address,
        .notify = NOTIFY_NEVER,
        .lane = buffer_span(lane),
        .expire_ms = retry_expiry_ms(retry, wall_ms(), true),
        .warn_ms = INT64_MAX,
    };
    return true;
}

static struct envelope report_envelope(const struct report *r,
                                       struct span content)
{
    bool is_global = utf8_has_high(r->to);

    return (struct envelope){
        .body = is_global ? BODY_8BITMIME : BODY_7BIT,
        .smtputf8 = is_global,
        .header_8bit = is_global,
        .has_8bit = utf8_has_high(content),
        .protocol =
            r->kind == REPORT_DOUBLE ? PROTOCOL_NOTICE : PROTOCOL_REPORT,
        .received_ms = r->now_ms,
        .size_bytes = content.len,
        .header_bytes = header_length(content),
    };
}

static void log_report(const struct settlement *s, enum report_kind kind,
                       uint64_t id)
{
    static const struct span names[REPORT_KINDS] = {
        [REPORT_FAILED] = SPAN_INIT("non-delivery"),
        [REPORT_DELAYED] = SPAN_INIT("delay"),
        [REPORT_SUCCESS] = SPAN_INIT("delivery status"),
    };
    static const enum gauge_counter counters[REPORT_KINDS] = {
        [REPORT_FAILED] = GAUGE_REPORTS_FAILED,
        [REPORT_DOUBLE] = GAUGE_REPORTS_FAILED,
        [REPORT_DELAYED] = GAUGE_REPORTS_DELAYED,
        [REPORT_SUCCESS] = GAUGE_REPORTS_SUCCESS,
    };

    gauge_count(s->worker->gauge, counters[kind]);
    if (kind == REPORT_DOUBLE)
        log_text(LOG_NOTE, "%s: postmaster non-delivery notification: %s",
                 id_print(s->work->message).at, id_print(id).at);
    else
        log_put(&(struct log_line){ .event = LOG_REPORT,
                                    .id = s->work->message,
                                    .other_id = id,
                                    .status = names[kind] });
}

/* Room for one more. */
static void grow(struct settlement_reports *out)
{
    if (out->count < out->room)
        return;
    out->room = out->room ? out->room * 2 : REPORT_KINDS;
    out->messages =
        memory_grow(out->messages, out->room * sizeof *out->messages);
    out->to = memory_grow(out->to, out->room * sizeof *out->to);
    out->lanes = memory_grow(out->lanes, out->room * sizeof *out->lanes);
}

static void compose(struct settlement *s, struct report *r,
                    struct settlement_reports *out)
{
    struct queue_recipient to;
    struct buffer content = { 0 }, lane = { 0 };

    if (!address_report(s, r->to, &to, &lane)) {
        log_text(LOG_WARNING, "%s: the report to its %s has nowhere to go",
                 id_print(s->work->message).at,
                 r->kind == REPORT_DOUBLE ? "postmaster" : "sender");
        buffer_fini(&lane);
        return;
    }
    grow(out);
    r->id = queue_new_id(s->worker->queue);
    report_compose(&content, r);
    out->to[out->count] = to;
    out->lanes[out->count] = lane;
    out->messages[out->count++] = (struct queue_message){
        .id = r->id,
        .envelope = report_envelope(r, buffer_span(&content)),
        .recipient_count = 1,
        .take_content = content.at,
    };
    log_report(s, r->kind, r->id);
}

/* The report of this kind about these, when one is owed. */
static void make_one(struct settlement *s, enum report_kind kind,
                     struct range who, struct settlement_reports *out)
{
    struct report_recipient *about =
        NEW_ARRAY(struct report_recipient, who.to - who.from);
    struct report r = { .kind = kind,
                        .hostname = s->settings->hostname,
                        .about = s->work->message,
                        .envelope = &s->work->envelope,
                        .recipients = about,
                        .count = gather(s, kind, who, about),
                        .content = s->head,
                        .content_is_whole = s->head_is_whole,
                        .now_ms = wall_ms() };

    if (r.count)
        r.to = addressee(s, kind, who);
    if (r.to.len)
        compose(s, &r, out);
    free(about);
}

/* RFC 5321 6.1: no report about a report, so here somebody hears of it. */
static void log_double_bounces(const struct settlement *s, bool is_told)
{
    for (size_t i = 0; i < s->work->count && settlement_is_report(s); i++)
        if (is_failed(s, i) && s->results[i].outcome != OUTCOME_RETURNED)
            log_text(LOG_WARNING,
                     "%s: double bounce: a report (from=<>) could not be "
                     "delivered to <%.*s>; it is dropped, and %s",
                     id_print(s->work->message).at,
                     SPAN_FMT(s->work->recipients[i].address),
                     is_told && is_about_double(s, i)
                         ? "the postmaster is told"
                         : "nobody is sent a report about it");
}

void settlement_report_make(struct settlement *s, struct settlement_reports *out)
{
    size_t count = s->work->count;
    size_t share = verp_is_asked(&s->work->envelope) ? 1 : count;

    *out = (struct settlement_reports){ 0 };
    for (int kind = REPORT_FAILED; kind < REPORT_KINDS; kind++)
        for (size_t i = 0; i < count; i += share)
            make_one(s, (enum report_kind)kind, (struct range){ i, i + share },
                     out);
    for (size_t i = 0; i < out->count; i++) /* they moved while they grew */
        out->messages[i].recipients = &out->to[i];
    log_double_bounces(s, out->count > 0);
}

void settlement_report_fini(struct settlement_reports *reports)
{
    for (size_t i = 0; i < reports->count; i++)
        buffer_fini(&reports->lanes[i]);
    free(reports->lanes);
    free(reports->to);
    free(reports->messages);
}
