/*
 * selftest_reach - the relay, our ports, and the next hops.
 *
 * Where a relay runs, it probes next hops as it would deliver: TLS, certificate and login
 * too. Else each is greeted from here, which tells less.
 */
#include "relay/main/selftest.h"

#include "relay/main/ask.h"
#include "relay/main/paper.h"

#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sysexits.h>
#include <unistd.h>

enum { PATIENCE_MS = 8000, GREETING_MOST = 512 };

/* -------------------------------------------------------- the relay ------ */

void selftest_relay(struct selftest *t)
{
    char *socket = span_dup(t->settings->admin.socket);
    json_t *o = NULL;
    struct stat st;

    if (!t->has_relay) {
        bool is_there = stat(socket, &st) == 0 && access(socket, W_OK) < 0;

        selftest_say(t, SELFTEST_WARNING,
                     is_there ? "ask as root, or as the relay's account"
                              : "start it: systemctl start waypost",
                     is_there ? "the socket %s is not yours to use"
                              : "no relay answers on %s",
                     socket);
    } else if (ask_one(t->ask, "/status", NULL, &o) != EX_OK) {
        selftest_say(t, SELFTEST_BAD, "look at its log, start it again",
                     "what listens on %s does not answer", socket);
    } else if (!paper_is(o, "version", WAYPOST_VERSION)) {
        selftest_say(t, SELFTEST_WARNING,
                     "start it again, so that it is the one installed",
                     "the relay that runs is version %s, this is %s",
                     paper_text(o, "version"), WAYPOST_VERSION);
    } else {
        selftest_say(t, SELFTEST_OK, "", "it answers, and is version %s",
                     WAYPOST_VERSION);
    }
    json_decref(o);
    free(socket);
}

/* ------------------------------------------------------------- ports ----- */

/* Negative: we could not listen there. */
static int try_port(const struct host_address *host, uint16_t port)
{
    struct sockaddr_in6 v6 = { .sin6_family = AF_INET6,
                               .sin6_port = htons(port) };
    struct sockaddr_in v4 = { .sin_family = AF_INET, .sin_port = htons(port) };
    bool is_v4 = host_address_is_v4(host);
    int fd = socket(is_v4 ? AF_INET : AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0);
    int one = 1, rc;

    if (fd < 0)
        return -errno;
    memcpy(&v6.sin6_addr, host->bytes, sizeof(v6.sin6_addr));
    memcpy(&v4.sin_addr, host->bytes + 12, sizeof(v4.sin_addr));
    (void)setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
    rc = is_v4 ? bind(fd, (struct sockaddr *)&v4, sizeof(v4))
               : bind(fd, (struct sockaddr *)&v6, sizeof(v6));
    if (rc == 0)
        rc = listen(fd, 1);
    rc = rc < 0 ? -errno : 0;
    (void)close(fd);
    return rc;
}

static void look_at_port(struct selftest *t, struct span title,
                         struct span address, const struct host_address *host,
                         uint16_t port)
{
    int rc = try_port(host, port);

    if (rc == -EADDRINUSE && t->has_relay)
        selftest_say(t, SELFTEST_OK, "", "%.*s: %.*s is listened on",
                     SPAN_FMT(title), SPAN_FMT(address));
    else if (rc == -EADDRINUSE)
        selftest_say(t, SELFTEST_BAD,
                     "ss -ltnp tells which: stop it, or name another address",
                     "%.*s: another program listens on %.*s", SPAN_FMT(title),
                     SPAN_FMT(address));
    else if (rc == -EACCES)
        selftest_say(t, SELFTEST_WARNING, "ask as root; the service may do it",
                     "%.*s: this account may not listen on %.*s",
                     SPAN_FMT(title), SPAN_FMT(address));
    else if (rc < 0)
        selftest_say(t, SELFTEST_BAD, "has this machine the address? ip addr",
                     "%.*s: %.*s cannot be listened on: %s", SPAN_FMT(title),
                     SPAN_FMT(address), error_text(rc));
    else if (t->has_relay)
        selftest_say(t, SELFTEST_BAD,
                     "its log says why; a reload or restart opens it",
                     "%.*s: the relay that runs does not listen on %.*s",
                     SPAN_FMT(title), SPAN_FMT(address));
    else
        selftest_say(t, SELFTEST_OK, "", "%.*s: %.*s is free", SPAN_FMT(title),
                     SPAN_FMT(address));
}

void selftest_ports(struct selftest *t)
{
    const struct settings *s = t->settings;

    for (size_t i = 0; i < s->listener_count; i++)
        look_at_port(t, s->listeners[i].title, s->listeners[i].address,
                     &s->listeners[i].host, s->listeners[i].port);
    if (s->admin.http.len)
        look_at_port(t, SPAN("admin"), s->admin.http, &s->admin.http_host,
                     s->admin.http_port);
}

/* --------------------------------------------------------- a greeting ---- */

static bool wait_for(int fd, short what)
{
    struct pollfd p = { .fd = fd, .events = what };

    return poll(&p, 1, PATIENCE_MS) > 0;
}

/* Connected, or negative. */
static int dial(const struct addrinfo *a)
{
    int fd =
        socket(a->ai_family, a->ai_socktype | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    socklen_t size = sizeof(int);
    int error = 0;

    if (fd < 0)
        return -errno;
    if (connect(fd, a->ai_addr, a->ai_addrlen) < 0)
        error = errno;
    if (error == EINPROGRESS) {
        error = ETIMEDOUT;
        if (wait_for(fd, POLLOUT))
            (void)getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &size);
    }
    if (!error)
        return fd;
    (void)close(fd);
    return -error;
}

