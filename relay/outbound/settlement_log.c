/*
 * settlement_log - outcomes as they are said and counted.
 */
#include "relay/outbound/settlement_log.h"

#include "policy/vocabulary/id.h"
#include "relay/net/acquaintance.h"
#include "relay/net/gauge.h"
#include "relay/net/log.h"

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
    [OUTCOME_RETURNED] = "bounced",
};

/* What ORCPT says, where that is another address. */
static struct span original_of(const struct queue_recipient *to)
{
    struct span type = span_first(to->orcpt, span_find(to->orcpt, ';'));
    struct span original = span_skip(to->orcpt, type.len + 1);

    if (!span_is_nocase(type, SPAN("rfc822")) &&
        !span_is_nocase(type, SPAN("utf-8")))
        return SPAN("");
    return span_is_nocase(original, to->address) ? SPAN("") : original;
}

static void log_outcomes(const struct settlement *s)
{
    for (size_t i = 0; i < s->work->count; i++) {
        const struct queue_result *r = &s->results[i];
        struct log_line line = {
            .event = LOG_DELIVERY, .id = s->work->message,
            .recipient = s->work->recipients[i].address,
            .orig_to = original_of(&s->work->recipients[i]),
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

static void count_delivery(struct gauge *g, const int64_t delay_ms[4])
{
    uint64_t all_us = 0;

    for (int k = 0; k < 4; k++) {
        uint64_t us = (uint64_t)delay_ms[k] * 1000;

        gauge_add(g, (enum gauge_span)(GAUGE_BEFORE_QUEUE + k), us);
        all_us += us;
    }
    gauge_add(g, GAUGE_DELIVERY, all_us);
}

static void count_outcomes(const struct settlement *s)
{
    static const enum gauge_counter counters[] = {
        [OUTCOME_DELIVERED] = GAUGE_SENT,
        [OUTCOME_DEFERRED] = GAUGE_DEFERRED,
        [OUTCOME_FAILED] = GAUGE_BOUNCED,
        [OUTCOME_EXPIRED] = GAUGE_EXPIRED,
        [OUTCOME_DISCARDED] = GAUGE_DISCARDED,
        [OUTCOME_HELD] = GAUGE_HELD,
        [OUTCOME_RETURNED] = GAUGE_BOUNCED,
    };
    struct gauge *g = s->worker->gauge;

    for (size_t i = 0; i < s->work->count; i++) {
        const struct queue_result *r = &s->results[i];

        if (!statuses[r->outcome])
            continue;
        ASSERT(r->outcome < sizeof(counters) / sizeof(counters[0]));
        gauge_count(g, counters[r->outcome]);
        if (r->outcome == OUTCOME_DELIVERED)
            count_delivery(g, r->delay_ms);
        if (r->in_doubt)
            gauge_count(g, GAUGE_IN_DOUBT);
    }
}

/* For people who look at the destination. */
static void note_acquaintance(const struct settlement *s)
{
    struct acquaintance_news n = {
        .delivery_ms = -1,
        .is_connected = s->was_met,
        .protocol = s->protocol,
        .trust = s->trust,
        .policy = s->tls_policy,
        .now_ms = wall_ms(),
    };

    for (size_t i = 0; i < s->work->count; i++) {
        const struct queue_result *r = &s->results[i];

        n.sent += r->outcome == OUTCOME_DELIVERED;
        n.deferred += r->outcome == OUTCOME_DEFERRED;
        n.bounced +=
            r->outcome == OUTCOME_FAILED || r->outcome == OUTCOME_EXPIRED;
        if (r->outcome == OUTCOME_DELIVERED)
            n.delivery_ms = r->delay_ms[2] + r->delay_ms[3];
        if (r->outcome != OUTCOME_FREED)
            n.reply = r->reply;
    }
    if (n.sent + n.deferred + n.bounced > 0)
        acquaintance_note(s->worker->acquaintances, s->destination, &n);
}

void settlement_log(const struct settlement *s)
{
    log_outcomes(s);
    count_outcomes(s);
    if (s->destination.len)
        note_acquaintance(s);
}
