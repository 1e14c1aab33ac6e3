/*
 * terms - on what terms is a host met: TLS, name, login.
 */
#include "relay/outbound/terms.h"

#include "policy/vocabulary/error.h"
#include "relay/net/log.h"
#include "relay/outbound/reckoning.h"
#include "relay/outbound/tokens.h"

static const struct hop *hop_of(const struct courier *c)
{
    return itinerary_hop(&c->itinerary);
}

static bool is_opportunistic(const struct courier *c)
{
    return hop_of(c)->kind != HOP_SMTPS &&
           (c->route->tls == ROUTE_TLS_OPTIONAL ||
            c->route->tls == ROUTE_TLS_DANE);
}

static enum client_tls demand(const struct courier *c)
{
    if (c->route->tls == ROUTE_TLS_NONE && hop_of(c)->kind != HOP_SMTPS)
        return CLIENT_TLS_NEVER;
    if (!is_opportunistic(c))
        return CLIENT_TLS_MUST;
    return c->itinerary.in_clear ? CLIENT_TLS_NEVER : CLIENT_TLS_IF_OFFERED;
}

/* SNI, and what is held against the certificate. */
static struct span tls_name(const struct courier *c)
{
    return c->route->tls_name.len ? c->route->tls_name
                                  : itinerary_host_name(&c->itinerary);
}

struct client *terms_client(struct courier *c, int64_t now_ms)
{
    const struct hop *hop = hop_of(c);
    const struct account *a = hop->account;
    struct itinerary *it = &c->itinerary;

    return client_new(
        &(struct client_options){
            .hostname = c->settings->hostname,
            .timeouts = &client_timeouts_default,
            .is_lmtp = hop->kind == HOP_LMTP,
            .tls = demand(c),
            .begins_secured = hop->kind == HOP_SMTPS,
            .chunking = c->route->chunking && !it->without_chunking,
            .login = a ? a->user : SPAN(""),
            .secret = buffer_span(&it->secret),
            .secret_is_token = a && account_is_bearer(a),
            .mechanisms = a ? a->mechanisms : 0,
            .login_without_tls = a && c->route->tls == ROUTE_TLS_NONE,
            .host = itinerary_host_name(it),
            .port = hop->path.len ? 0 : it->peer.port,
            .xforward = c->route->xforward,
        },
        now_ms);
}

/* ----------------------------------------------------------------- TLS ---- */

/* Sessions are resumed among connections that ask for the same. */
static void put_session_key(const struct courier *c, struct buffer *b)
{
    buffer_put(b, buffer_span(&c->itinerary.relay));
    buffer_put_byte(b, ' ');
    buffer_put(b, tls_name(c));
    buffer_printf(b, " %d", (int)c->route->tls);
}

bool terms_start_tls(struct courier *c)
{
    struct buffer key = { 0 };
    struct tls *t;

    if (conn_tls(&c->conn))
        return true;
    put_session_key(c, &key);
    t = tls_connect(c->tls,
                    &(struct tls_wish){
                        .name = tls_name(c),
                        .verify = c->route->tls == ROUTE_TLS_VERIFY,
                        .session_key = buffer_span(&key),
                        .route = (size_t)(c->route - c->settings->routes),
                    });
    buffer_fini(&key);
    return conn_start_tls(&c->conn, t);
}

void terms_secured(struct courier *c)
{
    const struct tls_facts *f = tls_facts(conn_tls(&c->conn));
    const struct race_target *peer = &c->itinerary.peer;
    struct buffer address = { 0 };

    host_address_print(&address, &peer->address);
    log_put(&(struct log_line){ .event = LOG_TLS_OUT,
                                .host = itinerary_host_name(&c->itinerary),
                                .address = buffer_span(&address),
                                .port = peer->port,
                                .tls = f });
    buffer_fini(&address);
    client_secured(c->client, f, wall_ms());
}

void terms_met(const struct courier *c)
{
    if (is_opportunistic(c) && !conn_tls(&c->conn))
        log_text(LOG_NOTE, "%.*s: mail goes in clear text: %s",
                 SPAN_FMT(buffer_span(&c->itinerary.relay)),
                 c->itinerary.in_clear ? "TLS has failed"
                                       : "STARTTLS was not offered or refused");
}

void terms_broken(struct courier *c, int rc)
{
    const struct tls *t = conn_tls(&c->conn);
    struct span why = span_of(rc ? error_text(rc) : "");

    if (t && tls_trouble(t).len)
        why = tls_trouble(t);
    if (t && client_wants(c->client) == CLIENT_STARTS_TLS)
        client_tls_failed(c->client, why, tls_trouble_is_trust(t), wall_ms());
    else
        client_lost(c->client, why, wall_ms());
}

/* --------------------------------------------------------------- login ---- */

void terms_reckon(struct courier *c)
{
    struct login *l = client_take_login(c->client);

    if (l)
        c->reckoning = reckoning_start(c->delivery, l, visit_reckoned, c);
}

void terms_reckon_no_more(struct courier *c)
{
    if (c->reckoning)
        registry_drop(&c->delivery->registry, c->reckoning);
    c->reckoning = 0;
}

/* ------------------------------------------------------------ another try ---- */

bool terms_are_milder(struct courier *c)
{
    struct itinerary *it = &c->itinerary;
    const struct account *a = hop_of(c)->account;
    struct span why = client_trouble(c->client)->reply;

    if (a && client_login_was_refused(c->client))
        tokens_refused(c->delivery->worker->tokens, a);
    if (client_chunking_was_refused(c->client) && !it->without_chunking) {
        it->without_chunking = true;
        return true;
    }
    if (client_is_greeted(c->client) || it->in_clear || !is_opportunistic(c) ||
        !client_tls_was_the_trouble(c->client))
        return false;
    log_text(LOG_NOTE, "%s: TLS is not to be had, trying without it: %.*s",
             buffer_string(&it->relay), SPAN_FMT(why));
    it->in_clear = true;
    return true;
}
