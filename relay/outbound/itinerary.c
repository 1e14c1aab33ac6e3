/*
 * itinerary - which host comes next?
 */
#include "relay/outbound/itinerary.h"

#include "policy/vocabulary/error.h"
#include "relay/net/gauge.h"
#include "relay/net/log.h"
#include "relay/outbound/tokens.h"

#include <errno.h>
#include <openssl/crypto.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

enum { CONNECT_MS = 30000 };

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

static bool is_socket(const struct itinerary *it)
{
    return itinerary_hop(it)->path.len > 0;
}

/* ------------------------------------------------------------- trouble ---- */

/* As in host[address]. */
static void put_address(const struct itinerary *it, const struct race_target *t,
                        struct buffer *b)
{
    if (is_socket(it))
        buffer_put(b, itinerary_hop(it)->path);
    else
        host_address_print(b, &t->address);
}

static void log_trouble(const struct itinerary *it, const struct race_target *t,
                        struct span why)
{
    struct buffer address = { 0 };

    gauge_count(it->delivery->worker->gauge, GAUGE_CONNECTS_FAILED);
    put_address(it, t, &address);
    log_put(&(struct log_line){ .event = LOG_CONNECT_FAILED,
                                .host = itinerary_host_name(it),
                                .address = buffer_span(&address),
                                .port = t->port,
                                .text = why });
    buffer_fini(&address);
}

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

static void name_relay(struct itinerary *it, const struct race_target *t)
{
    buffer_clear(&it->relay);
    buffer_put_escaped(&it->relay, itinerary_host_name(it));
    buffer_put_byte(&it->relay, '[');
    put_address(it, t, &it->relay);
    buffer_put_byte(&it->relay, ']');
    if (!is_socket(it))
        buffer_printf(&it->relay, ":%u", t->port);
}

void itinerary_give(struct itinerary *it, struct delivery *d, struct span name,
                    const struct race_target *peer)
{
    static const struct hop given = { .kind = HOP_SMTP };

    *it = (struct itinerary){ .delivery = d, .given = &given, .peer = *peer };
    it->hosts[0].name = arena_copy(&it->names, name);
    it->host_count = it->host_next = 1;
    name_relay(it, peer);
}

static void address_failed(struct itinerary *it, const struct race_target *t,
                           int rc)
{
    const char *why =
        rc == -EACCES ? "mail may not go to this address" : uv_strerror(rc);

    if (!is_socket(it))
        delivery_host_failed(it->delivery, t);
    name_relay(it, t);
    buffer_clear(&it->trouble);
    buffer_printf(&it->trouble, "4.4.1 connect to %s: %s",
                  buffer_string(&it->relay), why);
    log_trouble(it, t, span_of(why));
    if (rc == -ETIMEDOUT)
        gauge_count(it->delivery->worker->gauge, GAUGE_CONNECTS_LATE);
    if (it->events && it->events->missed)
        it->events->missed(it->user, t, rc);
}

void itinerary_refused(struct itinerary *it, const struct client_outcome *why)
{
    if (!is_socket(it))
        delivery_host_failed(it->delivery, &it->peer);
    buffer_clear(&it->trouble);
    status_print(&it->trouble, why->status);
    buffer_printf(&it->trouble, " %s: ", buffer_string(&it->relay));
    buffer_put(&it->trouble, why->reply);
    log_trouble(it, &it->peer, why->reply);
}

void itinerary_greeted(struct itinerary *it)
{
    if (!is_socket(it))
        delivery_host_worked(it->delivery, &it->peer);
}

/* ---------------------------------------------------------- connecting ---- */

static void on_raced(void *user, const struct race_result *r)
{
    struct itinerary *it = user;

    it->race = NULL;
    it->addresses_tried += r->failed_count + 1;
    for (size_t i = 0; i < r->failed_count; i++)
        address_failed(it, &r->failed[i], r->failed_rc[i]);
    if (r->rc < 0) {
        address_failed(it, &r->winner, r->rc);
        itinerary_next(it);
        return;
    }
    name_relay(it, &r->winner);
    it->peer = r->winner;
    it->connect_ms = wall_ms() - it->began_ms;
    it->events->connected(it->user, r->fd);
}

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

static void race(struct itinerary *it, const struct race_target *targets,
                 size_t count)
{
    it->began_ms = wall_ms();
    it->race = race_start(
        &it->delivery->worker->loop, targets, count,
        it->events->patience_ms ? it->events->patience_ms : CONNECT_MS,
        itinerary_hop(it)->kind == HOP_MX, on_raced, it);
}

