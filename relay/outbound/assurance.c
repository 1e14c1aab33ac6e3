/*
 * assurance - what must TLS with this host prove?
 *
 *   [assurance_begin]  is the host's name an alias? Asked where its addresses are not
 *                      validated, but an alias led to them
 *   [ask_records]      TLSA of the name at the end of the aliases
 *   [ask_host]         TLSA of the host's own name
 *   [ask_policy]       MTA-STS, once for all hosts of the domain
 *
 * Each is one question, to the resolver or to stsinquiry.c, and in this order; the answer
 * decides which is next, if any.
 */
#include "relay/outbound/assurance.h"

#include "relay/net/gauge.h"
#include "relay/net/log.h"
#include "relay/net/tls.h"
#include "relay/outbound/stsinquiry.h"

static void settle(struct assurance *a, enum assurance_kind kind)
{
    a->kind = kind;
    a->done(a->user);
}

/* What was found out about a host; what about the domain stays. */
void assurance_skip(struct assurance *a)
{
    if (a->query)
        resolver_cancel(a->query);
    if (a->inquiry)
        stsinquiry_cancel(a->inquiry);
    a->query = NULL;
    a->inquiry = NULL;
    arena_reset(&a->arena);
    buffer_fini(&a->why);
    a->kind = ASSURANCE_NONE;
    a->records = NULL;
    a->count = a->found = 0;
    a->base = SPAN("");
}

void assurance_fini(struct assurance *a)
{
    assurance_skip(a);
    buffer_fini(&a->policy_words);
    buffer_fini(&a->policy_text);
    *a = (struct assurance){ .kind = ASSURANCE_NONE };
}

static bool is_same(struct span a, struct span b)
{
    return span_is_nocase(a, b);
}

static void refuse(struct assurance *a, enum gauge_counter for_whom)
{
    gauge_count(a->delivery->worker->gauge, for_whom);
    settle(a, ASSURANCE_REFUSED);
}

/* ----------------------------------------------------------------- MTA-STS ---- */

static void judge_policy(struct assurance *a)
{
    bool is_named =
        a->has_policy && mtasts_policy_has(&a->policy, a->host.name);

    if (!a->has_policy || a->policy.mode == MTASTS_NONE) {
        settle(a, ASSURANCE_NONE);
    } else if (a->policy.mode == MTASTS_TESTING) {
        if (!is_named)
            log_text(LOG_NOTE,
                     "%.*s: the MTA-STS policy of %.*s does not name this "
                     "host; it only tests (mode: testing)",
                     SPAN_FMT(a->host.name), SPAN_FMT(a->host.domain));
        settle(a, ASSURANCE_TESTED);
    } else if (is_named) {
        settle(a, ASSURANCE_STS);
    } else {
        buffer_clear(&a->why);
        buffer_put_string(&a->why, "the MTA-STS policy of ");
        buffer_put_escaped(&a->why, a->host.domain);
        buffer_put_string(&a->why, " does not name this host");
        refuse(a, GAUGE_STS_REFUSED);
    }
}

static void on_policy(void *user, const struct mtasts_policy *policy,
                      struct span words)
{
    struct assurance *a = user;

    a->inquiry = NULL;
    buffer_clear(&a->policy_words);
    buffer_put(&a->policy_words, words);
    buffer_clear(&a->policy_text);
    if (policy) { /* a copy, which its patterns point into */
        mtasts_policy_print(&a->policy_text, policy);
        a->has_policy =
            !mtasts_policy_read(buffer_span(&a->policy_text), &a->policy);
    }
    judge_policy(a);
}

/* Only a domain that is looked up has one. */
static void ask_policy(struct assurance *a)
{
    if (a->host.domain.len == 0 || a->host.domain.at[0] == '[')
        settle(a, ASSURANCE_NONE);
    else if (a->policy_words.len)
        judge_policy(a);
    else
        a->inquiry =
            stsinquiry_begin(a->delivery, a->host.domain, on_policy, a);
}

/* The DNS has nothing for it: why in words. */
static void without_records(struct assurance *a, const char *why)
{
    buffer_put_string(&a->why, a->is_only ? "tls = dane-only, but " : "");
    buffer_put_string(&a->why, why);
    if (a->is_only)
        refuse(a, GAUGE_DANE_REFUSED);
    else
        ask_policy(a);
}

/* ------------------------------------------------------------ TLSA records ---- */

static void put_service(const struct assurance *a, struct buffer *b)
{
    buffer_printf(b, "_%u._tcp.", a->host.port);
    buffer_put_escaped(b, a->base);
}

