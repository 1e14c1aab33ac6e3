/*
 * oldnames - figures by the names that Postfix's exporter has.
 *
 * For dashboards that were made for it (admin { metric-names }): besides our own names, not
 * in their place, so that both kinds of dashboards and the rules we ship go on. All
 * deliveries count as smtp's, LMTP's too; what it splits by cipher or by a SASL mechanism
 * comes with that label empty.
 */
#include "relay/admin/exposition.h"
#include "relay/admin/metrics.h"
#include "relay/net/scorecard.h"

#include <string.h>

/* clang-format off */
static const struct {
    const char *name;
    enum gauge_counter counter;
    enum exposition_kind kind;
    const char *help;
} counters[] = {
    { "postfix_cleanup_messages_processed_total", GAUGE_ACCEPTED,
      EXPOSITION_COUNTER, "Messages accepted." },
    { "postfix_qmgr_messages_removed_total", GAUGE_REMOVED,
      EXPOSITION_COUNTER, "Messages that left the queue." },
    { "postfix_smtp_deferred_messages_total", GAUGE_DEFERRED,
      EXPOSITION_COUNTER, "Recipients deferred." },
    { "postfix_smtp_status_deferred", GAUGE_DEFERRED,
      EXPOSITION_UNTYPED, "Recipients deferred." },
    { "postfix_smtp_connection_timed_out_total", GAUGE_CONNECTS_LATE,
      EXPOSITION_COUNTER, "Connects to next hops that timed out." },
    { "postfix_smtpd_sasl_authentication_failures_total", GAUGE_LOGINS_FAILED,
      EXPOSITION_COUNTER, "Logins that failed." },
};

static const struct { const char *stage; enum gauge_span span; } stages[] = {
    { "before_queue_manager", GAUGE_BEFORE_QUEUE },
    { "queue_manager",        GAUGE_IN_QUEUE },
    { "connection_setup",     GAUGE_CONNECTING },
    { "transmission",         GAUGE_SENDING },
};

static const struct { const char *queue; int survey; } queues[] = {
    { "active",   SURVEY_READY },
    { "deferred", SURVEY_DEFERRED },
    { "hold",     SURVEY_HELD },
};
/* clang-format on */

#define NO_LABEL                                                               \
    {                                                                          \
        NULL, SPAN_INIT("")                                                    \
    }

static void put_sessions(struct buffer *b, const struct gauge_sum *s)
{
    const struct exposition_label none[] = { { "sasl_method", SPAN("") },
                                             NO_LABEL };
    const struct exposition_label lost[] = { { "after_stage", SPAN("") },
                                             NO_LABEL };
    uint64_t opened = 0, closed = 0, at_data = 0;

    for (unsigned i = 0; i < s->listener_count; i++) {
        opened += s->listeners[i].opened;
        closed += s->listeners[i].closed;
        at_data += s->listeners[i].refused[GAUGE_AT_DATA];
    }
    exposition_single(b, "postfix_smtpd_connects_total", EXPOSITION_COUNTER,
                      "Sessions begun.", (double)opened);
    exposition_single(b, "postfix_smtpd_disconnects_total", EXPOSITION_COUNTER,
                      "Sessions ended.", (double)closed);
    exposition_single(b, "postfix_cleanup_messages_rejected_total",
                      EXPOSITION_COUNTER, "Messages refused for content.",
                      (double)at_data);
    exposition_family(b, "postfix_smtpd_messages_processed_total",
                      EXPOSITION_COUNTER, "Messages accepted.");
    exposition_sample(b, "postfix_smtpd_messages_processed_total", none,
                      (double)s->counters[GAUGE_ACCEPTED]);
    exposition_family(b, "postfix_smtpd_connections_lost_total",
                      EXPOSITION_COUNTER, "Sessions without a goodbye.");
    exposition_sample(b, "postfix_smtpd_connections_lost_total", lost,
                      (double)s->counters[GAUGE_LOST]);
}

enum { CODES = 1000 };

static void add_score(void *user, struct span rule, unsigned code,
                      uint64_t count)
{
    uint64_t *by_code = user;

    (void)rule;
    if (code >= 400 && code < CODES)
        by_code[code] += count;
}

static void put_codes(struct buffer *b, struct scorecard *scores)
{
    static const char name[] = "postfix_smtpd_messages_rejected_total";
    uint64_t by_code[CODES] = { 0 };

    exposition_family(b, name, EXPOSITION_COUNTER, "Refusals, by reply.");
    if (scores)
        scorecard_busiest(scores, SCORECARD_ROWS, add_score, by_code);
    for (unsigned i = 0; i < CODES; i++) {
        char digits[12];
        const struct exposition_label labels[] = {
            { "code", span_make(digits, 3) }, NO_LABEL
        };

        if (!by_code[i])
            continue;
        (void)snprintf(digits, sizeof digits, "%u", i);
        exposition_sample(b, name, labels, (double)by_code[i]);
    }
}