static void milden_no_more(struct itinerary *it)
{
    it->in_clear = it->without_chunking = false;
}

static void race_host(struct itinerary *it)
{
    const struct itinerary_host *h = &it->hosts[it->host_next - 1];
    size_t count = LIMIT_ADDRESSES - it->addresses_tried;

    race(it, h->targets, h->count < count ? h->count : count);
}

/* ------------------------------------------------------------- assuring ---- */

static bool wants_assurance(const struct itinerary *it)
{
    return it->route->tls == ROUTE_TLS_DANE ||
           it->route->tls == ROUTE_TLS_DANE_ONLY;
}

/* It was not met: nothing is held against it. */
static void pass_over(struct itinerary *it)
{
    const struct race_target *t = &it->hosts[it->host_next - 1].targets[0];
    struct span why = buffer_span(&it->assurance.why);

    name_relay(it, t);
    buffer_clear(&it->trouble);
    buffer_printf(&it->trouble, "4.7.5 %s: ", buffer_string(&it->relay));
    buffer_put(&it->trouble, why);
    log_trouble(it, t, why);
    itinerary_next(it);
}

static void on_assured(void *user)
{
    struct itinerary *it = user;

    if (it->events->assured)
        it->events->assured(it->user, &it->assurance);
    if (it->assurance.kind == ASSURANCE_REFUSED)
        pass_over(it);
    else
        race_host(it);
}

static void assure(struct itinerary *it)
{
    const struct itinerary_host *h = &it->hosts[it->host_next - 1];
    const struct hop *hop = itinerary_hop(it);
    struct assurance_host host = {
        .domain = hop->kind == HOP_MX ? it->domain : SPAN(""),
        .is_set_secure = it->is_set_secure,
        .name = h->name,
        .canonical = h->canonical,
        .is_secure = h->is_secure,
        .port = h->targets[0].port,
    };

    assurance_skip(&it->assurance);
    if (wants_assurance(it))
        assurance_begin(&it->assurance, it->delivery,
                        it->route->tls == ROUTE_TLS_DANE_ONLY, &host,
                        on_assured, it);
    else
        race_host(it);
}

void itinerary_next(struct itinerary *it)
{
    milden_no_more(it);
    if (has_host(it)) {
        it->host_next++;
        assure(it);
    } else if (it->member + 1 < it->route->via_count) {
        it->member++;
        approach(it);
    } else {
        it->events->exhausted(it->user);
    }
}

/* A unix socket answers at once, or nobody listens. */
static void dial_socket(struct itinerary *it)
{
    struct sockaddr_un to = { .sun_family = AF_UNIX };
    struct span path = itinerary_hop(it)->path;
    int rc = -ENAMETOOLONG;
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

    it->hosts[0] = (struct itinerary_host){ .name = SPAN("localhost") };
    it->host_count = it->host_next = 1;
    it->peer = (struct race_target){ .port = 0 };
    if (fd < 0) {
        rc = -errno;
    } else if (path.len < sizeof to.sun_path) {
        memcpy(to.sun_path, path.at, path.len);
        rc = connect(fd, (struct sockaddr *)&to, sizeof to) < 0 ? -errno : 0;
    }
    if (rc < 0) {
        if (fd >= 0)
            (void)close(fd);
        address_failed(it, &it->peer, rc);
        itinerary_next(it);
        return;
    }
    name_relay(it, &it->peer);
    it->connect_ms = 0;
    it->events->connected(it->user, fd);
}

/* ------------------------------------------------------------ looking ---- */

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

static void on_looked_up(void *user, const struct mx_answer *a)
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
        it->events->judged(it->user, DIAGNOSIS_FAILED,
                           verdicts[kind_of(a)].status,
                           verdicts[kind_of(a)].words);
        return;
    }
    itinerary_next(it);
}

void itinerary_again(struct itinerary *it)
{
    if (is_socket(it))
        dial_socket(it);
    else
        race(it, &it->peer, 1);
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
    else if (is_socket(it))
        dial_socket(it);
    else
        it->query = hop->kind == HOP_MX
                        ? resolver_mx(r, it->domain, on_looked_up, it)
                        : resolver_host(r, hop->host, !wants_assurance(it),
                                        on_looked_up, it);
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
