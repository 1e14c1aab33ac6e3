/*
 * streams - standard input, output and error, as whoever calls a program has left them.
 */
#include "relay/main/streams.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sysexits.h>
#include <unistd.h>

void streams_open(void)
{
    for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++)
        if (fcntl(fd, F_GETFD) < 0 && errno == EBADF)
            /* the lowest number that is free */
            (void)!open("/dev/null", fd == STDIN_FILENO ? O_WRONLY : O_RDONLY);
}

static bool has_reader(void)
{
    struct pollfd p = { .fd = STDOUT_FILENO, .events = POLLOUT };

    return poll(&p, 1, 0) < 0 || !(p.revents & POLLERR);
}

int streams_close(int code)
{
    bool is_well;

    errno = 0;
    is_well = fflush(stdout) == 0 && !ferror(stdout);
    if (is_well || (code != EX_OK && code != EX_IOERR))
        return code;
    if (!has_reader())
        return EX_OK;
    (void)fprintf(stderr, "waypost: the output cannot be written%s%s\n",
                  errno ? ": " : "", errno ? strerror(errno) : "");
    return EX_IOERR;
}
