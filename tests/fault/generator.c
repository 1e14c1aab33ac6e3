/*
 * generator - the near end of the ledger: many clients that remember each 250.
 *
 *   generator --port N --ledger FILE [--sessions 50] [--count N] [--size 4096]
 *       [--large-every N --large-size B] [--mixed] [--per-connection N]
 *       [--ahead N] [--rate N] [--seconds N] [--idle N]
 *
 * Each session sends one message after the other and writes the time of the 250
 * into the ledger; a message whose 250 it did not read is never sent again,
 * under any number. A lost or refused connection is made anew after a moment,
 * so the relay may die as often as it likes. --mixed: every tenth message has
 * three recipients, some are deferred once by the sink, some refused and
 * reported. --ahead: wait while so many are acknowledged and not arrived. Ends
 * at SIGTERM, or when --count or --seconds is reached, with one JSON line:
 * counts, rate, microseconds from dot to 250.
 *
 *   CONNECT -> GREETING -> EHLO -> GROUP (MAIL RCPT.. DATA) -> CONTENT -> GROUP
 *      ^                                      |                  |
 *      +--- lost, refused, or --per-connection reached ----------+
 */
#include "ledger.h"

#include <arpa/inet.h>
#include <errno.h>
#include <inttypes.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

enum {
    RECIPIENTS = 3,
    HEAD_MOST = 1024,
    SAMPLES_MOST = 4000000,
    PAUSE_NS = 5000000
};

enum state { DOWN, GREETING, HELO, GROUP, CONTENT, RESTS };

struct client {
    int fd;
    enum state state;
    char in[4096];
    size_t in_len;
    char *out;
    size_t out_len, out_at;
    uint64_t slot, dot_ns, wake_ns;
    unsigned recipients, replies, accepted, sent_here;
    bool is_large;
};

static struct {
    struct ledger ledger;
    uint16_t port;
    unsigned sessions, per_connection, large_every;
    size_t size, large_size;
    uint64_t count, ahead, rate, seconds;
    bool mixed, idle;

    char *body, *large_body; /* as sent, dots stuffed, with CRLF.CRLF behind */
    size_t body_len, large_len;
    uint64_t begun_ns, first_ack_ns, last_ack_ns, messages, acked, refused,
        lost;
    uint64_t mail_number;
    uint32_t *samples;
    size_t sample_count;
    int ep;
} g;

static volatile sig_atomic_t stopped;

static void on_term(int n)
{
    (void)n;
    stopped = 1;
}

/* Lines of 76, every seventh begins with a dot (stuffed), one is only a dot. */
static char *make_body(size_t size, size_t *out_len)
{
    static const char letters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdef"
                                  "ghijklmnopqrstuvwxyz0123456789+/";
    char *b = malloc(size + 256);
    uint64_t x = 88172645463325252u;
    size_t at = 0;

    if (!b)
        abort();
    for (unsigned line = 0; at + 80 < size; line++) {
        size_t room = 76;

        if (line % 7 == 3) {
            b[at++] = '.';
            b[at++] = '.';
            room = line == 3 ? 0 : 74;
        }
        for (size_t i = 0; i < room; i++) {
            x ^= x << 13;
            x ^= x >> 7;
            x ^= x << 17;
            b[at++] = letters[x & 63];
        }
        b[at++] = '\r';
        b[at++] = '\n';
    }
    memcpy(b + at, "end\r\n.\r\n", 8);
    *out_len = at + 8;
    return b;
}

static bool may_send(void)
{
    struct ledger_head *h = g.ledger.head;

    if (stopped || (g.count && g.messages >= g.count) || g.idle)
        return false;
    if (atomic_load(&h->next) + RECIPIENTS >= h->slots) {
        stopped = 1; /* the ledger is full */
        return false;
    }
    if (g.ahead && atomic_load(&h->acked) > atomic_load(&h->arrived) + g.ahead)
        return false;
    if (g.rate &&
        g.messages >= (now_ns() - g.begun_ns) / 1000 * g.rate / 1000000)
        return false;
    return true;
}

static void watch(struct client *c, bool writes)
{
    struct epoll_event e = { .events = EPOLLIN | (writes ? EPOLLOUT : 0),
                             .data.ptr = c };

    if (epoll_ctl(g.ep, EPOLL_CTL_MOD, c->fd, &e) < 0)
        abort();
}

