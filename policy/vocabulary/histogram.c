/*
 * histogram - how often was a value how large?
 */
#include "policy/vocabulary/histogram.h"

#define MS ((uint64_t)1000)
#define S  ((uint64_t)1000000)

/* Among them all bounds that dashboards of Postfix's exporter expect. */
static const uint64_t ages[] = {
    MS,       5 * MS,    10 * MS,   50 * MS,    100 * MS,   500 * MS,
    S,        5 * S,     10 * S,    60 * S,     300 * S,    900 * S,
    3600 * S, 14400 * S, 86400 * S, 172800 * S, 432000 * S,
};
static const uint64_t moments[] = {
    100,     250,       500,     MS,       2500,     5 * MS,
    10 * MS, 25 * MS,   50 * MS, 100 * MS, 250 * MS, 500 * MS,
    S,       2500 * MS, 5 * S,   10 * S,   30 * S,
};
static const uint64_t sizes[] = { 1000,     10000,     100000,    1000000,
                                  10000000, 100000000, 1000000000 };
static const uint64_t waits[] = { 10,     100,     1000,     10000,
                                  100000, 1000000, 10000000, 100000000 };
static const uint64_t recipients[] = { 1, 2, 4, 8, 16, 32, 64, 128 };
static const uint64_t batches[] = { 1, 2, 5, 10, 20, 50, 100, 200, 500 };

#define SCALE(list, unit)                                                      \
    {                                                                          \
        (list), sizeof(list) / sizeof((list)[0]), (unit)                       \
    }
const struct histogram_scale histogram_ages = SCALE(ages, 1e6);
const struct histogram_scale histogram_moments = SCALE(moments, 1e6);
const struct histogram_scale histogram_sizes = SCALE(sizes, 1);
const struct histogram_scale histogram_waits = SCALE(waits, 1);
const struct histogram_scale histogram_recipients = SCALE(recipients, 1);
const struct histogram_scale histogram_batches = SCALE(batches, 1);

_Static_assert(sizeof ages / sizeof *ages <= HISTOGRAM_BOUNDS_MOST &&
                   sizeof moments / sizeof *moments <= HISTOGRAM_BOUNDS_MOST,
               "every bound has its count");

void histogram_add(struct histogram *h, const struct histogram_scale *s,
                   uint64_t value)
{
    unsigned i = 0;

    while (i < s->count && value > s->bounds[i])
        i++;
    histogram_bump(&h->counts[i], 1);
    histogram_bump(&h->sum, value);
}

void histogram_read(const struct histogram *h, struct histogram_sum *io_sum)
{
    for (size_t i = 0; i <= HISTOGRAM_BOUNDS_MOST; i++)
        io_sum->counts[i] +=
            atomic_load_explicit(&h->counts[i], memory_order_relaxed);
    io_sum->sum += atomic_load_explicit(&h->sum, memory_order_relaxed);
}

uint64_t histogram_count(const struct histogram_sum *h)
{
    uint64_t n = 0;

    for (size_t i = 0; i <= HISTOGRAM_BOUNDS_MOST; i++)
        n += h->counts[i];
    return n;
}
