/*
 * hostmemory - next hops' addresses that failed a moment ago.
 */
#include "relay/outbound/hostmemory.h"

#include "policy/vocabulary/memory.h"

#include <stdlib.h>
#include <uthash.h>

enum {
    HOSTS_MOST = 4096,
    REST_FIRST_MS = 60 * 1000,
    REST_MOST_MS = 60 * 60 * 1000,
};

struct host_failure {
    struct host_address address;
    int64_t rest_until_ms;
    unsigned failures;            /* in a row */
    UT_hash_handle hh;
};

struct hostmemory {
    struct host_failure *hosts;   /* in order of first failure */
};

struct hostmemory *hostmemory_new(void)
{
    return NEW(struct hostmemory);
}

static void forget(struct hostmemory *m, struct host_failure *f)
{
    HASH_DEL(m->hosts, f);
    free(f);
}

void hostmemory_free(struct hostmemory *m)
{
    while (m && m->hosts)
        forget(m, m->hosts);
    free(m);
}

static struct host_failure *find(const struct hostmemory *m,
                                 const struct host_address *a)
{
    struct host_failure *f;

    HASH_FIND(hh, m->hosts, a, sizeof *a, f);
    return f;
}

bool hostmemory_is_resting(const struct hostmemory *m,
                           const struct host_address *a, int64_t now_ms)
{
    const struct host_failure *f = find(m, a);

    return f && now_ms < f->rest_until_ms;
}

void hostmemory_failed(struct hostmemory *m, const struct host_address *a,
                       int64_t now_ms)
{
    struct host_failure *f = find(m, a);
    int64_t rest = REST_FIRST_MS;

    if (!f) {
        if (HASH_COUNT(m->hosts) >= HOSTS_MOST)
            forget(m, m->hosts);
        f = NEW(struct host_failure);
        f->address = *a;
        HASH_ADD(hh, m->hosts, address, sizeof f->address, f);
    }
    for (unsigned i = 0; i < f->failures && rest < REST_MOST_MS; i++)
        rest *= 2;
    f->failures++;
    f->rest_until_ms = now_ms + (rest < REST_MOST_MS ? rest : REST_MOST_MS);
}

void hostmemory_good(struct hostmemory *m, const struct host_address *a)
{
    struct host_failure *f = find(m, a);

    if (f)
        forget(m, f);
}
