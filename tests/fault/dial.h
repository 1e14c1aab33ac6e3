/*
 * dial - a customer's side of ATRN: log in, ask, and be the server from then on.
 *
 * Blocking, up to the 250 that turns the connection; whatever else is said, there is none.
 * RFC 2645.
 */
#ifndef WAYPOST_TESTS_DIAL_H
#define WAYPOST_TESTS_DIAL_H

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

enum { DIAL_LINE_MOST = 512, DIAL_PATIENCE_S = 5 };

/* One line, byte by byte, so that nothing behind it is read; -1: there is none. */
static inline int dial_line(int fd, char *line)
{
    size_t len = 0;

    while (len < DIAL_LINE_MOST - 1 && recv(fd, line + len, 1, 0) == 1)
        if (line[len++] == '\n') {
            line[len] = 0;
            return 0;
        }
    return -1;
}

/* The code of a whole reply; 0: the connection is gone. */
static inline int dial_reply(int fd)
{
    char line[DIAL_LINE_MOST];

    do {
        if (dial_line(fd, line) < 0 || strlen(line) < 4)
            return 0;
    } while (line[3] == '-');
    return (int)strtol(line, NULL, 10);
}

static inline int dial_command(int fd, const char *verb, const char *rest)
{
    char line[DIAL_LINE_MOST];
    int len = snprintf(line, sizeof(line), "%s%s\r\n", verb, rest);

    if (send(fd, line, (size_t)len, MSG_NOSIGNAL) != len)
        return 0;
    return dial_reply(fd);
}

/* A connection that was turned, or -1. login: base64 for AUTH PLAIN. */
static inline int dial_turned(uint16_t port, const char *login)
{
    struct sockaddr_in a = { .sin_family = AF_INET,
                             .sin_port = htons(port),
                             .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    struct timeval patience = { .tv_sec = DIAL_PATIENCE_S }, none = { 0 };
    int one = 1, fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    if (fd < 0)
        return -1;
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
    if (connect(fd, (struct sockaddr *)&a, sizeof(a)) < 0 ||
        dial_reply(fd) != 220 || dial_command(fd, "EHLO ", "sink.test") != 250 ||
        dial_command(fd, "AUTH PLAIN ", login) != 235 ||
        dial_command(fd, "ATRN", "") != 250) {
        close(fd);
        return -1;
    }
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &none, sizeof(none));
    return fd;
}

#endif
