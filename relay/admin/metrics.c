/*
 * metrics - GET /metrics: all figures of the relay for Prometheus.
 */
#include "relay/admin/metrics.h"

#include "policy/vocabulary/memory.h"
#include "relay/admin/exposition.h"
#include "relay/net/scorecard.h"

#include <stdlib.h>
#include <string.h>

/* ------------------------------------------------ what loops have counted ---- */

/* clang-format off */
/* Rows of one family stand together; the first says what it is. */
static const struct {
    const char *family, *label, *value;
    enum gauge_counter counter;
    const char *help;
} counters[] = {
    { "waypost_accepted_total", NULL, NULL, GAUGE_ACCEPTED,
      "Messages accepted for delivery." },
    { "waypost_greylisted_total", NULL, NULL, GAUGE_GREYLISTED,
      "Recipients put off by a greylisting rule." },
    { "waypost_connections_lost_total", NULL, NULL, GAUGE_LOST,
      "Clients that went without a goodbye, or were cut off." },
    { "waypost_logins_total", "result", "ok", GAUGE_LOGINS,
      "Logins of clients." },
    { "waypost_logins_total", "result", "failed", GAUGE_LOGINS_FAILED, NULL },
    { "waypost_connections_refused_total", "reason", "sessions-per-client",
      GAUGE_CROWDED, "Connections turned away before a session began." },
    { "waypost_connections_refused_total", "reason", "proxy",
      GAUGE_STRANGE_PROXY, NULL },
    { "waypost_deliveries_total", "status", "sent", GAUGE_SENT,
      "What attempts to deliver came to, by recipient." },
    { "waypost_deliveries_total", "status", "deferred", GAUGE_DEFERRED, NULL },
    { "waypost_deliveries_total", "status", "bounced", GAUGE_BOUNCED, NULL },
    { "waypost_deliveries_total", "status", "expired", GAUGE_EXPIRED, NULL },
    { "waypost_deliveries_total", "status", "discarded", GAUGE_DISCARDED, NULL },
    { "waypost_deliveries_total", "status", "held", GAUGE_HELD, NULL },
    { "waypost_in_doubt_total", NULL, NULL, GAUGE_IN_DOUBT,
      "Deliveries whose connection was lost after the final dot." },
    { "waypost_removed_total", NULL, NULL, GAUGE_REMOVED,
      "Messages that left the queue for good." },
    { "waypost_reports_total", "kind", "non-delivery", GAUGE_REPORTS_FAILED,
      "Delivery reports made." },
    { "waypost_reports_total", "kind", "delay", GAUGE_REPORTS_DELAYED, NULL },
    { "waypost_reports_total", "kind", "delivery", GAUGE_REPORTS_SUCCESS, NULL },
    { "waypost_connects_failed_total", NULL, NULL, GAUGE_CONNECTS_FAILED,
      "Next hops that could not be connected to or did not greet." },
    { "waypost_dns_failures_total", NULL, NULL, GAUGE_DNS_FAILED,
      "Questions to the name service without an answer." },
    { "waypost_tls_policy_total", "policy", "dane", GAUGE_TLS_DANE,
      "TLS connections to next hops that a policy beyond the route's demanded." },
    { "waypost_tls_policy_total", "policy", "dane-unusable", GAUGE_TLS_DANE_ANY, NULL },
    { "waypost_tls_policy_total", "policy", "mta-sts", GAUGE_TLS_STS, NULL },
    { "waypost_tls_policy_refused_total", "policy", "dane", GAUGE_DANE_REFUSED,
      "Hosts that mail did not go to because of such a policy." },
    { "waypost_tls_policy_refused_total", "policy", "mta-sts", GAUGE_STS_REFUSED, NULL },
    { "waypost_mta_sts_fetches_total", "result", "ok", GAUGE_STS_FETCHED,
      "Policies (MTA-STS) asked of domains' web servers." },
    { "waypost_mta_sts_fetches_total", "result", "failed", GAUGE_STS_FETCH_FAILED, NULL },
};
/* clang-format on */