static void put_tls(struct buffer *b, const char *name,
                    const uint64_t counts[GAUGE_PROTOCOLS][GAUGE_TRUSTS])
{
    static const char *const trusts[GAUGE_TRUSTS] = { "Anonymous", "Untrusted",
                                                      "Trusted", "Verified" };

    exposition_family(b, name, EXPOSITION_COUNTER, "TLS connections.");
    for (int p = 0; p < GAUGE_PROTOCOLS; p++)
        for (int t = 0; t < GAUGE_TRUSTS; t++) {
            const struct exposition_label labels[] = {
                { "trust", span_of(trusts[t]) },
                { "protocol", span_of(gauge_protocols[p]) },
                { "cipher", SPAN("") },
                { "secret_bits", SPAN("") },
                { "algorithm_bits", SPAN("") },
                NO_LABEL
            };

            if (p >= GAUGE_PROTOCOLS / 2 || counts[p][t])
                exposition_sample(b, name, labels, (double)counts[p][t]);
        }
}

static void put_waiting(struct buffer *b, const struct metrics_facts *f)
{
    static const char size[] = "postfix_showq_message_size_bytes";
    static const char age[] = "postfix_showq_message_age_seconds";

    exposition_family(b, size, EXPOSITION_HISTOGRAM,
                      "Sizes of messages that wait.");
    for (size_t i = 0; i < sizeof queues / sizeof *queues; i++)
        exposition_histogram(
            b, size,
            (const struct exposition_label[]){
                { "queue", span_of(queues[i].queue) }, NO_LABEL },
            &histogram_sizes, &f->figures.surveys[queues[i].survey].sizes);
    exposition_family(b, age, EXPOSITION_HISTOGRAM,
                      "Ages of messages that wait.");
    for (size_t i = 0; i < sizeof queues / sizeof *queues; i++)
        exposition_histogram(
            b, age,
            (const struct exposition_label[]){
                { "queue", span_of(queues[i].queue) }, NO_LABEL },
            &histogram_waits, &f->figures.surveys[queues[i].survey].ages);
}

/* Its bounds are among ours. */
static void put_delays(struct buffer *b, const struct gauge_sum *s)
{
    static const char name[] = "postfix_smtp_delivery_delay_seconds";

    exposition_family(b, name, EXPOSITION_HISTOGRAM,
                      "Where the time of delivered recipients went.");
    for (size_t i = 0; i < sizeof stages / sizeof *stages; i++)
        exposition_histogram(
            b, name,
            (const struct exposition_label[]){
                { "stage", span_of(stages[i].stage) }, NO_LABEL },
            gauge_scales[stages[i].span], &s->spans[stages[i].span]);
}

void oldnames_put(struct buffer *b, const struct metrics_facts *f)
{
    /* misspelt by the exporter */
    static const char recipients[] =
        "postfix_qmgr_messages_inserted_receipients";
    static const char sizes[] = "postfix_qmgr_messages_inserted_size_bytes";
    const struct gauge_sum *s = &f->sum;

    exposition_family(b, "postfix_up", EXPOSITION_GAUGE, "1.");
    exposition_sample(
        b, "postfix_up",
        (const struct exposition_label[]){ { "path", SPAN("") }, NO_LABEL }, 1);
    for (size_t i = 0; i < sizeof counters / sizeof *counters; i++)
        exposition_single(b, counters[i].name, counters[i].kind,
                          counters[i].help,
                          (double)s->counters[counters[i].counter]);
    put_sessions(b, s);
    put_codes(b, f->status.scores);
    put_tls(b, "postfix_smtpd_tls_connections_total", s->tls[GAUGE_IN]);
    put_tls(b, "postfix_smtp_tls_connections_total", s->tls[GAUGE_OUT]);
    put_delays(b, s);
    exposition_family(b, recipients, EXPOSITION_HISTOGRAM,
                      "Recipients of accepted messages.");
    exposition_histogram(b, recipients, NULL, &histogram_recipients,
                         &s->spans[GAUGE_RECIPIENTS]);
    exposition_family(b, sizes, EXPOSITION_HISTOGRAM,
                      "Sizes of accepted messages.");
    exposition_histogram(b, sizes, NULL, &histogram_sizes,
                         &s->spans[GAUGE_SIZE]);
    put_waiting(b, f);
}
