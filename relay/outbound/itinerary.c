/*
 * itinerary - which host comes next?
 */
#include "relay/outbound/itinerary_private.h"

#include "relay/net/log.h"
#include "relay/outbound/tokens.h"

#include <openssl/crypto.h>

static void approach(struct itinerary *it);

void itinerary_init(struct itinerary *it, struct delivery *d,
                    const struct route *route, struct span domain,
                    const struct itinerary_events *events, void *user)
{
    *it = (struct itinerary){ .delivery = d,
                              .route = route,
                              .domain = domain,
                              .events = events,
                              .user = user };
}

static void forget_secret(struct itinerary *it)
{
    if (it->secret.at)
        OPENSSL_cleanse(it->secret.at, it->secret.size);
    buffer_fini(&it->secret);
}

static void cancel(struct itinerary *it)
{
    if (it->secret_token)
        registry_drop(&it->delivery->registry, it->secret_token);
    it->secret_token = 0;
    if (it->query)
        resolver_cancel(it->query);
    if (it->race)
        race_cancel(it->race);
    it->query = NULL;
    it->race = NULL;
    assurance_fini(&it->assurance);
}

void itinerary_fini(struct itinerary *it)
{
    cancel(it);
    forget_secret(it);
    arena_reset(&it->names);
    buffer_fini(&it->relay);
    buffer_fini(&it->trouble);
}

const struct hop *itinerary_member(const struct route *r, size_t member)
{
    const struct hop *hop = &r->via[member];

    return hop->kind == HOP_PICKUP && r->offline.deliver_to
               ? r->offline.deliver_to
               : hop;
}

const struct hop *itinerary_hop(const struct itinerary *it)
{
    return it->given ? it->given : itinerary_member(it->route, it->member);
}

struct span itinerary_host_name(const struct itinerary *it)
{
    return it->hosts[it->host_next - 1].name;
}

bool itinerary_is_socket(const struct itinerary *it)
{
    return itinerary_hop(it)->path.len > 0;
}

/* ------------------------------------------------------------ what is next ---- */

static bool has_host(const struct itinerary *it)
{
    return it->host_next < it->host_count &&
           it->addresses_tried < LIMIT_ADDRESSES;
}

bool itinerary_has_more(const struct itinerary *it)
{
    return !it->given &&
           (has_host(it) || it->member + 1 < it->route->via_count);
}

static void milden_no_more(struct itinerary *it)
{
    it->in_clear = it->without_chunking = false;
}

void itinerary_next(struct itinerary *it)
{
    milden_no_more(it);
    if (has_host(it)) {
        it->host_next++;
        itinerary_assure(it);
    } else if (it->member + 1 < it->route->via_count) {
        it->member++;
        approach(it);
    } else {
        it->events->exhausted(it->user);
    }
}

/* ------------------------------------------------------------ looking ---- */

bool itinerary_wants_assurance(const struct itinerary *it)
{
    return it->route->tls == ROUTE_TLS_DANE ||
           it->route->tls == ROUTE_TLS_DANE_ONLY;
}

/* Released, but there is nowhere to deliver it to: it waits on. */
static void nowhere(struct itinerary *it)
{
    buffer_clear(&it->trouble);
    buffer_put_string(&it->trouble, "4.4.1 waits for pick-up");
    itinerary_next(it);
}

static void look_up(struct itinerary *it)
{
    const struct hop *hop = itinerary_hop(it);
    struct resolver *r = it->delivery->worker->resolver;

    if (hop->kind == HOP_PICKUP)
        nowhere(it);
    else if (itinerary_is_socket(it))
        itinerary_dial(it);
    else
        it->query =
            hop->kind == HOP_MX
                ? resolver_mx(r, it->domain, itinerary_on_looked_up, it)
                : resolver_host(r, hop->host, !itinerary_wants_assurance(it),
                                itinerary_on_looked_up, it);
}

/* -------------------------------------------------------------- asking ---- */

static void on_secret(void *worker, uint64_t token, int rc, struct span secret,
                      struct span why)
{
    struct delivery *d = ((struct worker *)worker)->delivery;
    struct itinerary *it = registry_find(&d->registry, token);

    if (!it)
        return;
    registry_drop(&d->registry, token);
    it->secret_token = 0;
    if (rc == 0) {
        buffer_put(&it->secret, secret);
        look_up(it);
        return;
    }
    buffer_clear(&it->trouble);
    buffer_put_string(&it->trouble, "4.7.8 cannot log in to ");
    buffer_put_escaped(&it->trouble, itinerary_hop(it)->text);
    buffer_put_string(&it->trouble, ": ");
    buffer_put_escaped(&it->trouble, why);
    log_text(LOG_WARNING, "%s", buffer_string(&it->trouble) + sizeof "4.7.8");
    itinerary_next(it);
}

/* A member of via, from its beginning. */
static void approach(struct itinerary *it)
{
    const struct account *account = itinerary_hop(it)->account;
    struct delivery *d = it->delivery;

    arena_reset(&it->names);
    forget_secret(it);
    it->host_count = it->host_next = it->addresses_tried = 0;
    milden_no_more(it);
    if (!account) {
        look_up(it);
        return;
    }
    it->secret_token = registry_put(&d->registry, it);
    tokens_get(d->worker->tokens, d->worker, account, on_secret,
               it->secret_token);
}

void itinerary_begin(struct itinerary *it)
{
    cancel(it);
    it->member = 0;
    approach(it);
}
