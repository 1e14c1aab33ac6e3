/*
 * settlement - what becomes of each recipient of a work.
 *
 *   outcome of the attempt       age          becomes
 *   delivered                    any          DELIVERED
 *   later, in doubt              young        DEFERRED, due by retry_due_ms
 *   later, in doubt              expired      EXPIRED, reported
 *   failed                       any          FAILED, reported
 */
#include "relay/outbound/settlement.h"

#include "policy/retry.h"
#include "policy/route.h"
#include "policy/vocabulary/id.h"
#include "policy/vocabulary/memory.h"
#include "policy/vocabulary/utf8.h"
#include "relay/net/log.h"
#include "relay/outbound/report.h"

#include <openssl/rand.h>
#include <stdlib.h>

static uint32_t random_bits(void)
{
    uint32_t r;

    /* Only for jitter: a predictable one does no harm. */
    if (RAND_bytes((unsigned char *)&r, sizeof r) != 1)
        r = (uint32_t)wall_us();
    return r;
}

static const struct retry_settings *retry_of(const struct settlement *s)
{
    return s->route ? &s->route->retry : &s->settings->retry;
}

static bool is_report(const struct settlement *s)
{
    return s->work->envelope.sender.len == 0;
}

void settlement_begin(struct settlement *s, struct worker *w,
                      struct settings *settings, const struct route *route,
                      struct queue_work *take_work)
{
    *s = (struct settlement){
        .worker = w, .settings = settings, .route = route,
        .work = take_work, .claimed_ms = wall_ms(),
        .head = take_work->content,
        .head_is_whole = take_work->content.at != NULL,
    };
    s->results = arena_take(&s->texts, take_work->count * sizeof *s->results);
    s->is_remote = arena_take(&s->texts, take_work->count * sizeof *s->is_remote);
}

/* "450 ...": said by a peer, and not our own words. */
static bool is_reply(struct span words)
{
    return words.len > 3 && words.at[3] == ' ' &&
           (words.at[0] == '4' || words.at[0] == '5') &&
           words.at[1] >= '0' && words.at[1] <= '9' &&
           words.at[2] >= '0' && words.at[2] <= '9';
}

/* What a temporary failure means at the recipient's age. */
static void defer(struct settlement *s, size_t i)
{
    const struct queue_recipient *to = &s->work->recipients[i];
    const struct retry_settings *retry = retry_of(s);
    int64_t now = wall_ms(), received = s->work->envelope.received_ms;
    struct queue_result *r = &s->results[i];

    r->expire_ms = retry_expiry_ms(retry, received, is_report(s));
    r->warn_ms = to->warn_ms == INT64_MAX
                     ? INT64_MAX
                     : retry_warning_ms(retry, received, is_report(s));
    r->due_ms = retry_due_ms(retry, received, now, random_bits());
    r->outcome = OUTCOME_DEFERRED;
    r->status.class = 4; /* what is tried again is not final */
    if (now >= r->expire_ms) { /* the last words stay, the status says why */
        r->outcome = OUTCOME_EXPIRED;
        r->status = STATUS(4, 4, 7);
    }
}

void settlement_note(struct settlement *s, size_t i,
                     const struct client_outcome *outcome, struct span host,
                     bool is_remote)
{
    struct queue_result *r = &s->results[i];

    *r = (struct queue_result){
        .status = outcome->status,
        .reply = arena_copy(&s->texts, outcome->reply),
        .host = arena_copy(&s->texts, host),
        .in_doubt = outcome->diagnosis == DIAGNOSIS_IN_DOUBT,
    };
    s->is_remote[i] = is_remote;
    switch (outcome->diagnosis) {
    case DIAGNOSIS_DELIVERED:
        r->outcome = OUTCOME_DELIVERED;
        return;
    case DIAGNOSIS_FAILED:
        r->outcome = OUTCOME_FAILED;
        return;
    case DIAGNOSIS_LATER:
    case DIAGNOSIS_OTHER_HOST:
    case DIAGNOSIS_AGAIN_NOW:
    case DIAGNOSIS_IN_DOUBT:
        defer(s, i);
        return;
    }
}

void settlement_hold(struct settlement *s, size_t i, struct span reason)
{
    s->results[i] = (struct queue_result){
        .outcome = OUTCOME_HELD, .status = STATUS(4, 3, 0),
        .reply = arena_copy(&s->texts, reason),
        .expire_ms = INT64_MAX, .warn_ms = INT64_MAX };
}

/* What was said last: at an attempt, or by those who tried to connect. */
static struct span last_words(struct settlement *s, size_t i,
                              struct status *out_status)
{
    const struct queue_recipient *to = &s->work->recipients[i];
    struct buffer error = { 0 };
    struct span words = to->last_reply;

