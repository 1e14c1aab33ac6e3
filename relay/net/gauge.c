/*
 * gauge - what one loop has counted, for the metrics.
 *
 * On cache lines of its own, so that two loops that count do not slow each other
 * down. Listeners are entered by the loop's thread, and their number is what
 * publishes them.
 */
#include "relay/net/gauge.h"

#include "policy/vocabulary/error.h"

#include <stdlib.h>

enum { CACHE_LINE = 64 };

struct gauge_listener {
    char name[GAUGE_NAME + 1]; /* does not change once it is counted */
    _Atomic uint64_t opened, closed, accepted, refused[GAUGE_STAGES];
};

struct gauge {
    _Atomic uint64_t counters[GAUGE_COUNTERS];
    _Atomic uint64_t tls[GAUGE_DIRECTIONS][GAUGE_PROTOCOLS][GAUGE_TRUSTS];
    struct histogram spans[GAUGE_SPANS];
    struct gauge_listener listeners[GAUGE_LISTENERS];
    atomic_uint listener_count;
    atomic_bool has_resolver, validates;
};

const struct histogram_scale *const gauge_scales[GAUGE_SPANS] = {
    [GAUGE_BEFORE_QUEUE] = &histogram_ages,
    [GAUGE_IN_QUEUE] = &histogram_ages,
    [GAUGE_CONNECTING] = &histogram_ages,
    [GAUGE_SENDING] = &histogram_ages,
    [GAUGE_DELIVERY] = &histogram_ages,
    [GAUGE_DNS] = &histogram_moments,
    [GAUGE_SIZE] = &histogram_sizes,
    [GAUGE_RECIPIENTS] = &histogram_recipients,
};
const char *const gauge_stages[GAUGE_STAGES] = { "connect", "mail", "rcpt",
                                                 "data", "command" };
const char *const gauge_directions[GAUGE_DIRECTIONS] = { "in", "out" };
const char *const gauge_protocols[GAUGE_PROTOCOLS] = { "TLSv1", "TLSv1.1",
                                                       "TLSv1.2", "TLSv1.3" };
const char *const gauge_trusts[GAUGE_TRUSTS] = { "anonymous", "untrusted",
                                                 "trusted", "verified" };

struct gauge *gauge_new(void)
{
    size_t size =
        (sizeof(struct gauge) + CACHE_LINE - 1) / CACHE_LINE * CACHE_LINE;
    struct gauge *g = aligned_alloc(CACHE_LINE, size);

    ASSERT(g);
    memset(g, 0, size);
    return g;
}

void gauge_free(struct gauge *g)
{
    free(g);
}

/* ------------------------------------------------------------ counting ---- */

void gauge_count(struct gauge *g, enum gauge_counter c)
{
    if (g)
        histogram_bump(&g->counters[c], 1);
}

void gauge_validates(struct gauge *g, bool does)
{
    if (!g)
        return;
    atomic_store(&g->has_resolver, true);
    atomic_store(&g->validates, does);
}

void gauge_add(struct gauge *g, enum gauge_span which, uint64_t value)
{
    if (g)
        histogram_add(&g->spans[which], gauge_scales[which], value);
}

void gauge_tls(struct gauge *g, enum gauge_direction d, const char *protocol,
               unsigned trust)
{
    unsigned p = 0;

    while (p < GAUGE_PROTOCOLS - 1 && strcmp(gauge_protocols[p], protocol) != 0)
        p++;
    if (g)
        histogram_bump(&g->tls[d][p][trust < GAUGE_TRUSTS ? trust : 0], 1);
}

unsigned gauge_listener(struct gauge *g, struct span name)
{
    unsigned i, n;

    if (!g)
        return 0;
    name = span_first(name, GAUGE_NAME);
    n = atomic_load_explicit(&g->listener_count, memory_order_relaxed);
    for (i = 0; i < n; i++)
        if (span_is(span_of(g->listeners[i].name), name))
            return i;
    if (i == GAUGE_LISTENERS)
        return GAUGE_LISTENERS - 1;
    if (i < GAUGE_LISTENERS - 1 && name.len)
        memcpy(g->listeners[i].name, name.at, name.len);
    atomic_store_explicit(&g->listener_count, n + 1, memory_order_release);
    return i;
}

void gauge_opened(struct gauge *g, unsigned listener)
{
    if (g)
        histogram_bump(&g->listeners[listener].opened, 1);
}

void gauge_closed(struct gauge *g, unsigned listener)
{
    if (g)
        histogram_bump(&g->listeners[listener].closed, 1);
}

void gauge_accepted(struct gauge *g, unsigned listener)
{
    if (!g)
        return;
    histogram_bump(&g->listeners[listener].accepted, 1);
    histogram_bump(&g->counters[GAUGE_ACCEPTED], 1);
}

void gauge_refused(struct gauge *g, unsigned listener, enum gauge_stage stage)
{
    if (g)
        histogram_bump(&g->listeners[listener].refused[stage], 1);
}

/* ------------------------------------------------------------- reading ---- */

static uint64_t now_of(const _Atomic uint64_t *at)
{
    return atomic_load_explicit(at, memory_order_relaxed);
}

/* Where this name is in the sum; NULL: there is no place for more. */
static struct gauge_listener_sum *place_of(struct gauge_sum *s,
                                           const char *name)
{
    struct gauge_listener_sum *at = s->listeners;

    for (; at < s->listeners + s->listener_count; at++)
        if (strcmp(at->name, name) == 0)
            return at;
    if (s->listener_count == GAUGE_LISTENERS)
        return at - 1;
    s->listener_count++;
    memcpy(at->name, name, sizeof at->name);
    return at;
}

static void read_listener(const struct gauge_listener *l,
                          struct gauge_listener_sum *io)
{
    io->closed += now_of(&l->closed); /* first: there are never fewer opened */
    io->opened += now_of(&l->opened);
    io->accepted += now_of(&l->accepted);
    for (int i = 0; i < GAUGE_STAGES; i++)
        io->refused[i] += now_of(&l->refused[i]);
}

void gauge_read(const struct gauge *g, struct gauge_sum *io_sum)
{
    const _Atomic uint64_t *tls = &g->tls[0][0][0];
    uint64_t *io_tls = &io_sum->tls[0][0][0];
    unsigned n;

    for (int i = 0; i < GAUGE_COUNTERS; i++)
        io_sum->counters[i] += now_of(&g->counters[i]);
    for (size_t i = 0; i < sizeof g->tls / sizeof *tls; i++)
        io_tls[i] += now_of(&tls[i]);
    for (int i = 0; i < GAUGE_SPANS; i++)
        histogram_read(&g->spans[i], &io_sum->spans[i]);
    io_sum->resolvers += atomic_load(&g->has_resolver);
    io_sum->validating += atomic_load(&g->validates);
    n = atomic_load_explicit(&g->listener_count, memory_order_acquire);
    for (unsigned i = 0; i < n; i++)
        read_listener(&g->listeners[i], place_of(io_sum, g->listeners[i].name));
}

uint64_t gauge_sum_refused(const struct gauge_sum *s)
{
    uint64_t n = 0;

    for (unsigned i = 0; i < s->listener_count; i++)
        for (int k = 0; k < GAUGE_STAGES; k++)
            n += s->listeners[i].refused[k];
    return n;
}