static void put_counters(struct buffer *b, const struct gauge_sum *s)
{
    const char *family = "";

    for (size_t i = 0; i < sizeof counters / sizeof *counters; i++) {
        double n = (double)s->counters[counters[i].counter];

        if (strcmp(family, counters[i].family) != 0)
            exposition_family(b, counters[i].family, EXPOSITION_COUNTER,
                              counters[i].help);
        family = counters[i].family;
        exposition_sample(b, family,
                          counters[i].label ? LABELS(LABEL(counters[i].label,
                                                           counters[i].value))
                                            : NULL,
                          n);
    }
}

static void put_stage(struct buffer *b, const struct gauge_sum *s,
                      const char *name, enum gauge_span which)
{
    exposition_histogram(b, "waypost_delivery_seconds",
                         LABELS(LABEL("stage", name)), gauge_scales[which],
                         &s->spans[which]);
}

static void put_span(struct buffer *b, const struct gauge_sum *s,
                     const char *name, enum gauge_span which, const char *help)
{
    exposition_family(b, name, EXPOSITION_HISTOGRAM, help);
    exposition_histogram(b, name, NULL, gauge_scales[which], &s->spans[which]);
}

static void put_spans(struct buffer *b, const struct gauge_sum *s)
{
    exposition_family(b, "waypost_delivery_seconds", EXPOSITION_HISTOGRAM,
                      "Where the time of delivered recipients went.");
    put_stage(b, s, "before", GAUGE_BEFORE_QUEUE);
    put_stage(b, s, "queued", GAUGE_IN_QUEUE);
    put_stage(b, s, "connecting", GAUGE_CONNECTING);
    put_stage(b, s, "sending", GAUGE_SENDING);
    put_span(b, s, "waypost_delivered_after_seconds", GAUGE_DELIVERY,
             "From receipt to delivery, of delivered recipients.");
    put_span(b, s, "waypost_dns_seconds", GAUGE_DNS,
             "Answers of the name service, cached ones too.");
    put_span(b, s, "waypost_message_bytes", GAUGE_SIZE,
             "Sizes of accepted messages.");
    put_span(b, s, "waypost_message_recipients", GAUGE_RECIPIENTS,
             "Recipients of accepted messages.");
}

/* One worker that found its name server out speaks for all. */
static void put_validation(struct buffer *b, const struct gauge_sum *s)
{
    exposition_family(b, "waypost_dnssec_validates", EXPOSITION_GAUGE,
                      "1: answers of the name service are validated; 0: they are "
                      "not, and DANE is off.");
    exposition_sample(b, "waypost_dnssec_validates", NULL,
                      s->resolvers && s->validating == s->resolvers);
}

/* Those of old protocols only once there are any. */
static void put_tls(struct buffer *b, const struct gauge_sum *s)
{
    exposition_family(b, "waypost_tls_total", EXPOSITION_COUNTER,
                      "TLS connections, by whose certificate they trust.");
    for (int d = 0; d < GAUGE_DIRECTIONS; d++)
        for (int p = 0; p < GAUGE_PROTOCOLS; p++)
            for (int t = 0; t < GAUGE_TRUSTS; t++) {
                if (p < GAUGE_PROTOCOLS / 2 && !s->tls[d][p][t])
                    continue;
                exposition_sample(
                    b, "waypost_tls_total",
                    LABELS(LABEL("direction", gauge_directions[d]),
                           LABEL("protocol", gauge_protocols[p]),
                           LABEL("trust", gauge_trusts[t])),
                    (double)s->tls[d][p][t]);
            }
}

static void put_listener_refusals(struct buffer *b,
                                  const struct gauge_listener_sum *l)
{
    for (int k = 0; k < GAUGE_STAGES; k++)
        exposition_sample(
            b, "waypost_refusals_total",
            LABELS(LABEL("listener", l->name), LABEL("stage", gauge_stages[k])),
            (double)l->refused[k]);
}

