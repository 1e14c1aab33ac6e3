/*
 * histogram - how often was a value how large?
 *
 * Counts in fixed buckets. One thread adds, without locks or atomic
 * read-modify-write; any other reads at any time, and may see a value in the
 * counts that is not in the sum yet.
 */
#ifndef WAYPOST_HISTOGRAM_H
#define WAYPOST_HISTOGRAM_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { HISTOGRAM_BOUNDS_MOST = 18 };

/* Bounds rise; a value that equals one belongs below it. per_unit: so many make one of the
 * unit that people read (1,000,000 us a second). */
struct histogram_scale {
    const uint64_t *bounds;
    unsigned count;
    double per_unit;
};

extern const struct histogram_scale
    histogram_ages,       /* us; a millisecond to five days */
    histogram_moments,    /* us; 100 us to half a minute */
    histogram_sizes,      /* bytes; 1 KB to 1 GB */
    histogram_waits,      /* s; ten seconds to three years */
    histogram_recipients, /* 1 to 128 */
    histogram_batches;    /* 1 to 500 */

/* A zeroed one is empty. The last count is of what is over all bounds. */
struct histogram {
    _Atomic uint64_t counts[HISTOGRAM_BOUNDS_MOST + 1];
    _Atomic uint64_t sum;
};

/* Of several, added up. */
struct histogram_sum {
    uint64_t counts[HISTOGRAM_BOUNDS_MOST + 1];
    uint64_t sum;
};

/* The owner's thread only. */
void histogram_add(struct histogram *h, const struct histogram_scale *s,
                   uint64_t value);
/* Adds what is in h to io_sum. */
void histogram_read(const struct histogram *h, struct histogram_sum *io_sum);
/* How many values are in it; readers print each bound, tests ask this. */
uint64_t histogram_count(const struct histogram_sum *h);

/* A counter with one writer. */
static inline void histogram_bump(_Atomic uint64_t *at, uint64_t n)
{
    atomic_store_explicit(at,
                          atomic_load_explicit(at, memory_order_relaxed) + n,
                          memory_order_relaxed);
}

#endif
