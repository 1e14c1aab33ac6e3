/*
 * settlement - what becomes of each recipient of a work.
 *
 *   outcome of the attempt       age          becomes
 *   delivered                    any          DELIVERED
 *   later, in doubt              young        DEFERRED, due by retry_due_ms
 *   later, in doubt              expired      EXPIRED, reported
 *   failed                       any          FAILED, reported
 *   none: an operator's order    any          RETURNED, reported
 */
#include "relay/outbound/settlement.h"

#include "policy/retry.h"
#include "policy/route.h"
#include "policy/vocabulary/id.h"
#include "relay/net/acquaintance.h"
#include "relay/net/gauge.h"
#include "relay/net/log.h"
#include "relay/outbound/settlement_log.h"
#include "relay/outbound/settlement_report.h"

#include <openssl/rand.h>

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

bool settlement_is_report(const struct settlement *s)
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
    s->facts = arena_take(&s->texts, take_work->count * sizeof *s->facts);
}

/* "450 ...": said by a peer, and not our own words. */
static bool is_reply(struct span words)
{
    return words.len > 3 && words.at[3] == ' ' &&
           (words.at[0] == '4' || words.at[0] == '5') &&
           words.at[1] >= '0' && words.at[1] <= '9' &&
           words.at[2] >= '0' && words.at[2] <= '9';
}

/* ---------------------------------------------------------------- times ---- */

/* When DELIVERBY ends it; INT64_MAX: it does not. RFC 2852 4.1 */
static int64_t return_by_ms(const struct settlement *s)
{
    const struct envelope *e = &s->work->envelope;

    return e->deliver_by_ms && e->deliver_by_mode == DELIVER_BY_RETURN
               ? e->deliver_by_ms
               : INT64_MAX;
}

/* When it wants the sender told. */
static int64_t notify_by_ms(const struct settlement *s)
{
    int64_t by = envelope_notify_by_ms(&s->work->envelope);

    return by ? by : INT64_MAX;
}

/* The retry settings count from here. */
static int64_t begin_ms(const struct settlement *s)
{
    return envelope_begin_ms(&s->work->envelope);
}

static int64_t earlier(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

static int64_t expiry_ms(const struct settlement *s)
{
    return earlier(retry_expiry_ms(retry_of(s), begin_ms(s),
                                   settlement_is_report(s)),
                   return_by_ms(s));
}

static struct status expired_status(const struct settlement *s, int64_t now)
{
    return now >= return_by_ms(s) ? STATUS(5, 4, 7)
                                                      : STATUS(4, 4, 7);
}

static int64_t usual_warning_ms(const struct settlement *s,
                                const struct retry_settings *r)
{
    return retry_warning_ms(r, begin_ms(s), settlement_is_report(s));
}

/* An alarm's recipients need not share a route. */
static const struct retry_settings *own_retry(const struct settlement *s,
                                              const struct queue_recipient *to)
{
    const struct route *r = route_of_lane(s->settings, to->lane);

    return r ? &r->retry : &s->settings->retry;
}

/* There are two notices at most: the usual one, and the one that DELIVERBY asks for. The
 * first of them that comes after this moment. */
static int64_t warning_after_ms(const struct settlement *s,
                                const struct queue_recipient *to, int64_t ms)
{
    int64_t usual = usual_warning_ms(s, own_retry(s, to));
    int64_t by = notify_by_ms(s);

    return earlier(usual > ms ? usual : INT64_MAX, by > ms ? by : INT64_MAX);
}

/* A notice that is still to come, as today's settings have it: never one that was sent. */
static int64_t next_warning_ms(const struct settlement *s, size_t i)
{
    int64_t due = s->work->recipients[i].warn_ms, now = wall_ms();
    int64_t by = notify_by_ms(s);

    if (due == INT64_MAX || due == by)
        return due;
    return earlier(usual_warning_ms(s, retry_of(s)), by > now ? by : INT64_MAX);
}

/* What a temporary failure means at the recipient's age. */
static void defer(struct settlement *s, size_t i)
{
    int64_t now = wall_ms();
    struct queue_result *r = &s->results[i];

    r->expire_ms = expiry_ms(s);
    r->warn_ms = next_warning_ms(s, i);
    r->due_ms = retry_due_ms(retry_of(s), begin_ms(s), now, random_bits());
    r->outcome = OUTCOME_DEFERRED;
    r->status.class = 4; /* what is tried again is not final */
    if (now >= r->expire_ms) { /* the last words stay, the status says why */
        r->outcome = OUTCOME_EXPIRED;
        r->status = expired_status(s, now);
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
    s->facts[i] = (struct settlement_fact){ .is_remote = is_remote,
                                            .is_final = s->is_final,
                                            .dsn_passed = outcome->dsn_passed,
                                            .by_passed = outcome->by_passed };
    if (outcome->diagnosis != DIAGNOSIS_DELIVERED)
        r->dialogue = s->dialogue;
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

/* As its last reply says. */
static void give_back(struct settlement *s, size_t i)
{
    s->results[i] = (struct queue_result){ .outcome = OUTCOME_RETURNED,
                                           .status = STATUS(5, 7, 0) };
    s->results[i].reply = last_words(s, i, &s->results[i].status);
    s->facts[i] = (struct settlement_fact){ .is_remote = false };
}

void settlement_alarms(struct settlement *s)
{
    int64_t now = wall_ms();

    for (size_t i = 0; i < s->work->count; i++) {
        const struct queue_recipient *to = &s->work->recipients[i];
        struct queue_result *r = &s->results[i];
        bool expired = now >= to->expire_ms;

        if (to->is_returned) {
            give_back(s, i);
            continue;
        }
        *r = (struct queue_result){
            .outcome = expired ? OUTCOME_EXPIRED : OUTCOME_WARNED,
            .expire_ms = to->expire_ms,
            .warn_ms = now >= to->warn_ms ? warning_after_ms(s, to, now)
                                          : to->warn_ms,
            .due_ms = to->due_ms,
            .status = STATUS(4, 4, 7),
        };
        r->reply = last_words(s, i, &r->status);
        if (expired)
            r->status = expired_status(s, now);
        else if (now >= notify_by_ms(s))
            r->status = STATUS(4, 4, 7);
        s->facts[i] = (struct settlement_fact){ .is_remote = is_reply(r->reply) };
    }
}

/* ------------------------------------------------------------- the end ---- */

static void on_settled(void *user, uint64_t token, int rc, uint64_t message,
                       bool is_removed)
{
    const struct worker *w = user;

    (void)token;
    if (rc != 0 || !is_removed)
        return;
    gauge_count(w->gauge, GAUGE_REMOVED);
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
    struct settlement_reports reports;

    measure(s);
    settlement_log(s);
    settlement_report_make(s, &reports);
    queue_settle(s->worker->port, s->work, s->results, reports.messages,
                 reports.count, on_settled, 0);
    settlement_report_fini(&reports);
    arena_reset(&s->texts);
    *s = (struct settlement){ 0 };
}
