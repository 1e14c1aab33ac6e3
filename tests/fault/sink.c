/*
 * sink - the far end of the ledger: an SMTP server that writes down what
 * arrives.
 *
 *   sink --port N --ledger FILE [--no-pipelining] [--odmr N --login BASE64 ...]
 *
 * With --odmr it is a customer too, one for each --login: it asks the relay there for
 * the mail of that login (ATRN), again and again, and takes what comes as any other.
 *
 * One thread, one epoll. A reply leaves when the input at hand is used up, so a
 * pipelined group gets its answers in one write. Content is held until its
 * final dot, its checksum compared with the one in its X-Ledger header, and a
 * copy is noted in the ledger in the moment before its 250 is written. Ends at
 * SIGTERM with one JSON line.
 */
#include "dial.h"
#include "ledger.h"

#include <arpa/inet.h>
#include <errno.h>
#include <inttypes.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdbool.h>
#include <string.h>
#include <strings.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

enum {
    RECIPIENTS_MOST = 1100,
    CONTENT_MOST = 64 << 20,
    CUSTOMERS_MOST = 8,
    REST_NS = 30000000, /* between two times that a customer asks */
};

struct customer {
    const char *login;
    uint64_t ask_ns;
    bool is_fetching;
};

struct recipient {
    uint64_t slot;
    bool is_report;
};

struct peer {
    int fd;
    struct customer *customer; /* who made the connection; NULL: the relay */
    bool in_content, from_null, quits;
    char *in;
    size_t in_len, in_cap, scanned;
    char out[16384];
    size_t out_len;
    struct recipient to[RECIPIENTS_MOST];
    size_t to_count;
    unsigned messages;
};

static struct {
    struct ledger ledger;
    bool no_pipelining;
    uint64_t connections, bad, last_ns, most_open, open, turned;
    uint16_t odmr;
    struct customer customers[CUSTOMERS_MOST];
    size_t customer_count;
} sink;

static volatile sig_atomic_t stopped;

static void on_term(int n)
{
    (void)n;
    stopped = 1;
}

static void say(struct peer *p, const char *text)
{
    size_t len = strlen(text);

    if (p->out_len + len > sizeof(p->out))
        return;
    memcpy(p->out + p->out_len, text, len);
    p->out_len += len;
}

static bool flush(struct peer *p)
{
    size_t at = 0;

    while (at < p->out_len) {
        ssize_t n = send(p->fd, p->out + at, p->out_len - at, MSG_NOSIGNAL);

        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return false; /* replies are small; a full buffer is a dead peer */
        at += (size_t)n;
    }
    p->out_len = 0;
    return true;
}

static struct ledger_slot *slot_at(uint64_t number)
{
    if (number == 0 || number >= sink.ledger.head->slots ||
        number >= atomic_load(&sink.ledger.head->next))
        return NULL;
    return &sink.ledger.slots[number];
}

/* X-Ledger: <first slot> <count> <XXH64 of the body as sent> */
static bool content_is_right(const char *at, size_t len, const struct peer *p)
{
    const char *field = memmem(at, len, "\r\nX-Ledger: ", 12);
    const char *body = memmem(at, len, "\r\n\r\n", 4);
    uint64_t first, hash;
    unsigned count;

    if (!field || !body || field > body ||
        sscanf(field + 12, "%" SCNu64 " %u %" SCNx64, &first, &count, &hash) !=
            3)
        return false;
    for (size_t i = 0; i < p->to_count; i++)
        if (p->to[i].slot < first || p->to[i].slot >= first + count)
            return false;
    body += 4;
    return XXH64(body, len - (size_t)(body - at), 0) == hash;
}

static void note_copy(const struct recipient *r, bool is_right)
{
    struct ledger_slot *s = slot_at(r->slot);
    uint32_t nth;

    atomic_fetch_add(&sink.ledger.head->copies, 1);
    if (!s) {
        atomic_fetch_add(&sink.ledger.head->strangers, 1);
        return;
    }
    nth = atomic_fetch_add(&s->count, 1);
    if (nth < LEDGER_TIMES)
        atomic_store(&s->arrived_ns[nth], sink.last_ns);
    if (nth == 0)
        atomic_fetch_add(&sink.ledger.head->arrived, 1);
    if (!is_right) {
        atomic_fetch_or(&s->flags, LEDGER_BAD);
        sink.bad++;
    }
    if (r->is_report)
        atomic_fetch_or(&s->flags, LEDGER_REPORTED);
}