    if (words.len == 0) {
        queue_lane_error(s->worker->queue, to->lane, &error);
        words = buffer_span(&error);
    }
    words = span_trim(span_skip(words, status_parse(words, out_status)));
    if (words.len == 0)
        words = SPAN("not delivered in time");
    words = arena_copy(&s->texts, words);
    buffer_fini(&error);
    return words;
}

void settlement_alarms(struct settlement *s)
{
    int64_t now = wall_ms();

    for (size_t i = 0; i < s->work->count; i++) {
        const struct queue_recipient *to = &s->work->recipients[i];
        struct queue_result *r = &s->results[i];
        bool expired = now >= to->expire_ms;

        *r = (struct queue_result){
            .outcome = expired ? OUTCOME_EXPIRED : OUTCOME_WARNED,
            .expire_ms = to->expire_ms,
            .warn_ms = now >= to->warn_ms ? INT64_MAX : to->warn_ms,
            .due_ms = to->due_ms,
            .status = STATUS(4, 4, 7),
        };
        r->reply = last_words(s, i, &r->status);
        if (expired)
            r->status = STATUS(4, 4, 7);
        s->is_remote[i] = is_reply(r->reply);
    }
}

/* ------------------------------------------------------------- reports ---- */

/* Which recipients a report of this kind is about. */
static bool is_about(const struct settlement *s, size_t i, enum report_kind kind)
{
    const struct queue_recipient *to = &s->work->recipients[i];
    unsigned wanted = to->notify ? to->notify : NOTIFY_FAILURE | NOTIFY_DELAY;

    if (kind == REPORT_DELAYED)
        return s->results[i].outcome == OUTCOME_WARNED &&
               to->warn_ms <= wall_ms() && (wanted & NOTIFY_DELAY);
    return (s->results[i].outcome == OUTCOME_FAILED ||
            s->results[i].outcome == OUTCOME_EXPIRED) &&
           (wanted & NOTIFY_FAILURE);
}

static size_t gather(const struct settlement *s, enum report_kind kind,
                     struct report_recipient *out)
{
    size_t count = 0;

    for (size_t i = 0; i < s->work->count; i++) {
        const struct queue_result *r = &s->results[i];

        if (!is_about(s, i, kind))
            continue;
        out[count++] = (struct report_recipient){
            .address = s->work->recipients[i].address,
            .orcpt = s->work->recipients[i].orcpt,
            .action = kind == REPORT_DELAYED ? REPORT_ACTION_DELAYED
                                             : REPORT_ACTION_FAILED,
            .status = r->status,
            .reply = r->reply,
            .is_remote = s->is_remote[i],
            .host = r->host,
            .attempt_ms = s->work->is_alarm ? 0 : wall_ms(),
            .until_ms = r->expire_ms,
        };
    }
    return count;
}

static uint32_t header_length(struct span content)
{
    const char *end = memmem(content.at, content.len, "\r\n\r\n", 4);

    return end ? (uint32_t)(end - content.at) + 4 : (uint32_t)content.len;
}

/* The report as a message to the sender; false when there is nowhere to send it. */
static bool address_report(struct settlement *s, struct queue_message *m,
                           struct queue_recipient *to, struct buffer *lane)
{
    const struct retry_settings *retry = &s->settings->retry;
    const struct route *route;
    struct address sender;
    int64_t now = wall_ms();

    if (address_parse(s->work->envelope.sender, &sender) != ADDRESS_OK ||
        lane_key(s->settings, SPAN(""), &sender, lane) < 0)
        return false;
    route = route_find(s->settings, SPAN(""), &sender);
    if (route)
        retry = &route->retry;
    *to = (struct queue_recipient){
        .address = s->work->envelope.sender,
        .notify = NOTIFY_NEVER,
        .lane = buffer_span(lane),
        .expire_ms = retry_expiry_ms(retry, now, true),
        .warn_ms = INT64_MAX,
    };
    m->recipients = to;
    m->recipient_count = 1;
    m->envelope = (struct envelope){
        .body = BODY_8BITMIME,
        .smtputf8 = s->work->envelope.smtputf8,
        .has_8bit = utf8_has_high((struct span){ m->take_content,
                                                 m->envelope.size_bytes }),
        .protocol = SPAN("report"),
        .received_ms = now,
        .size_bytes = m->envelope.size_bytes,
        .header_bytes = m->envelope.header_bytes,
    };
    return true;
}

/* Composes the report of this kind into *m when one is owed. */
static bool compose(struct settlement *s, enum report_kind kind,
                    struct queue_message *m, struct queue_recipient *to,
                    struct buffer *lane)
{
    struct report_recipient *about =
        NEW_ARRAY(struct report_recipient, s->work->count);
    struct buffer content = { 0 };
    size_t count = gather(s, kind, about);

