/*
 * tlsload - both ends of a relay, under TLS or not, for the benchmarks.
 *
 *   tlsload send --port P --count N --sessions S [--size B] [--per-connection K]
 *                [--implicit | --clear]
 *   tlsload idle --port P --sessions S --seconds T
 *   tlsload sink --port P --certificate FILE --key FILE [--clear] [--bare]
 *   tlsload turn --port P --login BASE64 [--clear] [--bare]
 *
 * A thread for each session, blocking; every connection says STARTTLS (or begins with it),
 * and resumes the session before where the server allows it. `sink` prints a line of JSON
 * for each line that it reads on standard input, and ends with that: messages, connections,
 * resumed handshakes, and the monotonic times of the first and the latest message; --bare: it
 * offers nothing. `turn` logs in (AUTH PLAIN), says ATRN, is then the sink of that one
 * connection, and prints the same line when that has ended. Certificates are not
 * verified: what a handshake costs is measured, not whom it meets.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { LINE_MOST = 4096, STACK = 256 * 1024 };

static struct {
    uint16_t port;
    long count, sessions, size, per_connection, seconds;
    bool implicit, clear, bare;
    const char *certificate, *key, *login;
} o = { .count = 1000, .sessions = 50, .size = 4096, .per_connection = 1000000 };

static SSL_CTX *context;
static atomic_long taken, messages, connections, resumed, failed;
static atomic_llong first_ns, latest_ns;

static long long now_ns(void)
{
    struct timespec t;

    (void)clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * 1000000000LL + t.tv_nsec;
}

static void give_up(const char *what)
{
    (void)fprintf(stderr, "tlsload: %s: %s\n", what, strerror(errno));
    exit(1);
}

/* ---------------------------------------------------------- a connection ---- */

struct peer {
    int fd;
    SSL *ssl;
    char in[16 * 1024];
    size_t at, len;
};

static bool put(struct peer *p, const char *bytes, size_t len)
{
    while (len) {
        ssize_t n = p->ssl ? SSL_write(p->ssl, bytes, (int)len)
                           : send(p->fd, bytes, len, MSG_NOSIGNAL);

        if (n <= 0)
            return false;
        bytes += n;
        len -= (size_t)n;
    }
    return true;
}

static bool say(struct peer *p, const char *text)
{
    return put(p, text, strlen(text));
}

static bool fill(struct peer *p)
{
    ssize_t n = p->ssl ? SSL_read(p->ssl, p->in, sizeof p->in)
                       : recv(p->fd, p->in, sizeof p->in, 0);

    p->at = 0;
    p->len = n > 0 ? (size_t)n : 0;
    return n > 0;
}

/* A line without its end; the rest of one that is too long is lost. */
static bool hear(struct peer *p, char line[LINE_MOST])
{
    size_t n = 0;

    for (;;) {
        if (p->at == p->len && !fill(p))
            return false;
        if (p->in[p->at++] == '\n')
            break;
        if (n < LINE_MOST - 1)
            line[n++] = p->in[p->at - 1];
    }
    line[n && line[n - 1] == '\r' ? n - 1 : n] = '\0';
    return true;
}

/* The code of a whole reply; 0: the connection is gone. */
static int reply(struct peer *p)
{
    char line[LINE_MOST];

    do {
        if (!hear(p, line))
            return 0;
    } while (line[3] == '-');
    return atoi(line);
}

static bool shake_hands(struct peer *p, bool is_server, SSL_SESSION *session)
{
    p->ssl = SSL_new(context);
    (void)SSL_set_fd(p->ssl, p->fd);
    if (session)
        (void)SSL_set_session(p->ssl, session);
    if ((is_server ? SSL_accept(p->ssl) : SSL_connect(p->ssl)) != 1)
        return false;
    resumed += SSL_session_reused(p->ssl) != 0;
    return true;
}

static void hang_up(struct peer *p)
{
    if (p->ssl) {
        (void)SSL_shutdown(p->ssl);
        SSL_free(p->ssl);
    }
    (void)close(p->fd);
    ERR_clear_error();
}

/* --------------------------------------------------------------- sending ---- */

struct sender {
    SSL_SESSION *session;
    char *message;
    size_t message_len;
};

