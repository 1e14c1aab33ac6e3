/*
 * dovecot_link - one connection to Dovecot's authentication socket.
 */
#include "relay/inbound/dovecot_link.h"

#include "policy/vocabulary/mechanism.h"
#include "policy/vocabulary/memory.h"
#include "relay/inbound/password.h"

#include <errno.h>
#include <openssl/rand.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

enum {
    LINE_MOST = 32 * 1024, /* Dovecot's own limit is half of it */
    READ_AT_ONCE = 4096,
};

int64_t dovecot_link_now_ms(void)
{
    struct timespec t;

    (void)clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

void dovecot_link_close(struct dovecot_link *take_link)
{
    if (!take_link)
        return;
    if (take_link->fd >= 0)
        (void)close(take_link->fd);
    password_forget_buffer(&take_link->in);
    free(take_link);
}

static int wait_for(int fd, short events, int64_t until_ms)
{
    struct pollfd p = { .fd = fd, .events = events };

    for (;;) {
        int64_t left = until_ms - dovecot_link_now_ms();
        int n = poll(&p, 1, left > 0 ? (int)left : 0);

        if (n > 0)
            return 0;
        if (n == 0)
            return -ETIMEDOUT;
        if (errno != EINTR)
            return -errno;
    }
}

int dovecot_link_send(struct dovecot_link *k, struct span s, int64_t until_ms)
{
    while (s.len) {
        ssize_t n = send(k->fd, s.at, s.len, MSG_NOSIGNAL | MSG_DONTWAIT);
        int rc = 0;

        if (n >= 0)
            s = span_skip(s, (size_t)n);
        else if (errno == EAGAIN)
            rc = wait_for(k->fd, POLLOUT, until_ms);
        else if (errno != EINTR)
            rc = errno == EPIPE ? ERROR_GONE : -errno;
        if (rc < 0)
            return rc;
    }
    return 0;
}

int dovecot_link_read(struct dovecot_link *k, int64_t until_ms,
                      struct span *out_line)
{
    buffer_drop(&k->in, k->taken);
    k->taken = 0;
    for (;;) {
        struct span all = buffer_span(&k->in);
        size_t end = span_find(all, '\n');
        char *room;
        ssize_t n;
        int rc;

        if (end < all.len) {
            k->taken = end + 1;
            *out_line = span_first(all, end);
            return 0;
        }
        if (all.len > LINE_MOST)
            return ERROR_TOO_BIG;
        if ((rc = wait_for(k->fd, POLLIN, until_ms)) < 0)
            return rc;
        room = buffer_room(&k->in, READ_AT_ONCE);
        n = recv(k->fd, room, READ_AT_ONCE, MSG_DONTWAIT);
        if (n > 0)
            buffer_grew(&k->in, (size_t)n);
        else if (n == 0 || errno == ECONNRESET)
            return ERROR_GONE;
        else if (errno != EAGAIN && errno != EINTR)
            return -errno;
    }
}

/* Dovecot tells clients apart by a number; it has to differ among our connections. */
static int client_number(unsigned *out_number)
{
    unsigned n;

    if (RAND_bytes((unsigned char *)&n, sizeof n) != 1)
        return -EIO;
    *out_number = (n & 0x7fffffff) | 1;
    return 0;
}

static int handshake(struct dovecot_link *k, int64_t until_ms,
                     unsigned *out_mechanisms)
{
    char hello[64];
    struct span line = { 0 }, word, rest, name;
    unsigned set = 0, number;
    bool has_version = false;
    int rc = client_number(&number);

    if (rc < 0)
        return rc;
    (void)snprintf(hello, sizeof hello, "VERSION\t1\t1\nCPID\t%u\n", number);
    rc = dovecot_link_send(k, span_of(hello), until_ms);
    while (rc == 0 && (rc = dovecot_link_read(k, until_ms, &line)) == 0) {
        word = span_split(line, '\t', &rest);
        name = span_split(rest, '\t', &rest);
        if (span_is(word, SPAN("VERSION"))) {
            if (!span_is(name, SPAN("1")))
                return ERROR_PROTOCOL;
            has_version = true;
        } else if (span_is(word, SPAN("MECH"))) {
            set |= mechanism_find(name);
        } else if (span_is(word, SPAN("DONE"))) {
            if (!has_version)
                return ERROR_PROTOCOL;
            *out_mechanisms = set;
            return 0;
        }
    }
    return rc;
}

int dovecot_link_open(const char *path, int64_t until_ms,
                      struct dovecot_link **out_link, unsigned *out_mechanisms)
{
    struct sockaddr_un to = { .sun_family = AF_UNIX };
    struct dovecot_link *k;
    size_t len = strlen(path);
    unsigned set = 0;
    int rc = 0;

    if (len >= sizeof to.sun_path)
        return -ENAMETOOLONG;
    memcpy(to.sun_path, path, len);
    k = NEW(struct dovecot_link);
    k->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (k->fd < 0 || connect(k->fd, (struct sockaddr *)&to, sizeof to) < 0)
        rc = -errno;
    if (rc == 0)
        rc = handshake(k, until_ms, &set);
    if (rc < 0) {
        dovecot_link_close(k);
        return rc;
    }
    *out_mechanisms = set;
    *out_link = k;
    return 0;
}