static void go_down(struct client *c)
{
    if (c->fd >= 0)
        close(c->fd);
    c->fd = -1;
    if (c->state == CONTENT)
        g.lost++;
    c->state = DOWN;
    c->wake_ns = now_ns() + PAUSE_NS;
}

static bool push(struct client *c)
{
    while (c->out_at < c->out_len) {
        ssize_t n = send(c->fd, c->out + c->out_at, c->out_len - c->out_at,
                         MSG_NOSIGNAL | MSG_DONTWAIT);

        if (n < 0 && errno == EAGAIN) {
            watch(c, true);
            return true;
        }
        if (n < 0)
            return false;
        c->out_at += (size_t)n;
    }
    c->out_at = c->out_len = 0;
    return true;
}

static void dial(struct client *c)
{
    struct sockaddr_in a = { .sin_family = AF_INET,
                             .sin_port = htons(g.port),
                             .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    struct epoll_event e = { .events = EPOLLIN, .data.ptr = c };
    int one = 1;

    c->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (c->fd < 0 || connect(c->fd, (struct sockaddr *)&a, sizeof(a)) < 0) {
        go_down(c);
        return;
    }
    setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
    if (epoll_ctl(g.ep, EPOLL_CTL_ADD, c->fd, &e) < 0)
        abort();
    c->state = GREETING;
    c->in_len = c->out_len = c->out_at = 0;
    c->sent_here = 0;
}

/* l, d or f: what is the sink to do with it. */
static char kind_of(uint64_t number, unsigned recipients)
{
    if (!g.mixed)
        return 'l';
    if (number % 97 == 0)
        return 'd';
    return number % 101 == 0 && recipients == 1 ? 'f' : 'l';
}

/* Appends to what is to be sent; heads are short, HEAD_MOST is always free. */
__attribute__((format(printf, 2, 3))) static void put(struct client *c,
                                                      const char *format, ...)
{
    va_list args;

    va_start(args, format);
    c->out_len +=
        (size_t)vsnprintf(c->out + c->out_len, HEAD_MOST, format, args);
    va_end(args);
}

static void begin_message(struct client *c)
{
    uint64_t number = g.mail_number++;

    g.messages++;
    c->recipients = g.mixed && number % 10 == 9 ? RECIPIENTS : 1;
    c->is_large = g.large_every && number % g.large_every == 0;
    c->slot = atomic_fetch_add(&g.ledger.head->next, c->recipients);
    c->accepted = 0;
    c->replies = 2 + c->recipients;
    put(c, "MAIL FROM:<b%" PRIu64 "@back.test>\r\n", c->slot);
    for (unsigned i = 0; i < c->recipients; i++)
        put(c, "RCPT TO:<%c%" PRIu64 "@d%u.test>\r\n",
            kind_of(number + i, c->recipients), c->slot + i,
            (unsigned)(number % 8));
    put(c, "DATA\r\n");
    c->state = GROUP;
}

static void begin_content(struct client *c)
{
    const char *body = c->is_large ? g.large_body : g.body;
    size_t len = c->is_large ? g.large_len : g.body_len;
    char first[64];
    size_t first_len;
    XXH64_state_t hash;

    /* what makes each body its own */
    first_len = (size_t)snprintf(first, sizeof(first),
                                 "%" PRIu64 " begins here\r\n", c->slot);
    XXH64_reset(&hash, 0);
    XXH64_update(&hash, first, first_len);
    XXH64_update(&hash, body, len - 3);
    put(c,
        "From: <b%" PRIu64 "@back.test>\r\nTo: <l%" PRIu64 "@d.test>\r\n"
        "Subject: number %" PRIu64 "\r\nMessage-ID: <%" PRIu64
        "@ledger.test>\r\nDate: Thu, 01 Jan 2026 00:00:00 +0000\r\n"
        "X-Ledger: %" PRIu64 " %u %" PRIx64 "\r\n\r\n%s",
        c->slot, c->slot, c->slot, c->slot, c->slot, c->recipients,
        XXH64_digest(&hash), first);
    memcpy(c->out + c->out_len, body, len);
    c->out_len += len;
    c->dot_ns = now_ns();
    for (unsigned i = 0; i < c->recipients; i++)
        atomic_store(&g.ledger.slots[c->slot + i].sent_ns, c->dot_ns);
    c->state = CONTENT;
}

static void on_acknowledged(struct client *c)
{
    uint64_t now = now_ns();

    for (unsigned i = 0; i < c->recipients; i++)
        atomic_store(&g.ledger.slots[c->slot + i].acked_ns, now);
    atomic_fetch_add(&g.ledger.head->acked, c->recipients);
    g.acked++;
    if (!g.first_ack_ns)
        g.first_ack_ns = now;
    g.last_ack_ns = now;
    if (g.sample_count < SAMPLES_MOST)
        g.samples[g.sample_count++] = (uint32_t)((now - c->dot_ns) / 1000);
}

static bool next_message(struct client *c)
{
    if (g.per_connection && c->sent_here >= g.per_connection) {
        send(c->fd, "QUIT\r\n", 6, MSG_NOSIGNAL | MSG_DONTWAIT);
        close(c->fd);
        c->fd = -1;
        c->state = DOWN;
        c->wake_ns = 0;
        return true;
    }
    if (!may_send()) {
        c->state = RESTS;
        c->wake_ns = now_ns() + PAUSE_NS / 5;
        return true;
    }
    begin_message(c);
    return push(c);
}

/* One whole reply; false: give the connection up. */
static bool on_reply(struct client *c, int code)
{
    switch (c->state) {
    case GREETING:
        if (code != 220)
            return false;
        put(c, "EHLO generator.test\r\n");
        c->state = HELO;
        return push(c);
    case HELO:
        return code == 250 && next_message(c);
    case GROUP:
        c->replies--;
        if (code == 250)
            c->accepted++;
        if (c->replies > 0)
            return true;
        if (code != 354 || c->accepted != c->recipients + 1) {
            g.refused++;
            return false;
        }
        begin_content(c);
        return push(c);
    case CONTENT:
        if (code == 250)
            on_acknowledged(c);
        else
            g.refused++;
        c->state = HELO;
        c->sent_here++;
        return next_message(c);
    case DOWN:
    case RESTS:
        break;
    }
    return false;
}

static bool on_readable(struct client *c)
{
    ssize_t n =
        recv(c->fd, c->in + c->in_len, sizeof(c->in) - c->in_len, MSG_DONTWAIT);
    char *end;

    if (n <= 0)
        return n < 0 && (errno == EAGAIN || errno == EINTR);
    c->in_len += (size_t)n;
    while (c->fd >= 0 && (end = memchr(c->in, '\n', c->in_len)) != NULL) {
        size_t len = (size_t)(end - c->in) + 1;
        bool is_last = len < 4 || c->in[3] != '-';
        int code = (int)strtol(c->in, NULL, 10);

        memmove(c->in, end + 1, c->in_len - len);
        c->in_len -= len;
        if (is_last && !on_reply(c, code))
            return false;
    }
    return true;
}

static void on_event(struct client *c, uint32_t events)
{
    bool ok = true;

    if (events & EPOLLOUT) {
        watch(c, false);
        ok = push(c);
    }
    if (ok && events & (EPOLLIN | EPOLLHUP | EPOLLERR))
        ok = on_readable(c);
    if (!ok)
        go_down(c);
}

static void wake_those_due(struct client *clients)
{
    uint64_t now = now_ns();

    for (unsigned i = 0; i < g.sessions; i++) {
        struct client *c = &clients[i];

        if ((c->state != DOWN && c->state != RESTS) || c->wake_ns > now)
            continue;
        if (c->state == RESTS) {
            if (!next_message(c))
                go_down(c);
        } else if (!stopped && (g.idle || may_send())) {
            dial(c);
        }
    }
}

static bool is_over(const struct client *clients)
{
    if (g.seconds && now_ns() - g.begun_ns > g.seconds * 1000000000u)
        stopped = 1;
    if (!stopped && !(g.count && g.messages >= g.count))
        return false;
    for (unsigned i = 0; i < g.sessions; i++)
        if (clients[i].state == GROUP || clients[i].state == CONTENT)
            return false;
    return true;
}

static void run(struct client *clients)
{
    struct epoll_event got[256];
    uint64_t stop_ns = 0, swept_ns = 0;

    while (!is_over(clients)) {
        int n = epoll_wait(g.ep, got, 256, 1);

        for (int i = 0; i < n; i++)
            if (((struct client *)got[i].data.ptr)->fd >= 0)
                on_event(got[i].data.ptr, got[i].events);
        if (g.per_connection || now_ns() - swept_ns > 1000000) {
            swept_ns = now_ns();
            wake_those_due(clients);
        }
        if (stopped && !stop_ns)
            stop_ns = now_ns();
        if (stopped && now_ns() - stop_ns > 5000000000u)
            break; /* whoever has not answered by now will not */
    }
}

static int by_size(const void *a, const void *b)
{
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

    return (x > y) - (x < y);
}

static uint32_t sample(double part)
{
    size_t at = (size_t)((double)g.sample_count * part);

    if (g.sample_count == 0)
        return 0;
    return g.samples[at < g.sample_count ? at : g.sample_count - 1];
}

static void report(void)
{
    double seconds = (double)(g.last_ack_ns - g.begun_ns) / 1e9;

    qsort(g.samples, g.sample_count, sizeof(*g.samples), by_size);
    printf("{\"messages\": %" PRIu64 ", \"acked\": %" PRIu64
           ", \"refused\": %" PRIu64 ", \"lost_connection\": %" PRIu64
           ", \"begun_ns\": %" PRIu64 ", \"last_ack_ns\": %" PRIu64
           ", \"rate\": %.1f, "
           "\"dot_us\": {\"p50\": %u, \"p99\": %u, \"max\": %u}}\n",
           g.messages, g.acked, g.refused, g.lost, g.begun_ns, g.last_ack_ns,
           g.acked ? (double)g.acked / seconds : 0.0, sample(0.5), sample(0.99),
           sample(1.0));
}

static void read_options(int argc, char **argv, const char **out_ledger)
{
    for (int i = 1; i < argc; i++) {
        const char *name = argv[i];
        const char *value = i + 1 < argc ? argv[i + 1] : "";
        uint64_t n = strtoull(value, NULL, 10);

        if (strcmp(name, "--mixed") == 0) {
            g.mixed = true;
            continue;
        }
        if (strcmp(name, "--idle") == 0) {
            g.idle = true;
            continue;
        }
        i++;
        if (strcmp(name, "--ledger") == 0)
            *out_ledger = value;
        else if (strcmp(name, "--port") == 0)
            g.port = (uint16_t)n;
        else if (strcmp(name, "--sessions") == 0)
            g.sessions = (unsigned)n;
        else if (strcmp(name, "--count") == 0)
            g.count = n;
        else if (strcmp(name, "--size") == 0)
            g.size = n;
        else if (strcmp(name, "--large-every") == 0)
            g.large_every = (unsigned)n;
        else if (strcmp(name, "--large-size") == 0)
            g.large_size = n;
        else if (strcmp(name, "--per-connection") == 0)
            g.per_connection = (unsigned)n;
        else if (strcmp(name, "--ahead") == 0)
            g.ahead = n;
        else if (strcmp(name, "--rate") == 0)
            g.rate = n;
        else if (strcmp(name, "--seconds") == 0)
            g.seconds = n;
    }
}

int main(int argc, char **argv)
{
    const char *path = NULL;
    struct client *clients;

    g.sessions = 50;
    g.size = 4096;
    g.large_size = 300000;
    read_options(argc, argv, &path);
    if (!path || !g.port) {
        fprintf(stderr, "usage: generator --port N --ledger FILE\n");
        return 64;
    }
    signal(SIGTERM, on_term);
    g.ledger = ledger_open(path);
    if (atomic_load(&g.ledger.head->next) == 0)
        atomic_store(&g.ledger.head->next, 1);
    g.body = make_body(g.size, &g.body_len);
    g.large_body = make_body(g.large_size, &g.large_len);
    g.samples = malloc(SAMPLES_MOST * sizeof(*g.samples));
    g.ep = epoll_create1(EPOLL_CLOEXEC);
    clients = calloc(g.sessions, sizeof(*clients));
    if (!g.samples || !clients)
        abort();
    for (unsigned i = 0; i < g.sessions; i++) {
        clients[i].fd = -1;
        clients[i].out =
            malloc(2 * HEAD_MOST + (g.large_every && g.large_len > g.body_len
                                        ? g.large_len
                                        : g.body_len));
        if (!clients[i].out)
            abort();
    }
    g.begun_ns = now_ns();
    run(clients);
    report();
    return 0;
}
