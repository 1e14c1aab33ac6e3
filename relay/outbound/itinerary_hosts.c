/*
 * itinerary_hosts - what the DNS says of a member: the hosts to be tried and their order, or
 * what their absence means for the mail.
 */
#include "relay/outbound/itinerary_private.h"

/* Hosts that have just failed go behind the others, whatever their preference. */
static void rest_last(struct itinerary *it)
{
    struct itinerary_host sorted[LIMIT_MX_HOSTS];
    size_t n = 0;

    for (int resting = 0; resting < 2; resting++)
        for (size_t i = 0; i < it->host_count; i++)
            if (it->hosts[i].is_resting == (resting == 1))
                sorted[n++] = it->hosts[i];
    memcpy(it->hosts, sorted, n * sizeof *sorted);
}

/* Each address is a host of its own: one is tried when the one before has failed. */
static void take_apart(struct itinerary *it)
{
    struct itinerary_host whole[LIMIT_MX_HOSTS];
    size_t n = it->host_count;

    memcpy(whole, it->hosts, n * sizeof *whole);
    it->host_count = 0;
    for (size_t i = 0; i < n; i++)
        for (size_t k = 0;
             k < whole[i].count && it->host_count < LIMIT_MX_HOSTS; k++) {
            struct itinerary_host *h = &it->hosts[it->host_count++];

            *h = whole[i];
            h->targets[0] = whole[i].targets[k];
            h->count = 1;
        }
}

static void take_hosts(struct itinerary *it, const struct mx_answer *a,
                       uint16_t port)
{
    it->is_set_secure = a->is_set_secure;
    for (size_t i = 0; i < a->count && it->host_count < LIMIT_MX_HOSTS; i++) {
        const struct mx_host *from = &a->hosts[i];
        struct itinerary_host *h = &it->hosts[it->host_count];

        *h = (struct itinerary_host){
            .name = arena_copy(&it->names, from->name),
            .canonical = arena_copy(&it->names, from->canonical),
            .is_secure = from->is_secure,
        };
        for (size_t k = 0; k < from->count && k < LIMIT_ADDRESSES; k++)
            h->targets[h->count++] = (struct race_target){
                .address = from->addresses[k], .port = port, .tag = i
            };
        if (h->count == 0)
            continue;
        race_order(h->targets, h->count);
        h->is_resting = hostmemory_order(it->delivery->hosts, h->targets,
                                         h->count, wall_ms()) == 0;
        it->host_count++;
    }
    rest_last(it);
    if (it->events->patience_ms)
        take_apart(it);
}

enum mx_kind {
    MX_NULL,
    MX_OWN,
    MX_UNSAFE,
    MX_NO_DOMAIN,
    MX_NO_DATA,
    MX_NOT_NOW
};

static enum mx_kind kind_of(const struct mx_answer *a)
{
    if (a->is_null_mx)
        return MX_NULL;
    if (a->is_own)
        return MX_OWN;
    if (a->is_unsafe)
        return MX_UNSAFE;
    if (a->kind == RESOLVER_NO_DOMAIN)
        return MX_NO_DOMAIN;
    return a->kind == RESOLVER_NO_DATA ? MX_NO_DATA : MX_NOT_NOW;
}

/* What an MX answer without hosts means for the mail. */
static const struct {
    struct status status;
    const char *words;
} verdicts[] = {
    [MX_NULL] = { { 5, 1, 10 },
                  "the domain says that it takes no mail (null MX)" },
    [MX_OWN] = { { 5, 4, 6 },
                 "mail for the domain would loop back to this host" },
    [MX_UNSAFE] = { { 5, 4, 4 },
                    "the mail exchangers have no address that mail may go to" },
    [MX_NO_DOMAIN] = { { 5, 1, 2 }, "no such domain" },
    [MX_NO_DATA] = { { 5, 4, 4 },
                     "the domain has neither mail exchanger nor address" },
};

static void no_addresses(struct itinerary *it, const char *what,
                         struct span name, struct span why)
{
    buffer_clear(&it->trouble);
    buffer_printf(&it->trouble, "4.4.3 %s ", what);
    buffer_put_escaped(&it->trouble, name);
    if (why.len) {
        buffer_put_string(&it->trouble, ": ");
        buffer_put_escaped(&it->trouble, why);
    }
}

/* The owner may be gone after it. */
static void tell_verdict(struct itinerary *it, enum mx_kind kind)
{
    if (it->events->judged) {
        it->events->judged(it->user, DIAGNOSIS_FAILED, verdicts[kind].status,
                           verdicts[kind].words);
        return;
    }
    buffer_clear(&it->trouble);
    buffer_put_string(&it->trouble, verdicts[kind].words);
    it->events->exhausted(it->user);
}

void itinerary_on_looked_up(void *user, const struct mx_answer *a)
{
    struct itinerary *it = user;
    const struct hop *hop = itinerary_hop(it);

    it->query = NULL;
    if (it->events->looked_up)
        it->events->looked_up(it->user, a);
    if (a->kind == RESOLVER_OK && a->count) {
        take_hosts(it, a, hop->port ? hop->port : 25);
    } else if (hop->kind != HOP_MX) { /* our own trouble: never a bounce */
        no_addresses(it, "no address for next hop", hop->host, a->why);
    } else if (kind_of(a) == MX_NOT_NOW) {
        no_addresses(it, "name look-up failed for", it->domain, a->why);
    } else {
        tell_verdict(it, kind_of(a));
        return;
    }
    itinerary_next(it);
}
