/*
 * stslease - who asks a domain's web server for its policy, and who has asked in vain.
 */
#include "relay/outbound/stslease.h"

#include "policy/mtasts.h"
#include "policy/vocabulary/error.h"
#include "policy/vocabulary/limits.h"
#include "policy/vocabulary/memory.h"

#include <stdlib.h>
#include <uv.h>

enum { LEASES = 512 };

struct lease {
    char domain[LIMIT_DOMAIN], id[MTASTS_ID_MOST];
    size_t domain_len, id_len; /* domain_len 0: free */
    bool is_failed;            /* else it is being fetched */
    int64_t until_ms;
};

struct stslease {
    uv_mutex_t lock;
    struct lease leases[LEASES];
};

struct stslease *stslease_new(void)
{
    struct stslease *l = NEW(struct stslease);

    ASSERT(uv_mutex_init(&l->lock) == 0);
    return l;
}

void stslease_free(struct stslease *l)
{
    if (!l)
        return;
    uv_mutex_destroy(&l->lock);
    free(l);
}

static bool is_of(const struct lease *one, struct span domain)
{
    return span_is(span_make(one->domain, one->domain_len), domain);
}

/* Its own, else one that is free or over, else the one that ends first. */
static struct lease *place_of(struct stslease *l, struct span domain)
{
    struct lease *first = &l->leases[0];

    for (size_t i = 0; i < LEASES; i++) {
        struct lease *one = &l->leases[i];

        if (is_of(one, domain))
            return one;
        if (one->until_ms < first->until_ms)
            first = one;
    }
    return first;
}

static void hold(struct lease *one, struct span domain, struct span id,
                 bool is_failed, int64_t until_ms)
{
    ASSERT(domain.len <= sizeof one->domain && id.len <= sizeof one->id);
    memcpy(one->domain, domain.at, domain.len);
    memcpy(one->id, id.at, id.len);
    one->domain_len = domain.len;
    one->id_len = id.len;
    one->is_failed = is_failed;
    one->until_ms = until_ms;
}

enum stslease_answer stslease_take(struct stslease *l, struct span domain,
                                   struct span id, int64_t now_ms)
{
    enum stslease_answer answer = STSLEASE_YOURS;
    struct lease *one;

    uv_mutex_lock(&l->lock);
    one = place_of(l, domain);
    if (is_of(one, domain) && now_ms < one->until_ms) {
        if (!one->is_failed)
            answer = STSLEASE_BUSY;
        else if (span_is(span_make(one->id, one->id_len), id))
            answer = STSLEASE_FAILED;
    }
    if (answer == STSLEASE_YOURS)
        hold(one, domain, id, false, now_ms + STSLEASE_FETCH_MS);
    uv_mutex_unlock(&l->lock);
    return answer;
}

void stslease_end(struct stslease *l, struct span domain, struct span id,
                  bool is_failed, int64_t now_ms)
{
    struct lease *one;

    uv_mutex_lock(&l->lock);
    one = place_of(l, domain);
    if (is_failed)
        hold(one, domain, id, true, now_ms + STSLEASE_FAILED_MS);
    else if (is_of(one, domain))
        *one = (struct lease){ .domain_len = 0 };
    uv_mutex_unlock(&l->lock);
}