static void put_listeners(struct buffer *b, const struct gauge_sum *s)
{
    const struct gauge_listener_sum *all = s->listeners;

    exposition_family(b, "waypost_sessions", EXPOSITION_GAUGE,
                      "Sessions of clients, open now.");
    for (unsigned i = 0; i < s->listener_count; i++)
        exposition_sample(b, "waypost_sessions",
                          LABELS(LABEL("listener", all[i].name)),
                          (double)(all[i].opened - all[i].closed));
    exposition_family(b, "waypost_connections_total", EXPOSITION_COUNTER,
                      "Sessions of clients, begun.");
    for (unsigned i = 0; i < s->listener_count; i++)
        exposition_sample(b, "waypost_connections_total",
                          LABELS(LABEL("listener", all[i].name)),
                          (double)all[i].opened);
    exposition_family(b, "waypost_received_total", EXPOSITION_COUNTER,
                      "Messages accepted for delivery, by listener.");
    for (unsigned i = 0; i < s->listener_count; i++)
        exposition_sample(b, "waypost_received_total",
                          LABELS(LABEL("listener", all[i].name)),
                          (double)all[i].accepted);
    exposition_family(b, "waypost_refusals_total", EXPOSITION_COUNTER,
                      "Refusals, by where in the dialogue they came.");
    for (unsigned i = 0; i < s->listener_count; i++)
        put_listener_refusals(b, &all[i]);
}

static void put_score(void *user, struct span rule, unsigned code,
                      uint64_t count)
{
    char digits[12];

    if (code < 400)
        return;
    (void)snprintf(digits, sizeof digits, "%u", code);
    exposition_sample(user, "waypost_rejected_total",
                      LABELS({ "rule", rule }, LABEL("code", digits)),
                      (double)count);
}

static void put_rules(struct buffer *b, const struct admin_status *s)
{
    exposition_family(b, "waypost_rejected_total", EXPOSITION_COUNTER,
                      "Refusals, by the rule that said no (none: the protocol, "
                      "or no rule granted it) and the reply.");
    if (s->scores)
        scorecard_busiest(s->scores, METRICS_RULES, put_score, b);
}

/* ------------------------------------------------------------- the queue ---- */

static const char *const survey_states[QUEUE_SURVEYS] = {
    [SURVEY_READY] = "ready",
    [SURVEY_DEFERRED] = "deferred",
    [SURVEY_HELD] = "held",
};

/* Held mail waits for a person, so it is never late. */
static double oldest_s(const struct metrics_facts *f)
{
    int64_t a = f->figures.surveys[SURVEY_READY].oldest_ms;
    int64_t b = f->figures.surveys[SURVEY_DEFERRED].oldest_ms;
    int64_t oldest = !a || (b && b < a) ? b : a;

    if (!oldest || oldest > f->now_ms)
        return 0;
    return (double)(f->now_ms - oldest) / 1000;
}

static void put_waiting(struct buffer *b, const struct metrics_facts *f)
{
    const struct queue_survey *all = f->figures.surveys;

    exposition_family(b, "waypost_queue_messages", EXPOSITION_GAUGE,
                      "Messages that wait, by the state of their recipients.");
    for (int i = 0; i < QUEUE_SURVEYS; i++)
        exposition_sample(b, "waypost_queue_messages",
                          LABELS(LABEL("state", survey_states[i])),
                          (double)all[i].messages);
    exposition_family(b, "waypost_queue_recipients", EXPOSITION_GAUGE,
                      "Recipients that wait, by state.");
    for (int i = 0; i < QUEUE_SURVEYS; i++)
        exposition_sample(b, "waypost_queue_recipients",
                          LABELS(LABEL("state", survey_states[i])),
                          (double)all[i].recipients);
    exposition_single(b, "waypost_queue_oldest_seconds", EXPOSITION_GAUGE,
                      "Age of the oldest message that waits and is not held.",
                      oldest_s(f));
}

static void put_commits(struct buffer *b, const struct queue_figures *f)
{
    exposition_family(b, "waypost_commit_seconds", EXPOSITION_HISTOGRAM,
                      "Transactions of the queue, fsync and all.");
    exposition_histogram(b, "waypost_commit_seconds", NULL, &histogram_moments,
                         &f->commit_us);
    exposition_family(b, "waypost_commit_batch", EXPOSITION_HISTOGRAM,
                      "Jobs that shared a transaction.");
    exposition_histogram(b, "waypost_commit_batch", NULL, &histogram_batches,
                         &f->commit_jobs);
}