    *m = (struct queue_message){ .id = 0 };
    if (count && !is_report(s)) {
        m->id = queue_new_id(s->worker->queue);
        report_compose(&content, &(struct report){
            .kind = kind, .hostname = s->settings->hostname, .id = m->id,
            .about = s->work->message, .envelope = &s->work->envelope,
            .recipients = about, .count = count, .content = s->head,
            .content_is_whole = s->head_is_whole, .now_ms = wall_ms() });
        m->take_content = content.at;
        m->envelope.size_bytes = content.len;
        m->envelope.header_bytes = header_length(buffer_span(&content));
    }
    free(about);
    if (m->id && !address_report(s, m, to, lane)) {
        log_text(LOG_WARNING, "%s: the report to its sender has nowhere to go",
                 id_print(s->work->message).at);
        buffer_fini(&content);
        m->id = 0;
    }
    return m->id != 0;
}

/* ------------------------------------------------------------- logging ---- */

/* NULL: not worth a line. */
static const char *const statuses[] = {
    [OUTCOME_FREED] = NULL,
    [OUTCOME_DELIVERED] = "sent",
    [OUTCOME_DEFERRED] = "deferred",
    [OUTCOME_FAILED] = "bounced",
    [OUTCOME_EXPIRED] = "expired",
    [OUTCOME_DISCARDED] = "discarded",
    [OUTCOME_HELD] = "held",
    [OUTCOME_WARNED] = NULL,
};

static void log_outcomes(const struct settlement *s)
{
    for (size_t i = 0; i < s->work->count; i++) {
        const struct queue_result *r = &s->results[i];
        struct log_line line = {
            .event = LOG_DELIVERY, .id = s->work->message,
            .recipient = s->work->recipients[i].address,
            .relay = r->host.len ? r->host : SPAN("none"),
            .conn_use = s->conn_use, .dsn = r->status, .text = r->reply,
        };

        if (!statuses[r->outcome])
            continue;
        line.status = span_of(statuses[r->outcome]);
        memcpy(line.delay_ms, r->delay_ms, sizeof line.delay_ms);
        log_put(&line);
        if (r->in_doubt)
            log_text(LOG_WARNING,
                     "%s: delivery to %.*s is in doubt: the connection was lost "
                     "after the final dot, a second copy may arrive",
                     id_print(s->work->message).at, SPAN_FMT(line.recipient));
    }
}

/* RFC 5321 6.1: no report about a report, so here somebody hears of it. */
static void log_double_bounces(const struct settlement *s)
{
    for (size_t i = 0; i < s->work->count && is_report(s); i++)
        if (s->results[i].outcome == OUTCOME_FAILED ||
            s->results[i].outcome == OUTCOME_EXPIRED)
            log_text(LOG_WARNING,
                     "%s: double bounce: a report (from=<>) could not be "
                     "delivered to <%.*s>; it is dropped, and nobody is sent a "
                     "report about it",
                     id_print(s->work->message).at,
                     SPAN_FMT(s->work->recipients[i].address));
}

static void log_report(const struct settlement *s, enum report_kind kind,
                       const struct queue_message *m)
{
    log_put(&(struct log_line){
        .event = LOG_REPORT, .id = s->work->message, .other_id = m->id,
        .status = kind == REPORT_DELAYED ? SPAN("delay")
                                         : SPAN("non-delivery") });
}

static void on_settled(void *user, uint64_t token, int rc, uint64_t message,
                       bool is_removed)
{
    (void)user;
    (void)token;
    if (rc == 0 && is_removed)
        log_put(&(struct log_line){ .event = LOG_REMOVED, .id = message });
}

static void measure(struct settlement *s)
{
    int64_t now = wall_ms(), received = s->work->envelope.received_ms;

    for (size_t i = 0; i < s->work->count; i++) {
        int64_t *d = s->results[i].delay_ms;

        d[0] = s->work->active_ms - received;
        d[1] = s->claimed_ms - s->work->active_ms - s->connect_ms;
        d[2] = s->connect_ms;
        d[3] = now - s->claimed_ms;
        for (int k = 0; k < 4; k++)
            d[k] = d[k] < 0 ? 0 : d[k];
    }
}

void settlement_end(struct settlement *s)
{
    static const enum report_kind kinds[] = { REPORT_FAILED, REPORT_DELAYED };
    struct queue_message reports[2];
    struct queue_recipient to[2];
    struct buffer lanes[2] = { { 0 }, { 0 } };
    size_t count = 0;

    measure(s);
    log_outcomes(s);
    log_double_bounces(s);
    for (size_t k = 0; k < 2; k++)
        if (compose(s, kinds[k], &reports[count], &to[count], &lanes[count]))
            log_report(s, kinds[k], &reports[count++]);
    queue_settle(s->worker->port, s->work, s->results, reports, count,
                 on_settled, 0);
    for (size_t k = 0; k < 2; k++)
        buffer_fini(&lanes[k]);
    arena_reset(&s->texts);
    *s = (struct settlement){ 0 };
}