static void content_ends(struct peer *p, const char *at, size_t len)
{
    /* a report has another form; that it came is what counts */
    bool is_right = p->from_null || content_is_right(at, len, p);

    sink.last_ns = now_ns();
    for (size_t i = 0; i < p->to_count; i++)
        note_copy(&p->to[i], is_right);
    p->to_count = 0;
    p->in_content = false;
    p->messages++;
    say(p, "250 2.0.0 taken\r\n");
}

static void on_rcpt(struct peer *p, const char *line)
{
    const char *at = strchr(line, '<');
    uint64_t number = at && at[1] ? strtoull(at + 2, NULL, 10) : 0;
    struct ledger_slot *s = slot_at(number);

    if (!at || p->to_count == RECIPIENTS_MOST) {
        say(p, "452 4.5.3 too many\r\n");
        return;
    }
    if (at[1] == 'f') {
        if (s)
            atomic_fetch_or(&s->flags, LEDGER_FAILED);
        say(p, "550 5.1.1 nobody here\r\n");
        return;
    }
    if (at[1] == 'd' && s &&
        !(atomic_fetch_or(&s->flags, LEDGER_DEFERRED) & LEDGER_DEFERRED)) {
        say(p, "450 4.2.0 come again\r\n");
        return;
    }
    p->to[p->to_count++] =
        (struct recipient){ .slot = number, .is_report = at[1] == 'b' };
    say(p, "250 2.1.5 Ok\r\n");
}

static void on_command(struct peer *p, const char *line)
{
    if (strncasecmp(line, "EHLO", 4) == 0) {
        say(p, "250-sink.test\r\n");
        if (!sink.no_pipelining)
            say(p, "250-PIPELINING\r\n");
        say(p, "250-8BITMIME\r\n250 ENHANCEDSTATUSCODES\r\n");
    } else if (strncasecmp(line, "HELO", 4) == 0) {
        say(p, "250 sink.test\r\n");
    } else if (strncasecmp(line, "MAIL", 4) == 0) {
        p->to_count = 0;
        p->from_null = strstr(line, "<>") != NULL;
        say(p, "250 2.1.0 Ok\r\n");
    } else if (strncasecmp(line, "RCPT", 4) == 0) {
        on_rcpt(p, line);
    } else if (strncasecmp(line, "DATA", 4) == 0) {
        if (p->to_count == 0) {
            say(p, "554 5.5.1 no valid recipients\r\n");
            return;
        }
        p->in_content = true;
        say(p, "354 go on\r\n");
    } else if (strncasecmp(line, "RSET", 4) == 0) {
        p->to_count = 0;
        say(p, "250 2.0.0 Ok\r\n");
    } else if (strncasecmp(line, "QUIT", 4) == 0) {
        p->quits = true;
        say(p, "221 2.0.0 Bye\r\n");
    } else {
        say(p, strncasecmp(line, "NOOP", 4) == 0 ? "250 2.0.0 Ok\r\n"
                                                 : "500 5.5.2 what?\r\n");
    }
}

static void drop_input(struct peer *p, size_t n)
{
    memmove(p->in, p->in + n, p->in_len - n);
    p->in_len -= n;
    p->scanned = 0;
}

static bool step_content(struct peer *p)
{
    size_t from = p->scanned > 4 ? p->scanned - 4 : 0;
    const char *end;

    if (p->in_len >= 3 && memcmp(p->in, ".\r\n", 3) == 0) {
        content_ends(p, p->in, 0);
        drop_input(p, 3);
        return true;
    }
    end = memmem(p->in + from, p->in_len - from, "\r\n.\r\n", 5);
    if (!end) {
        p->scanned = p->in_len;
        return false;
    }
    content_ends(p, p->in, (size_t)(end - p->in) + 2);
    drop_input(p, (size_t)(end - p->in) + 5);
    return true;
}

static bool step_command(struct peer *p)
{
    char *end = memchr(p->in, '\n', p->in_len);

    if (!end)
        return false;
    *end = 0;
    on_command(p, p->in);
    drop_input(p, (size_t)(end - p->in) + 1);
    return true;
}

