/*
 * notify - telling the service manager how we are, and taking its sockets.
 *
 * The protocols of sd_notify(3) and sd_listen_fds(3), by hand. Variables of the
 * environment are given by the caller. Without a service manager all calls do
 * nothing.
 */
#ifndef WAYPOST_NOTIFY_H
#define WAYPOST_NOTIFY_H

#include "policy/vocabulary/error.h"
#include "policy/vocabulary/span.h"

#include <sys/types.h>

struct notify {
    int fd; /* -1: nobody to tell */
};

/* socket: NOTIFY_SOCKET, a path or "@abstract", or NULL. */
MUST int notify_open(struct notify *n, const char *socket);
void notify_fini(struct notify *n);

void notify_ready(struct notify *n);
/* now_us: of CLOCK_MONOTONIC. Followed by notify_ready once it is done. */
void notify_reloading(struct notify *n, uint64_t now_us);
void notify_stopping(struct notify *n);
/* One line for people; what is not showable is escaped. */
void notify_status(struct notify *n, struct span text);
void notify_watchdog(struct notify *n);

/* How often notify_watchdog must be called: half of WATCHDOG_USEC; 0: never
 * (not set, or WATCHDOG_PID is another process). */
int64_t notify_watchdog_ms(const char *usec, const char *pid, pid_t own_pid);

/* A socket that was passed in. */
struct notify_socket {
    int fd;           /* close-on-exec, nonblocking, listens */
    struct span name; /* from LISTEN_FDNAMES; may be empty */
};

/*
 * LISTEN_FDS, LISTEN_FDNAMES, LISTEN_PID; first_fd is 3. Answers how many are
 * in out_sockets (names borrowed from `names`); 0 when they are not for us.
 * What is no listening stream socket is left out.
 */
size_t notify_sockets(const char *count, const char *names, const char *pid,
                      pid_t own_pid, int first_fd,
                      struct notify_socket *out_sockets, size_t most);

enum { NOTIFY_FIRST_FD = 3, NOTIFY_SOCKETS_MOST = 64 };

#endif
