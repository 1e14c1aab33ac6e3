/*
 * terms - on what terms is a host met: TLS, name, login.
 */
#include "relay/outbound/terms.h"

#include "policy/vocabulary/error.h"
#include "relay/net/gauge.h"
#include "relay/net/log.h"
#include "relay/outbound/tokens.h"

enum { DANE_NAMES = 3 };

static const struct hop *hop_of(const struct terms *t)
{
    return itinerary_hop(t->itinerary);
}

static enum assurance_kind assured(const struct terms *t)
{
    return t->itinerary->assurance.kind;
}

static bool is_opportunistic(const struct terms *t)
{
    return hop_of(t)->kind != HOP_SMTPS &&
           (t->route->tls == ROUTE_TLS_OPTIONAL ||
            t->route->tls == ROUTE_TLS_DANE) &&
           (assured(t) == ASSURANCE_NONE || assured(t) == ASSURANCE_TESTED);
}

static enum client_tls demand(const struct terms *t)
{
    if (t->itinerary->given)
        return CLIENT_TLS_NEVER;
    if (t->route->tls == ROUTE_TLS_NONE && hop_of(t)->kind != HOP_SMTPS)
        return CLIENT_TLS_NEVER;
    if (!is_opportunistic(t))
        return CLIENT_TLS_MUST;
    return t->itinerary->in_clear ? CLIENT_TLS_NEVER : CLIENT_TLS_IF_OFFERED;
}

/* SNI, and what is held against the certificate. */
static struct span tls_name(const struct terms *t)
{
    return t->route->tls_name.len ? t->route->tls_name
                                  : itinerary_host_name(t->itinerary);
}

struct client *terms_client(const struct terms *t, int64_t now_ms)
{
    const struct hop *hop = hop_of(t);
    const struct account *a = hop->account;
    struct itinerary *it = t->itinerary;

    return client_new(
        &(struct client_options){
            .hostname = t->settings->hostname,
            .timeouts = t->timeouts ? t->timeouts : &client_timeouts_default,
            .is_lmtp = hop->kind == HOP_LMTP,
            .tls = demand(t),
            .begins_secured = hop->kind == HOP_SMTPS,
            .chunking = t->route->chunking && !it->without_chunking,
            .login = a ? a->user : SPAN(""),
            .secret = buffer_span(&it->secret),
            .secret_is_token = a && account_is_bearer(a),
            .mechanisms = a ? a->mechanisms : 0,
            .login_without_tls = a && t->route->tls == ROUTE_TLS_NONE,
            .host = itinerary_host_name(it),
            .port = hop->path.len ? 0 : it->peer.port,
            .xforward = t->route->xforward,
            .is_only = it->given != NULL,
            .witness = t->witness,
        },
        now_ms);
}

/* ----------------------------------------------------------------- TLS ---- */

/* A certificate from one of the records' authorities (DANE-TA) may be for any of these. */
static size_t dane_names(const struct terms *t, struct span out[DANE_NAMES])
{
    const struct assurance_host *h = &t->itinerary->assurance.host;
    size_t count = 0;

    out[count++] = h->name;
    if (h->domain.len)
        out[count++] = h->domain;
    if (h->canonical.len && h->is_secure)
        out[count++] = h->canonical;
    return count;
}

/* Sessions are resumed among connections that ask for the same. */
static void put_session_key(const struct terms *t, struct buffer *b)
{
    buffer_put(b, buffer_span(&t->itinerary->relay));
    buffer_put_byte(b, ' ');
    buffer_put(b, tls_name(t));
    buffer_printf(b, " %d", (int)t->route->tls);
}

bool terms_start_tls(const struct terms *t)
{
    const struct assurance *a = &t->itinerary->assurance;
    struct span names[DANE_NAMES];
    struct tls_dane dane = { .base = a->base,
                             .names = names,
                             .name_count = dane_names(t, names),
                             .records = a->records,
                             .count = a->count };
    bool is_dane = a->kind == ASSURANCE_DANE, is_sts = a->kind == ASSURANCE_STS;
    struct buffer key = { 0 };
    struct tls *tls;

    if (conn_tls(t->conn))
        return true;
    put_session_key(t, &key);
    tls = tls_connect(t->tls, &(struct tls_wish){
                                  .name = tls_name(t),
                                  .verify =
                                      t->route->tls == ROUTE_TLS_VERIFY || is_sts,
                                  .dane = is_dane ? &dane : NULL,
                                  .policy = is_dane  ? "DANE"
                                            : is_sts ? "MTA-STS"
                                                     : NULL,
                                  .session_key = buffer_span(&key),
                                  .route = t->certificate,
                              });
    buffer_fini(&key);
    return conn_start_tls(t->conn, tls);
}