/* false: the connection is over. */
static bool on_readable(struct peer *p)
{
    ssize_t n;

    if (p->in_cap - p->in_len < 65536) {
        if (p->in_cap > CONTENT_MOST)
            return false;
        p->in_cap = p->in_cap * 2 + 65536;
        p->in = realloc(p->in, p->in_cap);
        if (!p->in)
            abort();
    }
    n = recv(p->fd, p->in + p->in_len, p->in_cap - p->in_len, MSG_DONTWAIT);
    if (n < 0)
        return errno == EAGAIN || errno == EINTR;
    if (n == 0)
        return false;
    p->in_len += (size_t)n;
    while (!p->quits && (p->in_content ? step_content(p) : step_command(p)))
        ;
    return flush(p) && !p->quits;
}

static void greet(int fd, int ep, struct customer *customer)
{
    struct epoll_event e = { .events = EPOLLIN };
    struct peer *p;

    p = calloc(1, sizeof(*p));
    if (!p)
        abort();
    p->fd = fd;
    p->customer = customer;
    sink.connections++;
    if (++sink.open > sink.most_open)
        sink.most_open = sink.open;
    say(p, "220 sink.test ESMTP\r\n");
    flush(p);
    e.data.ptr = p;
    if (epoll_ctl(ep, EPOLL_CTL_ADD, fd, &e) < 0)
        abort();
}

static void on_connection(int listener, int ep)
{
    int one = 1, fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC);

    if (fd < 0)
        return;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
    greet(fd, ep, NULL);
}

/* Customers who have nothing under way ask, one of them at a time. */
static void ask(int ep)
{
    for (size_t i = 0; i < sink.customer_count; i++) {
        struct customer *c = &sink.customers[i];
        int fd;

        if (c->is_fetching || now_ns() < c->ask_ns)
            continue;
        c->ask_ns = now_ns() + REST_NS;
        fd = dial_turned(sink.odmr, c->login);
        if (fd < 0)
            continue;
        c->is_fetching = true;
        sink.turned++;
        greet(fd, ep, c);
    }
}

static void hang_up(struct peer *p)
{
    if (p->customer) {
        p->customer->is_fetching = false;
        p->customer->ask_ns = now_ns() + REST_NS;
    }
    close(p->fd);
    sink.open--;
    free(p->in);
    free(p);
}

static int listen_on(uint16_t port)
{
    struct sockaddr_in a = { .sin_family = AF_INET,
                             .sin_port = htons(port),
                             .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    int one = 1;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
    if (bind(fd, (struct sockaddr *)&a, sizeof(a)) < 0 ||
        listen(fd, 4096) < 0) {
        perror("listen");
        exit(1);
    }
    return fd;
}

static void serve(int listener)
{
    struct epoll_event e = { .events = EPOLLIN }, got[256];
    int ep = epoll_create1(EPOLL_CLOEXEC);

    epoll_ctl(ep, EPOLL_CTL_ADD, listener, &e);
    while (!stopped) {
        int n = epoll_wait(ep, got, 256, sink.customer_count ? 10 : 200);

        for (int i = 0; i < n; i++) {
            struct peer *p = got[i].data.ptr;

            if (!p) {
                on_connection(listener, ep);
                continue;
            }
            if (!on_readable(p))
                hang_up(p);
        }
        ask(ep);
    }
}

int main(int argc, char **argv)
{
    const char *path = NULL;
    uint16_t port = 0;

    for (int i = 1; i < argc; i++) {
        const char *value = i + 1 < argc ? argv[i + 1] : "0";

        if (strcmp(argv[i], "--no-pipelining") == 0) {
            sink.no_pipelining = true;
            continue;
        }
        if (strcmp(argv[i], "--port") == 0)
            port = (uint16_t)strtoul(value, NULL, 10);
        else if (strcmp(argv[i], "--ledger") == 0)
            path = value;
        else if (strcmp(argv[i], "--odmr") == 0)
            sink.odmr = (uint16_t)strtoul(value, NULL, 10);
        else if (strcmp(argv[i], "--login") == 0 &&
                 sink.customer_count < CUSTOMERS_MOST)
            sink.customers[sink.customer_count++].login = value;
        i++;
    }
    if (!path || !port) {
        fprintf(stderr, "usage: sink --port N --ledger FILE\n");
        return 64;
    }
    signal(SIGTERM, on_term);
    sink.ledger = ledger_open(path);
    serve(listen_on(port));
    printf("{\"connections\": %" PRIu64 ", \"most_open\": %" PRIu64
           ", \"bad\": %" PRIu64 ", \"turned\": %" PRIu64
           ", \"last_ns\": %" PRIu64 "}\n",
           sink.connections, sink.most_open, sink.bad, sink.turned,
           sink.last_ns);
    return 0;
}