static void take_records(struct assurance *a, const struct mx_answer *r)
{
    size_t most = r->record_count < TLSA_MOST ? r->record_count : TLSA_MOST;

    a->records = arena_take(&a->arena, most * sizeof *a->records);
    a->found = r->record_count;
    for (size_t i = 0; i < most; i++) {
        struct tlsa t;

        if (!tlsa_read(arena_copy(&a->arena, r->records[i]), &t) ||
            !tlsa_is_usable(&t) || !tls_takes_tlsa(&t))
            continue;
        a->records[a->count++] = t;
    }
}

static void judge_records(struct assurance *a, const struct mx_answer *r)
{
    take_records(a, r);
    buffer_printf(&a->why, "%zu of %zu TLSA records of ", a->count, a->found);
    put_service(a, &a->why);
    buffer_put_string(&a->why, a->count == 1 ? " is usable" : " are usable");
    if (a->count)
        settle(a, ASSURANCE_DANE);
    else if (a->is_only)
        refuse(a, GAUGE_DANE_REFUSED);
    else
        settle(a, ASSURANCE_ENCRYPT);
}

static void fail(struct assurance *a, const struct mx_answer *r,
                 const char *what)
{
    buffer_printf(&a->why, "%s look-up failed for ", what);
    put_service(a, &a->why);
    if (r->why.len) {
        buffer_put_string(&a->why, ": ");
        buffer_put_escaped(&a->why, r->why);
    }
    refuse(a, GAUGE_DANE_REFUSED);
}

static void ask_host(struct assurance *a);

static void on_records(void *user, const struct mx_answer *r)
{
    struct assurance *a = user;

    a->query = NULL;
    if (r->kind == RESOLVER_FAILED)
        fail(a, r, "TLSA");
    else if (r->kind == RESOLVER_OK && r->is_secure)
        judge_records(a, r);
    else if (!is_same(a->base, a->host.name))
        ask_host(a);
    else if (r->kind == RESOLVER_OK)
        without_records(a, "the host's TLSA records are not signed");
    else
        without_records(a, "the host has no TLSA records");
}

static void ask_records(struct assurance *a, struct span base)
{
    struct buffer name = { 0 };

    a->base = arena_copy(&a->arena, base);
    if (a->base.len && a->base.at[a->base.len - 1] == '.')
        a->base.len--;
    buffer_printf(&name, "_%u._tcp.", a->host.port);
    buffer_put(&name, a->base);
    a->query = resolver_tlsa(a->delivery->worker->resolver, buffer_span(&name),
                             on_records, a);
    buffer_fini(&name);
}

static void ask_host(struct assurance *a)
{
    ask_records(a, a->host.name);
}

/* Only a name whose own records are validated may have TLSA records asked for: servers that
 * know nothing of DNSSEC often fail on them. */
static void on_alias(void *user, const struct mx_answer *r)
{
    struct assurance *a = user;

    a->query = NULL;
    if (r->kind == RESOLVER_FAILED)
        fail(a, r, "alias");
    else if (r->kind == RESOLVER_OK && r->is_secure)
        ask_host(a);
    else
        without_records(a, "the host's addresses are not signed");
}

/* --------------------------------------------------------------- beginning ---- */

static void keep_host(struct assurance *a, const struct assurance_host *host)
{
    a->host = *host;
    a->host.domain = arena_copy(&a->arena, host->domain);
    a->host.name = arena_copy(&a->arena, host->name);
    a->host.canonical = arena_copy(&a->arena, host->canonical);
}

static bool is_alias(const struct assurance *a)
{
    return a->host.canonical.len && !is_same(a->host.canonical, a->host.name);
}

void assurance_begin(struct assurance *a, struct delivery *d, bool is_only,
                     const struct assurance_host *host,
                     void (*done)(void *user), void *user)
{
    struct resolver *r = d->worker->resolver;

    assurance_skip(a);
    a->delivery = d;
    a->is_only = is_only;
    a->done = done;
    a->user = user;
    keep_host(a, host);
    if (!resolver_validates(r))
        without_records(a, "DNSSEC is not validated here");
    else if (!host->is_set_secure)
        without_records(a, "the domain's MX records are not signed");
    else if (host->is_secure && is_alias(a))
        ask_records(a, a->host.canonical);
    else if (host->is_secure)
        ask_host(a);
    else if (is_alias(a))
        a->query = resolver_alias(r, a->host.name, on_alias, a);
    else
        without_records(a, "the host's addresses are not signed");
}