/* 0: it says 220, or is not to be asked (TLS comes first). */
static int greet(int fd, bool is_implicit, struct buffer *out_why)
{
    char text[GREETING_MOST];
    ssize_t n = is_implicit || wait_for(fd, POLLIN)
                    ? (is_implicit ? 0 : recv(fd, text, sizeof(text), 0))
                    : -1;

    if (is_implicit)
        return 0;
    if (n > 3 && memcmp(text, "220", 3) == 0) {
        (void)send(fd, "QUIT\r\n", 6, MSG_NOSIGNAL);
        return 0;
    }
    buffer_put_string(out_why, n > 0 ? "it says " : "it says nothing");
    if (n > 0) {
        struct span said = span_make(text, (size_t)n);

        buffer_put_escaped(out_why, span_first(said, span_find(said, '\r')));
    }
    return ERROR_PROTOCOL;
}

/* The first of its addresses that lets us in. */
static int reach(const char *host, uint16_t port, bool is_implicit,
                 struct buffer *out_why)
{
    struct addrinfo hints = { .ai_socktype = SOCK_STREAM }, *all = NULL;
    char service[8];
    int rc;

    (void)snprintf(service, sizeof(service), "%u", (unsigned)port);
    rc = getaddrinfo(host, service, &hints, &all);
    if (rc != 0) {
        buffer_put_string(out_why, gai_strerror(rc));
        return ERROR_GONE;
    }
    rc = ERROR_GONE;
    for (const struct addrinfo *a = all; a && rc < 0; a = a->ai_next) {
        int fd = dial(a);

        buffer_clear(out_why);
        if (fd < 0) {
            rc = fd;
            buffer_put_string(out_why, error_text(rc));
            continue;
        }
        rc = greet(fd, is_implicit, out_why);
        (void)close(fd);
    }
    freeaddrinfo(all);
    return rc;
}

/* --------------------------------------------------------- next hops ----- */

struct verdict {
    struct selftest *selftest;
    const char *name;
    bool has_ended;
};

static bool each_stage(void *user, const json_t *o)
{
    struct verdict *v = user;
    bool is_bad = paper_is(o, "state", "bad");

    if (!paper_is(o, "stage", "end"))
        return true;
    v->has_ended = true;
    selftest_say(v->selftest,
                 is_bad                            ? SELFTEST_BAD
                 : paper_is(o, "state", "warning") ? SELFTEST_WARNING
                                                   : SELFTEST_OK,
                 is_bad ? "waypost dest probe shows each stage" : "", "%s: %s",
                 v->name, paper_text(o, "text"));
    return true;
}

static void probe(struct selftest *t, const char *name)
{
    struct verdict v = { .selftest = t, .name = name };
    json_t *body = json_pack("{s:s}", "name", name);

    if (ask_stream(t->ask, "/probe", body, each_stage, &v) != EX_OK ||
        !v.has_ended)
        selftest_say(t, SELFTEST_WARNING, "try waypost dest probe",
                     "%s: the relay could not probe it", name);
    json_decref(body);
}

static bool is_static(const struct hop *h)
{
    return (h->kind == HOP_SMTP || h->kind == HOP_SMTPS ||
            h->kind == HOP_LMTP) &&
           h->host.len;
}

static void greet_hop(struct selftest *t, const struct hop *h)
{
    char *host = span_dup(h->host);
    struct buffer why = { 0 };

    if (reach(host, h->port, h->kind == HOP_SMTPS, &why) == 0)
        selftest_say(t, SELFTEST_OK, "", "%.*s greets us", SPAN_FMT(h->text));
    else
        selftest_say(t, SELFTEST_BAD,
                     "is the name right, does it run, does a firewall stand "
                     "between? Its mail waits until then",
                     "%.*s cannot be reached: %s", SPAN_FMT(h->text),
                     buffer_string(&why));
    buffer_fini(&why);
    free(host);
}

/* Was the same destination asked about for a route before this one? */
static bool was_seen(const struct settings *s, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (span_is(s->routes[i].key, s->routes[n].key))
            return true;
    return false;
}

void selftest_hops(struct selftest *t)
{
    const struct settings *s = t->settings;

    for (size_t i = 0; i < s->route_count; i++) {
        const struct route *r = &s->routes[i];
        bool is_asked = false;

        if (was_seen(s, i))
            continue;
        for (size_t k = 0; k < r->via_count; k++) {
            if (!is_static(&r->via[k]))
                continue;
            if (!t->has_relay)
                greet_hop(t, &r->via[k]);
            is_asked = true;
        }
        if (is_asked && t->has_relay) {
            char *name = span_dup(r->key);

            probe(t, name);
            free(name);
        }
    }
}

/* Providers close port 25 for many of their customers: only a host outside can tell. */
void selftest_mx(struct selftest *t)
{
    bool uses_mx = false;

    for (size_t i = 0; i < t->settings->route_count; i++)
        for (size_t k = 0; k < t->settings->routes[i].via_count; k++)
            uses_mx |= t->settings->routes[i].via[k].kind == HOP_MX;
    if (t->mx && t->has_relay)
        probe(t, t->mx);
    else if (t->mx)
        selftest_say(t, SELFTEST_WARNING, "start it first",
                     "--mx needs a relay that runs");
    else if (uses_mx)
        selftest_say(t, SELFTEST_OK, "",
                     "mail goes out by MX; whether port 25 is open to the "
                     "world, selftest --mx DOMAIN tells");
}
