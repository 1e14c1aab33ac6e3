/*
 * exposition - figures in the text that Prometheus reads, format 0.0.4.
 *
 *   # HELP name words
 *   # TYPE name counter
 *   name{label="value"} 12
 *
 * Values of labels may come from strangers: they are escaped, and what is no UTF-8 or no
 * text becomes a question mark, since one bad byte would cost the whole answer. Prometheus,
 * "Exposition formats".
 */
#ifndef WAYPOST_EXPOSITION_H
#define WAYPOST_EXPOSITION_H

#include "policy/vocabulary/buffer.h"
#include "policy/vocabulary/histogram.h"

enum exposition_kind {
    EXPOSITION_COUNTER,
    EXPOSITION_GAUGE,
    EXPOSITION_HISTOGRAM,
    EXPOSITION_UNTYPED, /* a counter whose name does not say so */
};

enum { EXPOSITION_LABELS_MOST = 6 };

/* One without name ends the list. */
struct exposition_label {
    const char *name;
    struct span value;
};

/* A family's head; its samples follow at once. help: one line of ours. */
void exposition_family(struct buffer *b, const char *name,
                       enum exposition_kind kind, const char *help);
/* labels may be NULL: none. */
void exposition_sample(struct buffer *b, const char *name,
                       const struct exposition_label *labels, double value);
/* Buckets, sum and count, in the scale's unit. */
void exposition_histogram(struct buffer *b, const char *name,
                          const struct exposition_label *labels,
                          const struct histogram_scale *scale,
                          const struct histogram_sum *h);
/* A family of one sample without labels. */
void exposition_single(struct buffer *b, const char *name,
                       enum exposition_kind kind, const char *help,
                       double value);

#endif
