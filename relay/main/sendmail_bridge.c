/*
 * sendmail_bridge - sendmail -bs: SMTP by standard input and output.
 *
 * Bytes are carried between them and the sendmail socket, until the relay closes. Where it does
 * not run, a 421 is all that is said.
 */
#include "relay/main/sendmail_private.h"

#include "relay/main/submitter.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sysexits.h>
#include <unistd.h>

/* True: there may be more. */
static bool carry(int from, int to)
{
    char bytes[16 * 1024];
    ssize_t n = read(from, bytes, sizeof bytes), done = 0;

    if (n < 0)
        return errno == EINTR || errno == EAGAIN;
    while (done < n) {
        ssize_t put = write(to, bytes + done, (size_t)(n - done));

        if (put < 0 && errno != EINTR)
            return false;
        done += put > 0 ? put : 0;
    }
    return n > 0;
}

static void bridge(int fd)
{
    struct pollfd p[] = { { .fd = STDIN_FILENO, .events = POLLIN },
                          { .fd = fd, .events = POLLIN } };
    bool is_open = true;

    while (is_open) {
        if (poll(p, 2, -1) < 0 && errno != EINTR)
            return;
        if (p[0].fd >= 0 && p[0].revents && !carry(STDIN_FILENO, fd)) {
            (void)shutdown(fd, SHUT_WR);
            p[0].fd = -1;
        }
        if (p[1].revents)
            is_open = carry(fd, STDOUT_FILENO);
        p[0].revents = p[1].revents = 0;
    }
}

int sendmail_speak(const struct settings *s)
{
    int fd =
        s->sendmail.is_on ? submitter_connect(s->sendmail.socket) : ERROR_GONE;

    if (fd < 0) {
        (void)printf("421 4.3.2 %.*s The mail relay is not running\r\n",
                     SPAN_FMT(s->hostname));
        return EX_TEMPFAIL;
    }
    (void)signal(SIGPIPE, SIG_IGN);
    bridge(fd);
    (void)close(fd);
    return EX_OK;
}