/* clang-format off */
static const struct {
    const char *name;
    enum exposition_kind kind;
    size_t field;
    const char *help;
} figures[] = {
#define FIGURE(name) offsetof(struct queue_stats, name)
    { "waypost_queue_active", EXPOSITION_GAUGE, FIGURE(active),
      "Recipients in memory." },
    { "waypost_queue_cached_bytes", EXPOSITION_GAUGE, FIGURE(cached_bytes),
      "Content in memory." },
    { "waypost_slots", EXPOSITION_GAUGE, FIGURE(slots),
      "Connections to next hops, open or being opened." },
    { "waypost_wal_bytes", EXPOSITION_GAUGE, FIGURE(wal_bytes),
      "Size of the queue's write-ahead log." },
    { "waypost_disk_free_bytes", EXPOSITION_GAUGE, FIGURE(disk_free_bytes),
      "Room on the queue's file system." },
    { "waypost_history_behind", EXPOSITION_GAUGE, FIGURE(history_behind),
      "Outcomes that are not in the history yet." },
    { "waypost_refusals_dropped_total", EXPOSITION_COUNTER, FIGURE(refusals_dropped),
      "Refusals that came too fast for the history." },
#undef FIGURE
};
/* clang-format on */

static void put_figures(struct buffer *b, const struct metrics_facts *f)
{
    for (size_t i = 0; i < sizeof figures / sizeof *figures; i++) {
        uint64_t n;

        memcpy(&n, (const char *)&f->stats + figures[i].field, sizeof n);
        exposition_single(b, figures[i].name, figures[i].kind, figures[i].help,
                          (double)n);
    }
    exposition_single(b, "waypost_disk_reserve_bytes", EXPOSITION_GAUGE,
                      "Below so much room no new mail is taken.",
                      (double)f->figures.reserve_bytes);
    exposition_single(b, "waypost_history_paused", EXPOSITION_GAUGE,
                      "1 while nothing is written to the history.",
                      f->figures.is_history_paused);
}

/* ----------------------------------------------------------- the process ---- */

static void put_certificate(void *user, const struct admin_certificate *c)
{
    int64_t ends_s = c->ends_ms / 1000;

    exposition_sample(user, "waypost_certificate_end_timestamp_seconds",
                      LABELS({ "file", c->file }, { "names", c->names }),
                      (double)ends_s);
}

static void put_self(struct buffer *b, struct request *r,
                     const struct metrics_facts *f)
{
    const struct admin_gauges *g = request_gauges(r);

    exposition_family(b, "waypost_certificate_end_timestamp_seconds",
                      EXPOSITION_GAUGE,
                      "When our certificate ends, since the epoch.");
    if (g->certificates)
        g->certificates(g->user, put_certificate, b);
    exposition_single(b, "waypost_loop_lag_seconds", EXPOSITION_GAUGE,
                      "Longest turn of a loop since this was asked last.",
                      f->status.lag_us_recent / 1e6);
    exposition_single(b, "waypost_reloads_total", EXPOSITION_COUNTER,
                      "Configurations read since the start.",
                      f->status.epoch ? (double)(f->status.epoch - 1) : 0);
    exposition_single(b, "waypost_tables_faulty", EXPOSITION_GAUGE,
                      "Tables that keep their former content, for their file "
                      "has a fault.",
                      f->status.faulty_tables);
    exposition_family(b, "waypost_build_info", EXPOSITION_GAUGE,
                      "1; which version runs.");
    exposition_sample(b, "waypost_build_info",
                      LABELS(LABEL("version", WAYPOST_VERSION)), 1);
    process_put(b, f->started_ms);
}

void metrics_get(struct request *r)
{
    struct metrics_facts *f = NEW(struct metrics_facts); /* large for a stack */
    struct buffer *b = &r->answer;

    request_sum(r, &f->sum);
    request_ask_status(r, &f->status);
    queue_stats(request_queue(r), &f->stats);
    queue_figures(request_queue(r), &f->figures);
    f->now_ms = request_now_ms(r);
    f->started_ms = request_started_ms(r);
    put_counters(b, &f->sum);
    put_listeners(b, &f->sum);
    put_rules(b, &f->status);
    put_validation(b, &f->sum);
    put_tls(b, &f->sum);
    put_spans(b, &f->sum);
    put_waiting(b, f);
    put_commits(b, &f->figures);
    put_figures(b, f);
    parties_put(b, r, &f->figures);
    put_self(b, r, f);
    if (f->status.has_old_names)
        oldnames_put(b, f);
    free(f);
    request_answer(r, 200);
}
