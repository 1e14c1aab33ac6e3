/*
 * metrics - GET /metrics: all figures of the relay for Prometheus.
 *
 *   metrics.c        what there is to be told: counters, queue, the relay
 *   oldnames.c       the same by the names that Postfix's exporter has, besides
 *   parties.c        destinations and webhooks
 *   process.c        what the process itself costs
 *
 * Labels are names of ours (rules, listeners, certificates), and the destinations' of the
 * busiest METRICS_DESTINATIONS: what strangers say makes nothing grow.
 */
#ifndef WAYPOST_METRICS_H
#define WAYPOST_METRICS_H

#include "relay/admin/request.h"
#include "relay/net/gauge.h"

enum { METRICS_DESTINATIONS = 100, METRICS_RULES = 1000 };

/* For exposition_sample: LABELS(LABEL("state", "up"), { "rule", span }) */
#define LABELS(...)                                                            \
    (const struct exposition_label[])                                          \
    {                                                                          \
        __VA_ARGS__,                                                           \
        {                                                                      \
            NULL, SPAN_INIT("")                                                \
        }                                                                      \
    }
#define LABEL(name, value)                                                     \
    {                                                                          \
        name, span_of(value)                                                   \
    }

/* What is told, gathered once for one answer. */
struct metrics_facts {
    struct gauge_sum sum;
    struct admin_status status;
    struct queue_stats stats;
    struct queue_figures figures;
    int64_t now_ms, started_ms;
};

void metrics_get(struct request *r);
/* parties.c */
void parties_put(struct buffer *b, struct request *r,
                 const struct queue_figures *f);
/* oldnames.c */
void oldnames_put(struct buffer *b, const struct metrics_facts *f);
/* process.c: nothing where /proc cannot be read. */
void process_put(struct buffer *b, int64_t started_ms);

#endif