static bool dial(struct peer *p, SSL_SESSION *session)
{
    struct sockaddr_in to = { .sin_family = AF_INET,
                              .sin_port = htons(o.port),
                              .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    int on = 1;

    *p = (struct peer){ .fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0) };
    if (p->fd < 0 || connect(p->fd, (struct sockaddr *)&to, sizeof to) < 0)
        return false;
    (void)setsockopt(p->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    connections++;
    if (o.implicit && !shake_hands(p, false, session))
        return false;
    if (reply(p) != 220 || !say(p, "EHLO load.test\r\n") || reply(p) != 250)
        return false;
    if (o.implicit || o.clear)
        return true;
    return say(p, "STARTTLS\r\n") && reply(p) == 220 &&
           shake_hands(p, false, session) && say(p, "EHLO load.test\r\n") &&
           reply(p) == 250;
}

static bool send_one(struct peer *p, const struct sender *s)
{
    static const char envelope[] = "MAIL FROM:<load@load.test>\r\n"
                                   "RCPT TO:<sink@example.org>\r\nDATA\r\n";

    return put(p, envelope, sizeof envelope - 1) && reply(p) == 250 &&
           reply(p) == 250 && reply(p) == 354 &&
           put(p, s->message, s->message_len) && reply(p) == 250;
}

static void remember(struct sender *s, const struct peer *p)
{
    if (!p->ssl)
        return;
    SSL_SESSION_free(s->session);
    s->session = SSL_get1_session(p->ssl);
}

static void *send_all(void *arg)
{
    struct sender *s = arg;
    struct peer p;
    long on_this = 0;
    bool is_open = false;

    while (taken++ < o.count) {
        if (!is_open && !(is_open = dial(&p, s->session))) {
            failed++;
            continue;
        }
        if (!send_one(&p, s)) {
            failed++;
            hang_up(&p);
            is_open = false;
            continue;
        }
        messages++;
        if (++on_this % o.per_connection)
            continue;
        (void)(say(&p, "QUIT\r\n") && reply(&p));
        remember(s, &p);
        hang_up(&p);
        is_open = false;
    }
    if (is_open) {
        (void)(say(&p, "QUIT\r\n") && reply(&p));
        hang_up(&p);
    }
    return NULL;
}

static void make_message(struct sender *s)
{
    static const char header[] = "From: <load@load.test>\r\n"
                                 "To: <sink@example.org>\r\n"
                                 "Subject: load\r\n\r\n";
    size_t size = (size_t)o.size, at = sizeof header - 1;

    s->message = malloc(size + 100);
    memcpy(s->message, header, at);
    while (at < size) {
        memset(s->message + at, 'x', 70);
        memcpy(s->message + at + 70, "\r\n", 2);
        at += 72;
    }
    memcpy(s->message + at, ".\r\n", 3);
    s->message_len = at + 3;
}

static void start(void *(*run)(void *), void *arg, pthread_t *out)
{
    pthread_attr_t attributes;

    (void)pthread_attr_init(&attributes);
    (void)pthread_attr_setstacksize(&attributes, STACK);
    if (pthread_create(out, &attributes, run, arg) != 0)
        give_up("thread");
    (void)pthread_attr_destroy(&attributes);
}

static int send_verb(void)
{
    struct sender *all = calloc((size_t)o.sessions, sizeof *all);
    pthread_t *threads = calloc((size_t)o.sessions, sizeof *threads);
    long long begun = now_ns();

    for (long i = 0; i < o.sessions; i++) {
        make_message(&all[i]);
        start(send_all, &all[i], &threads[i]);
    }
    for (long i = 0; i < o.sessions; i++)
        (void)pthread_join(threads[i], NULL);
    (void)printf("{\"begun_ns\": %lld, \"ended_ns\": %lld, \"acknowledged\": %ld, "
                 "\"failed\": %ld, \"connections\": %ld, \"resumed\": %ld}\n",
                 begun, now_ns(), messages, failed, connections, resumed);
    return failed ? 1 : 0;
}

static int idle_verb(void)
{
    struct peer *all = calloc((size_t)o.sessions, sizeof *all);
    long good = 0;

    for (long i = 0; i < o.sessions; i++)
        good += dial(&all[i], NULL);
    (void)printf("{\"sessions\": %ld}\n", good);
    (void)fflush(stdout);
    (void)sleep((unsigned)o.seconds);
    return 0;
}

/* -------------------------------------------------------------- the sink ---- */

static void count_one(void)
{
    long long none = 0;

    messages++;
    latest_ns = now_ns();
    (void)atomic_compare_exchange_strong(&first_ns, &none, latest_ns);
}

static bool take_content(struct peer *p)
{
    char line[LINE_MOST];

    do {
        if (!hear(p, line))
            return false;
    } while (strcmp(line, ".") != 0);
    count_one();
    return true;
}

static bool take_chunk(struct peer *p, const char *argument)
{
    char *end;
    size_t left = strtoul(argument, &end, 10);

    while (left) {
        size_t n;

        if (p->at == p->len && !fill(p))
            return false;
        n = p->len - p->at < left ? p->len - p->at : left;
        p->at += n;
        left -= n;
    }
    if (strcmp(end, " LAST") == 0)
        count_one();
    return true;
}

static bool answer(struct peer *p, const char *line)
{
    if (strncasecmp(line, "EHLO", 4) == 0 && o.bare)
        return say(p, "250 sink\r\n");
    if (strncasecmp(line, "EHLO", 4) == 0)
        return say(p, p->ssl || o.clear
                          ? "250-sink\r\n250-PIPELINING\r\n250-CHUNKING\r\n"
                            "250 8BITMIME\r\n"
                          : "250-sink\r\n250-STARTTLS\r\n250 PIPELINING\r\n");
    if (strcasecmp(line, "STARTTLS") == 0)
        return say(p, "220 go on\r\n") && shake_hands(p, true, NULL);
    if (strcasecmp(line, "DATA") == 0)
        return say(p, "354 go on\r\n") && take_content(p) && say(p, "250 ok\r\n");
    if (strncasecmp(line, "BDAT ", 5) == 0)
        return take_chunk(p, line + 5) && say(p, "250 ok\r\n");
    if (strcasecmp(line, "QUIT") == 0) {
        (void)say(p, "221 bye\r\n");
        return false;
    }
    return say(p, "250 ok\r\n");
}

static void *serve(void *arg)
{
    struct peer *p = arg;
    char line[LINE_MOST];

    connections++;
    if (say(p, "220 sink ESMTP\r\n"))
        while (hear(p, line) && answer(p, line))
            ;
    hang_up(p);
    free(p);
    return NULL;
}

static void print_figures(void)
{
    (void)printf("{\"messages\": %ld, \"connections\": %ld, \"resumed\": %ld, "
                 "\"first_ns\": %lld, \"latest_ns\": %lld}\n",
                 messages, connections, resumed, (long long)first_ns,
                 (long long)latest_ns);
    (void)fflush(stdout);
}

static void *tell(void *arg)
{
    char line[16];

    (void)arg;
    while (fgets(line, sizeof line, stdin))
        print_figures();
    exit(0);
}

static int turn_verb(void)
{
    struct peer *p = calloc(1, sizeof *p);
    char login[LINE_MOST];

    (void)snprintf(login, sizeof login, "AUTH PLAIN %s\r\n", o.login);
    if (!dial(p, NULL) || !say(p, login) || reply(p) != 235 ||
        !say(p, "ATRN\r\n") || reply(p) != 250) {
        (void)fprintf(stderr, "tlsload: the connection was not turned\n");
        return 1;
    }
    (void)serve(p);
    print_figures();
    return 0;
}

static _Noreturn void sink_verb(void)
{
    struct sockaddr_in at = { .sin_family = AF_INET,
                              .sin_port = htons(o.port),
                              .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    int on = 1, fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    pthread_t thread;

    (void)setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    if (bind(fd, (struct sockaddr *)&at, sizeof at) < 0 || listen(fd, 1024) < 0)
        give_up("listen");
    start(tell, NULL, &thread);
    for (;;) {
        struct peer *p = calloc(1, sizeof *p);

        if ((p->fd = accept(fd, NULL, NULL)) < 0)
            give_up("accept");
        (void)setsockopt(p->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
        start(serve, p, &thread);
        (void)pthread_detach(thread);
    }
}

/* ------------------------------------------------------------- beginning ---- */

static void read_options(int argc, char **argv)
{
    for (int i = 2; i < argc; i++) {
        const char *name = argv[i], *value = i + 1 < argc ? argv[i + 1] : "";
        struct { const char *name; long *to; } numbers[] = {
            { "--count", &o.count }, { "--sessions", &o.sessions },
            { "--size", &o.size }, { "--per-connection", &o.per_connection },
            { "--seconds", &o.seconds },
        };
        bool has_value = true;

        for (size_t k = 0; k < sizeof numbers / sizeof numbers[0]; k++)
            if (strcmp(name, numbers[k].name) == 0)
                *numbers[k].to = strtol(value, NULL, 10);
        if (strcmp(name, "--port") == 0)
            o.port = (uint16_t)strtol(value, NULL, 10);
        else if (strcmp(name, "--certificate") == 0)
            o.certificate = value;
        else if (strcmp(name, "--key") == 0)
            o.key = value;
        else if (strcmp(name, "--implicit") == 0)
            o.implicit = true, has_value = false;
        else if (strcmp(name, "--clear") == 0)
            o.clear = true, has_value = false;
        else if (strcmp(name, "--bare") == 0)
            o.bare = true, has_value = false;
        else if (strcmp(name, "--login") == 0)
            o.login = value;
        i += has_value;
    }
}

int main(int argc, char **argv)
{
    const char *verb = argc > 1 ? argv[1] : "";
    bool is_sink = strcmp(verb, "sink") == 0;

    (void)signal(SIGPIPE, SIG_IGN);
    read_options(argc, argv);
    context = SSL_CTX_new(is_sink ? TLS_server_method() : TLS_client_method());
    if (is_sink && o.certificate &&
        (SSL_CTX_use_certificate_chain_file(context, o.certificate) != 1 ||
         SSL_CTX_use_PrivateKey_file(context, o.key, SSL_FILETYPE_PEM) != 1))
        give_up("certificate");
    if (is_sink)
        sink_verb();
    if (strcmp(verb, "send") == 0)
        return send_verb();
    if (strcmp(verb, "idle") == 0)
        return idle_verb();
    if (strcmp(verb, "turn") == 0 && o.login)
        return turn_verb();
    (void)fprintf(stderr, "tlsload send|idle|sink|turn --port P ...\n");
    return 64;
}