static void count_assured(const struct terms *t)
{
    struct gauge *g = t->conn->worker->gauge;

    if (assured(t) == ASSURANCE_DANE)
        gauge_count(g, GAUGE_TLS_DANE);
    else if (assured(t) == ASSURANCE_ENCRYPT)
        gauge_count(g, GAUGE_TLS_DANE_ANY);
    else if (assured(t) == ASSURANCE_STS)
        gauge_count(g, GAUGE_TLS_STS);
}

/* The host had the chance to prove itself, and did not. */
static void count_refused(const struct terms *t)
{
    struct gauge *g = t->delivery->worker->gauge;

    if (assured(t) == ASSURANCE_DANE || assured(t) == ASSURANCE_ENCRYPT)
        gauge_count(g, GAUGE_DANE_REFUSED);
    else if (assured(t) == ASSURANCE_STS)
        gauge_count(g, GAUGE_STS_REFUSED);
}

/* A policy that only tests wants its owner's mistakes to be seen. */
static void tell_tested(const struct terms *t, const char *what)
{
    if (assured(t) == ASSURANCE_TESTED)
        log_text(LOG_NOTE, "%.*s: the MTA-STS policy would refuse it, and only "
                 "tests: %s",
                 SPAN_FMT(buffer_span(&t->itinerary->relay)), what);
}

void terms_secured(const struct terms *t)
{
    const struct tls_facts *f = tls_facts(conn_tls(t->conn));
    const struct race_target *peer = &t->itinerary->peer;
    struct buffer address = { 0 };

    gauge_tls(t->conn->worker->gauge, GAUGE_OUT, f->protocol, f->trust);
    count_assured(t);
    if (f->trust != TLS_VERIFIED)
        tell_tested(t, "its certificate is not trusted, or not for its name");
    host_address_print(&address, &peer->address);
    log_put(&(struct log_line){ .event = LOG_TLS_OUT,
                                .host = itinerary_host_name(t->itinerary),
                                .address = buffer_span(&address),
                                .port = peer->port,
                                .tls = f });
    buffer_fini(&address);
    client_secured(t->client, f, wall_ms());
}

void terms_met(const struct terms *t)
{
    if (t->itinerary->given || !is_opportunistic(t) || conn_tls(t->conn))
        return;
    tell_tested(t, "there is no TLS");
    log_text(LOG_NOTE, "%.*s: mail goes in clear text: %s",
             SPAN_FMT(buffer_span(&t->itinerary->relay)),
             t->itinerary->in_clear ? "TLS has failed"
                                    : "STARTTLS was not offered or refused");
}

void terms_broken(const struct terms *t, int rc)
{
    const struct tls *tls = conn_tls(t->conn);
    struct span why = span_of(rc ? error_text(rc) : "");

    if (tls && tls_trouble(tls).len)
        why = tls_trouble(tls);
    if (tls && client_wants(t->client) == CLIENT_STARTS_TLS)
        client_tls_failed(t->client, why, tls_trouble_is_trust(tls), wall_ms());
    else
        client_lost(t->client, why, wall_ms());
}

/* --------------------------------------------------------------- login ---- */

void terms_reckon(const struct terms *t, reckoning_fn *done, void *user)
{
    struct login *l = client_take_login(t->client);

    if (l)
        *t->reckoning = reckoning_start(t->delivery, l, done, user);
}

void terms_reckon_no_more(const struct terms *t)
{
    if (*t->reckoning)
        registry_drop(&t->delivery->registry, *t->reckoning);
    *t->reckoning = 0;
}

/* ------------------------------------------------------------ another try ---- */

bool terms_are_milder(const struct terms *t)
{
    struct itinerary *it = t->itinerary;
    const struct account *a = hop_of(t)->account;
    struct span why = client_trouble(t->client)->reply;

    if (a && client_login_was_refused(t->client))
        tokens_refused(t->delivery->worker->tokens, a);
    if (client_chunking_was_refused(t->client) && !it->without_chunking) {
        it->without_chunking = true;
        return true;
    }
    if (client_is_greeted(t->client) || it->in_clear ||
        !client_tls_was_the_trouble(t->client))
        return false;
    if (!is_opportunistic(t)) {
        count_refused(t);
        return false;
    }
    log_text(LOG_NOTE, "%s: TLS is not to be had, trying without it: %.*s",
             buffer_string(&it->relay), SPAN_FMT(why));
    it->in_clear = true;
    return true;
}
