/*
 * itinerary_connect - the way to one host: what TLS with it must prove, the race to one of its
 * addresses or the unix socket, and what is remembered and said of those that failed.
 *
 * Leads to connected(), or on to itinerary_next.
 */
#include "relay/outbound/itinerary_private.h"

#include "relay/net/gauge.h"
#include "relay/net/log.h"

#include <errno.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

enum { CONNECT_MS = 30000 };

/* ------------------------------------------------------------- trouble ---- */

/* As in host[address]. */
static void put_address(const struct itinerary *it, const struct race_target *t,
                        struct buffer *b)
{
    if (itinerary_is_socket(it))
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

static void name_relay(struct itinerary *it, const struct race_target *t)
{
    buffer_clear(&it->relay);
    buffer_put_escaped(&it->relay, itinerary_host_name(it));
    buffer_put_byte(&it->relay, '[');
    put_address(it, t, &it->relay);
    buffer_put_byte(&it->relay, ']');
    if (!itinerary_is_socket(it))
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

    if (!itinerary_is_socket(it))
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
    if (!itinerary_is_socket(it))
        delivery_host_failed(it->delivery, &it->peer);
    buffer_clear(&it->trouble);
    status_print(&it->trouble, why->status);
    buffer_printf(&it->trouble, " %s: ", buffer_string(&it->relay));
    buffer_put(&it->trouble, why->reply);
    log_trouble(it, &it->peer, why->reply);
}

void itinerary_greeted(struct itinerary *it)
{
    if (!itinerary_is_socket(it))
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

static void race(struct itinerary *it, const struct race_target *targets,
                 size_t count)
{
    it->began_ms = wall_ms();
    it->race = race_start(&it->delivery->worker->loop, targets, count,
                          it->events->patience_ms ? it->events->patience_ms
                                                  : CONNECT_MS,
                          itinerary_hop(it)->kind == HOP_MX, on_raced, it);
}

static void race_host(struct itinerary *it)
{
    const struct itinerary_host *h = &it->hosts[it->host_next - 1];
    size_t count = LIMIT_ADDRESSES - it->addresses_tried;

    race(it, h->targets, h->count < count ? h->count : count);
}

/* ------------------------------------------------------------- assuring ---- */

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

void itinerary_assure(struct itinerary *it)
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
    if (itinerary_wants_assurance(it))
        assurance_begin(&it->assurance, it->delivery,
                        it->route->tls == ROUTE_TLS_DANE_ONLY, &host,
                        on_assured, it);
    else
        race_host(it);
}

/* --------------------------------------------------------- connecting to ---- */

/* A unix socket answers at once, or nobody listens. */
void itinerary_dial(struct itinerary *it)
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

void itinerary_again(struct itinerary *it)
{
    if (itinerary_is_socket(it))
        itinerary_dial(it);
    else
        race(it, &it->peer, 1);
}
